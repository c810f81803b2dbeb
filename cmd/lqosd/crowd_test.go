package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is hostile clients of one daemon.
type crowd struct {
	t    testing.TB
	p    place
	open []net.Conn
	stop chan struct{}
	wg   sync.WaitGroup
}

func newCrowd(t testing.TB, p place) *crowd {
	c := &crowd{t: t, p: p, stop: make(chan struct{})}
	t.Cleanup(c.leave)
	return c
}

// come connects one, hands shaken or not. A daemon that refuses it, or has ended, is no failure here.
func (c *crowd) come(hello bool) net.Conn {
	c.t.Helper()
	nc, err := net.Dial("unix", c.p.socket())
	if errors.Is(err, unix.ECONNREFUSED) {
		nc, _ = net.Pipe()
		err = nc.Close()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.open = append(c.open, nc)
	if hello {
		_, _ = nc.Write([]byte("LREQ"))
		_ = nc.SetReadDeadline(time.Now().Add(patience))
		_, _ = io.ReadFull(nc, make([]byte, 4))
		_ = nc.SetReadDeadline(time.Time{})
	}
	return nc
}

// idle come, shake hands, and say nothing more; every fourth doesn't shake hands.
func (c *crowd) idle(n int) {
	for i := range n {
		c.come(i%4 > 0)
	}
}

// stopWithin come, and stop within a frame of size bytes after sending so many. Every third ends its direction.
func (c *crowd) stopWithin(n, size, sent int) {
	frame := frame(1, make([]byte, size))[:sent]
	for i := range n {
		nc := c.come(true)
		_ = nc.SetWriteDeadline(time.Now().Add(patience))
		if _, err := nc.Write(frame); err == nil && i%3 == 0 {
			_ = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
	}
}

// trickle come, and send a byte now and then, each of them.
func (c *crowd) trickle(n int) {
	text := append([]byte("LREQ"), frame(1, make([]byte, 60000))...)
	var list []net.Conn
	for range n {
		list = append(list, c.come(false))
	}
	c.wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := range text {
			for _, nc := range list {
				_, _ = nc.Write(text[i : i+1])
			}
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
		}
	})
}

// neverRead come, and send questions until the daemon takes no more, without reading an answer.
func (c *crowd) neverRead(n int, question []byte) {
	for i := range n {
		nc := c.come(true)
		c.wg.Go(func() {
			for id := uint64(i); ; id++ {
				_ = nc.SetWriteDeadline(time.Now().Add(patience))
				if _, err := nc.Write(frame(id, question)); err != nil {
					return
				}
			}
		})
	}
}

// insult come one by one and send what TestAbuse does.
func (c *crowd) insult() {
	for _, b := range insults() {
		nc := c.come(true)
		c.wg.Go(func() { _, _ = nc.Write(b.raw) })
	}
}

// neverCommit state circuits for ever.
func (c *crowd) neverCommit(n, bytes int) {
	addresses := make([]byte, bytes)
	for i := range addresses {
		addresses[i] = ' '
	}
	for range n {
		nc := c.come(true)
		c.wg.Go(func() { _, _ = io.Copy(io.Discard, nc) })
		c.wg.Go(func() {
			_, _ = nc.Write(frame(0, []byte(`{"requests":[`+batchStart+`]}`)))
			for i := 3; i < 200; i++ {
				select {
				case <-c.stop:
					return
				default:
				}
				if _, err := nc.Write(frame(uint64(i), []byte(`{"requests":[`+newCircuit(0, i, 10, string(addresses))+`]}`))); err != nil {
					return
				}
			}
		})
	}
}

// served is how many of the crowd the daemon has not closed.
func (c *crowd) served() int {
	n := 0
	for _, nc := range c.open {
		_ = nc.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			n++
		}
	}
	return n
}

// leave ends all connections.
func (c *crowd) leave() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	for _, nc := range c.open {
		_ = nc.Close()
	}
	c.wg.Wait()
	c.open = nil
}

// announce come and announce a payload of so many bytes.
func (c *crowd) announce(n int, size uint64) {
	for i := range n {
		nc := c.come(true)
		_, _ = nc.Write(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(i)), size))
	}
}
