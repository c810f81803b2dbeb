package main

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

const (
	flowCount  = 50
	flowBurst  = 20          // packets that a flow sends at once
	flowPause  = time.Second // between its bursts: 1,000 packets/s in all
	packetSize = 1400        // bytes of payload
)

// TestRefreshLosesNoPacket sends UDP through 50 circuits while the whole network is sent again and again. Bursts make
// queues, which a torn-down tree would lose: the last part shows that.
func TestRefreshLosesNoPacket(t *testing.T) {
	inField(t, "n1000", func(f *field) {
		end := f.serve()
		requests := f.trace("trace.jsonl")
		f.play(requests)
		l := newFlows(f)
		f.watch.count()
		l.while(func() {
			for range 3 {
				f.play(requests)
			}
		})
		if sent, lost := l.counts(); lost != 0 || sent < 1000 {
			t.Errorf("%d of %d packets were lost while the network was sent again", lost, sent)
		} else {
			t.Logf("three refreshes: %d packets sent, none lost", sent)
		}
		f.wrote("three refreshes", 0)
		end() // it would repair what tc deletes, while tc builds it
		lines := onLink(f.batch(), "eth1")
		reloads := 0
		l.while(func() { // what clients do without this daemon
			for ; reloads < 3 || reloads < 20 && l.sent.Load()-l.got.Load() < 100; reloads++ { // what is on its way isn't lost yet
				command(t, "tc", "qdisc", "del", "dev", "eth1", "root")
				f.tcBatch(lines)
			}
		})
		if _, lost := l.counts(); lost == 0 {
			t.Error("full reloads with tc lost nothing: this test can't see losses")
		} else {
			t.Logf("%d full reloads with tc: %d packets lost", reloads, lost)
		}
	})
}

func onLink(lines, link string) string {
	var kept strings.Builder
	for line := range strings.Lines(lines) {
		if strings.Contains(line, " dev "+link+" ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// flows send UDP from the shaper itself, each into the class of a circuit: skb->priority is the handle, and all CPUs send
// through the first queue.
type flows struct {
	f         *field
	sockets   []int
	raw       int // sees what arrives at the peer
	sent, got atomic.Int64
}

func newFlows(f *field) *flows {
	f.t.Helper()
	l := &flows{f: f}
	command(f.t, "ip", "addr", "add", "10.9.0.1/24", "dev", "eth1")
	command(f.t, "ip", "neigh", "add", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eth1")
	if err := os.WriteFile("/sys/class/net/eth1/queues/tx-0/xps_cpus", []byte(strconv.FormatUint(1<<min(runtime.NumCPU(), 32)-1, 16)), 0o644); err != nil {
		f.t.Fatal(err)
	}
	for _, class := range f.slowest(flowCount) {
		l.sockets = append(l.sockets, l.socket(class))
	}
	l.listen()
	return l
}

// slowest are the n classes of queue 1 on eth1 that have a leaf and the lowest ceil: there packets wait.
func (f *field) slowest(n int) []tc.Handle {
	f.t.Helper()
	type circuit struct {
		class tc.Handle
		ceil  tc.Rate
	}
	var list []circuit
	for line := range strings.Lines(command(f.t, "tc", "class", "show", "dev", "eth1")) {
		w := strings.Fields(line)
		at := slices.Index(w, "ceil")
		if w[1] != "htb" || !strings.HasPrefix(w[2], "1:") || !slices.Contains(w, "leaf") || at < 0 {
			continue
		}
		class, err := tc.ParseHandle(w[2])
		ceil, errRate := tc.ParseRate(w[at+1])
		if err = errors.Join(err, errRate); err != nil {
			f.t.Fatal(err)
		}
		list = append(list, circuit{class, ceil})
	}
	slices.SortFunc(list, func(a, b circuit) int { return cmp.Or(cmp.Compare(a.ceil, b.ceil), cmp.Compare(a.class, b.class)) })
	if len(list) < n {
		f.t.Fatalf("queue 1 has only %d circuits", len(list))
	}
	var slow []tc.Handle
	for _, c := range list[:n] {
		slow = append(slow, c.class)
	}
	return slow
}

func (l *flows) socket(class tc.Handle) int {
	t := l.f.t
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { _ = unix.Close(fd) })
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, int(class))
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 9, 0, 2}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// magic marks our packets.
const magic = 0x6c716f7364

// listen counts our packets that arrive at the peer.
func (l *flows) listen() {
	t := l.f.t
	t.Helper()
	far, err := net.InterfaceByName(peer("eth1"))
	if err != nil {
		t.Fatal(err)
	}
	const proto = unix.ETH_P_IP>>8 | unix.ETH_P_IP&0xff<<8 // in network order
	l.raw, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, proto)
	if err == nil {
		err = unix.Bind(l.raw, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: far.Index})
	}
	if err == nil {
		err = unix.SetsockoptInt(l.raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(l.raw, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	}
	if err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		packet := make([]byte, 2048)
		for {
			n, err := unix.Read(l.raw, packet)
			if err == nil && n > 28+8 && binary.BigEndian.Uint64(packet[28:]) == magic {
				l.got.Add(1)
			}
			select {
			case <-end:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() {
		close(end)
		<-ended
		_ = unix.Close(l.raw)
	})
}

// while sends from all flows while f works.
func (l *flows) while(work func()) {
	end := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { l.send(end) })
	work()
	close(end)
	sending.Wait()
}

// send sends bursts, the flows one after the other, until end.
func (l *flows) send(end <-chan struct{}) {
	payload := make([]byte, packetSize)
	binary.BigEndian.PutUint64(payload, magic)
	tick := time.NewTicker(flowPause / flowCount)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-end:
			return
		case <-tick.C:
		}
		for range flowBurst {
			if _, err := unix.Write(l.sockets[i%flowCount], payload); err == nil {
				l.sent.Add(1)
			}
		}
	}
}

// counts waits until nothing arrives any more, and gives how many packets were sent and lost in all.
func (l *flows) counts() (sent, lost int64) {
	for still := 0; still < 10; {
		before := l.got.Load()
		<-time.After(100 * time.Millisecond)
		if still++; l.got.Load() != before {
			still = 0
		}
	}
	return l.sent.Load(), l.sent.Load() - l.got.Load()
}
