package testenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// RoundTrips are the times that echoes took, the shortest first.
type RoundTrips struct {
	Times []time.Duration
	Lost  int // that didn't come back within two seconds
}

// Percentile is the time that p of 100 echoes didn't exceed; 0 without any.
func (r RoundTrips) Percentile(p int) time.Duration {
	if len(r.Times) == 0 {
		return 0
	}
	return r.Times[min(len(r.Times)*p/100, len(r.Times)-1)]
}

// String has the percentiles.
func (r RoundTrips) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%d echoes, %d lost, ms at 5/50/95/100 %%: %.1f/%.1f/%.1f/%.1f", len(r.Times), r.Lost,
		ms(r.Percentile(5)), ms(r.Percentile(50)), ms(r.Percentile(95)), ms(r.Percentile(100)))
}

// Ping sends echo requests from the internet to a subscriber for a time, one after the other, with pauses between.
func (l *Lab) Ping(ctx context.Context, subscriber netip.Addr, span time.Duration) (RoundTrips, error) {
	p, err := l.openPinger(subscriber)
	if err != nil {
		return RoundTrips{}, fmt.Errorf("ping %s: %w", subscriber, err)
	}
	defer func() { _ = unix.Close(p.socket) }()
	var r RoundTrips
	end := time.Now().Add(span)
	for sequence := uint16(1); time.Now().Before(end); sequence++ {
		took, err := p.echo(sequence)
		switch {
		case errors.Is(err, unix.EAGAIN):
			r.Lost++
		case err != nil:
			return r, fmt.Errorf("ping %s: %w", subscriber, err)
		default:
			r.Times = append(r.Times, took)
		}
		select {
		case <-ctx.Done():
			return r, context.Cause(ctx)
		case <-time.After(pingPause):
		}
	}
	slices.Sort(r.Times)
	return r, nil
}

// PingIdle is [Lab.Ping] through a network without traffic. It makes three series and returns that with the shortest median: other
// work on the machine only slows echoes down.
func (l *Lab) PingIdle(ctx context.Context, subscriber netip.Addr) (RoundTrips, error) {
	var best RoundTrips
	for range 3 {
		r, err := l.Ping(ctx, subscriber, time.Second/2)
		if err != nil {
			return r, err
		}
		if len(best.Times) == 0 || len(r.Times) > 0 && r.Percentile(50) < best.Percentile(50) {
			best = r
		}
	}
	return best, nil
}

// PingSaturated is [Lab.Ping], but only those echoes count that were sent while the link to the network was saturated: while it sent
// four fifths of a ceil, in Mbit/s, at least. It is for a lab with two links.
func (l *Lab) PingSaturated(ctx context.Context, subscriber netip.Addr, span time.Duration, ceil float64) (RoundTrips, error) {
	const window, saturated = 250 * time.Millisecond, 0.8
	var counted RoundTrips
	began := time.Now()
	before, err := sentBytes(l.ToNetwork)
	for end := began.Add(span); err == nil && began.Before(end); {
		var r RoundTrips
		var after int64
		if r, err = l.Ping(ctx, subscriber, window); err != nil {
			break
		}
		ended := time.Now()
		if after, err = sentBytes(l.ToNetwork); float64(after-before)*8/1e6 >= saturated*ceil*ended.Sub(began).Seconds() {
			counted.Times = append(counted.Times, r.Times...)
			counted.Lost += r.Lost
		}
		before, began = after, ended
	}
	slices.Sort(counted.Times)
	return counted, err
}

// sentBytes is what a link has sent.
func sentBytes(link string) (int64, error) {
	text, err := os.ReadFile("/sys/class/net/" + link + "/statistics/tx_bytes")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

const (
	pingPause   = 20 * time.Millisecond
	pingTimeout = 2 * time.Second
)

// pinger is a socket of icmp(7) that sends to a subscriber. The kernel fills in identifier and checksum.
type pinger struct {
	socket  int
	request byte // the type of the message
}

func (l *Lab) openPinger(subscriber netip.Addr) (p pinger, err error) {
	err = l.Internet.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil {
			return err
		}
		if subscriber.Is4() {
			p.request = 8 // RFC 792
			p.socket, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
		} else {
			p.request = 128 // RFC 4443
			p.socket, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("opening a socket: %w", err)
	}
	var to unix.Sockaddr = &unix.SockaddrInet6{Addr: subscriber.As16()}
	if subscriber.Is4() {
		to = &unix.SockaddrInet4{Addr: subscriber.As4()}
	}
	timeout := unix.NsecToTimeval(pingTimeout.Nanoseconds())
	if err := errors.Join(unix.Connect(p.socket, to), unix.SetsockoptTimeval(p.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptInt(p.socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)); err != nil {
		_ = unix.Close(p.socket)
		return p, err
	}
	return p, nil
}

// echo sends a request and waits for its reply; an older one is passed over. It took until the kernel had the reply: when a
// busy machine gives it to us is not the network's fault.
func (p pinger) echo(sequence uint16) (time.Duration, error) {
	message := make([]byte, 64) // type, code, checksum (2), identifier (2), sequence (2), payload
	message[0] = p.request
	binary.BigEndian.PutUint16(message[6:], sequence)
	began := time.Now()
	if _, err := unix.Write(p.socket, message); err != nil {
		return 0, err
	}
	control := make([]byte, 64)
	for {
		n, nControl, _, _, err := unix.Recvmsg(p.socket, message, control, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n >= 8 && binary.BigEndian.Uint16(message[6:]) == sequence:
			arrived, err := arrival(control[:nControl])
			return arrived.Sub(began), err
		}
	}
}

// arrival is the time in the control messages of SO_TIMESTAMPNS, see socket(7).
func arrival(control []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		var at unix.Timespec
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS {
			if _, err := binary.Decode(m.Data, binary.NativeEndian, &at); err != nil {
				return time.Time{}, err
			}
			return time.Unix(at.Unix()), nil
		}
	}
	return time.Time{}, errors.New("a reply without a time stamp")
}
