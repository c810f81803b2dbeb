package kerneltest

import (
	"context"
	"errors"
	"slices"
	"time"
)

// patience is how long a notification may take.
const patience = 20 * time.Second

// watching is a Watch that runs; it gives the links that changed.
func (b *bench) watching() *watchLog {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	w := &watchLog{bench: b, changed: make(chan string, 10000)}
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx, func(link string) { w.changed <- link }) }()
	b.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				b.Errorf("Watch ended: %v", err)
			}
		case <-time.After(patience):
			b.Error("Watch doesn't end with its context")
		}
	})
	w.until("")
	return w
}

// watchLog is what a Watch said.
type watchLog struct {
	*bench
	changed chan string
}

// until waits for a link, and gives the others that came before.
func (w *watchLog) until(link string) (others []string) {
	w.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-w.changed:
			if got == link {
				return others
			}
			others = append(others, got)
		case <-timeout:
			w.Fatalf("no word of link %q, only of %q", link, others)
		}
	}
}

// drain forgets what came until now: what somebody else does to link v1 comes last.
func (w *watchLog) drain() (others []string) {
	w.Helper()
	w.meddle("qdisc replace dev v1 root handle 9: pfifo limit 5")
	return w.until("v1")
}

// Watch tells of what others do to a link, of each thing, and not of what we do.
func testWatch(b *bench) {
	w := b.watching()
	for _, line := range append(lines(small), "class change dev v0 parent 1:1 classid 1:2 htb rate 20mbit",
		"qdisc change dev v0 parent 1:2 handle 8001: pfifo limit 101", "qdisc delete dev v0 parent 1:2",
		"class delete dev v0 classid 1:2", "qdisc delete dev v0 clsact") {
		w.drain()
		w.meddle(line)
		w.until("v0")
	}
	w.drain()
	b.clear()
	b.must(small)
	b.must("class change dev v0 parent 1:1 classid 1:2 htb rate 20mbit\nqdisc delete dev v0 root\nqdisc delete dev v0 clsact")
	_ = b.try("class delete dev v0 classid 1:2")
	if others := w.drain(); slices.Contains(others, "v0") || slices.Contains(others, "") {
		b.Errorf("Watch tells of what we did: %q", others)
	}
	b.must(small) // and sees others again after that
	w.meddle("class delete dev v0 classid 1:2")
	w.until("v0")
}

// Watch tells of links that go and come, and of what is done to those that came.
func testWatchLinks(b *bench) {
	b.must(small)
	w := b.watching()
	w.drain()
	b.RemoveLink("v0")
	w.until("v0")
	w.drain()
	b.AddLink(Link{Name: "v0"})
	w.until("v0")
	w.drain()
	w.meddle("qdisc add dev v0 root handle 1: htb")
	w.until("v0")
	w.drain()
	b.AddLink(Link{Name: "v2"})
	w.until("v2")
}
