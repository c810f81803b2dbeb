package kernel

import (
	"context"
	"testing"
	"time"
)

// TestWatchLinksOnly: of a link only what matters to a shaper is reported, by name.
func TestWatchLinksOnly(t *testing.T) {
	inLab(t, func(l lab) {
		ctx, cancel := context.WithCancel(t.Context())
		changed, ended := make(chan string, 100), make(chan error)
		go func() { ended <- l.kernel.Watch(ctx, func(link string) { changed <- link }) }()
		expect := func(what string, want ...string) {
			t.Helper()
			for _, w := range want {
				select {
				case got := <-changed:
					if got != w {
						t.Errorf("%s: changed(%q), want %q", what, got, w)
					}
				case <-time.After(patience):
					t.Errorf("%s: no word of %q", what, w)
				}
			}
		}
		ip := func(args ...string) { run(t, "", "ip", append([]string{"link"}, args...)...) }
		expect("the begin", "")
		ip("set", "v1", "up") // both get a carrier
		ip("set", "v1", "down")
		ip("set", "v0", "alias", "x")
		ip("set", "v0", "mtu", "1400")
		expect("the MTU", "v0")
		ip("set", "v0", "txqueuelen", "77")
		expect("the queue length", "v0")
		ip("set", "v1", "name", "w1")
		expect("another name", "v1", "w1")
		l.apply("qdisc add dev v0 root handle 1: htb")
		run(t, "", "tc", "class", "add", "dev", "v0", "parent", "1:", "classid", "1:1", "htb", "rate", "1mbit")
		expect("somebody's class", "v0")
		ip("delete", "v0")
		for range 2 { // both ends
			if got := <-changed; got != "v0" && got != "w1" {
				t.Errorf("changed(%q) at the end", got)
			}
		}
		ip("add", "v0", "type", "veth", "peer", "name", "v1")
		for range 2 {
			if got := <-changed; got != "v0" && got != "v1" {
				t.Errorf("changed(%q) at the return", got)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch ended with %v", err)
		}
		select {
		case got := <-changed:
			t.Errorf("changed(%q) for nothing", got)
		default:
		}
	})
}

// TestWatchSurvivesLoss: a watch whose buffer is too small says that it can be any link.
func TestWatchSurvivesLoss(t *testing.T) {
	small := defaultLimits
	small.buffer = 4 << 10
	inLabWith(t, small, func(l lab) {
		ctx, cancel := context.WithCancel(t.Context())
		started, lost, ended := make(chan bool), make(chan bool, 1), make(chan error)
		blocked := make(chan bool)
		calls := 0
		go func() {
			ended <- l.kernel.Watch(ctx, func(link string) {
				if calls++; calls == 1 {
					close(started)
					<-blocked // until too much has happened
				} else if link == "" {
					select {
					case lost <- true:
					default:
					}
				}
			})
		}()
		<-started
		l.batch(flatTree(300)...)
		close(blocked)
		select {
		case <-lost:
		case <-time.After(patience):
			t.Error("no word of lost notices")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestWatcherForgets: the names of links that went are bounded in number.
func TestWatcherForgets(t *testing.T) {
	w := watcher{changed: func(string) {}, links: map[int]seen{1: {name: "lo", there: true}}}
	for i := range 10 * maxGone {
		w.remove(2+i, "x")
	}
	if len(w.links) > maxGone+2 || !w.links[1].there {
		t.Errorf("%d links are remembered", len(w.links))
	}
}

// TestWatchPaused: while Apply makes much nobody listens, what others changed meanwhile is told
// before it returns, and afterwards all is as before.
func TestWatchPaused(t *testing.T) {
	l := defaultLimits
	l.quiet = 3
	inLabWith(t, l, func(l lab) {
		ctx, cancel := context.WithCancel(t.Context())
		changed, ended := make(chan string, 100), make(chan error)
		go func() { ended <- l.kernel.Watch(ctx, func(link string) { changed <- link }) }()
		expect := func(what, want string) {
			t.Helper()
			select {
			case got := <-changed:
				if got != want {
					t.Errorf("%s: changed(%q), want %q", what, got, want)
				}
			case <-time.After(patience):
				t.Errorf("%s: no word of %q", what, want)
			}
		}
		expect("the begin", "")
		resume := l.kernel.notices.pause()
		run(t, "", "tc", "qdisc", "add", "dev", "v0", "root", "handle", "1:", "htb")
		resume()
		expect("what others made in a pause", "")
		l.apply("class add dev v0 parent 1: classid 1:1 htb rate 1mbit", "class add dev v0 parent 1: classid 1:2 htb rate 1mbit")
		run(t, "", "tc", "qdisc", "add", "dev", "v1", "root", "handle", "1:", "htb")
		expect("after two ops", "v1")
		l.apply("class add dev v0 parent 1: classid 1:3 htb rate 1mbit", "class add dev v0 parent 1: classid 1:4 htb rate 1mbit",
			"class add dev v0 parent 1: classid 1:5 htb rate 1mbit")
		expect("after three ops", "")
		run(t, "", "tc", "qdisc", "delete", "dev", "v1", "root")
		expect("somebody's qdisc", "v1")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch ended with %v", err)
		}
		l.kernel.notices.pause()() // of no Watch
		if len(changed) > 0 {
			t.Errorf("changed(%q) for nothing", <-changed)
		}
	})
}
