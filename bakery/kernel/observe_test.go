package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// TestObserveIsOfOneMoment: while somebody changes the rate of all classes, one after the
// other, what is observed is of one moment: those that have been changed come first. The
// control doesn't look at notices, and sees what never was.
func TestObserveIsOfOneMoment(t *testing.T) {
	inLab(t, func(l lab) {
		const classes = 2000
		l.batch(flatTree(classes)...)
		control := func() (map[string]tc.Observed, error) {
			conn, err := dial(l.kernel.limits.buffer, 0)
			if err != nil {
				return nil, err
			}
			defer func() { _ = conn.Close() }()
			o := observer{kernel: l.kernel, mail: newMailbox(conn), found: map[string]tc.Observed{}, names: map[int]string{}, states: map[string]*tc.Builder{}}
			return o.found, errors.Join(o.findLinks([]string{"v0"}, nil), o.readLinks())
		}
		observe := func() (map[string]tc.Observed, error) { return l.kernel.Observe(t.Context(), []string{"v0"}, nil) }
		for name, look := range map[string]func() (map[string]tc.Observed, error){"control": control, "Observe": observe} {
			looks, refused, torn := 0, 0, 0
			for round := range 10 {
				done := make(chan error, 1)
				cmd := exec.Command("tc", "-batch", "-")
				cmd.Stdin = strings.NewReader(changeAll(classes, 2+round))
				go func() { done <- cmd.Run() }()
				for busy := true; busy; looks++ {
					seen, err := look()
					switch {
					case errors.Is(err, errTorn):
						refused++
					case err != nil:
						t.Fatal(err)
					case steps(seen["v0"].State) > 1:
						torn++
					}
					select {
					case err := <-done:
						if busy = false; err != nil {
							t.Fatal(err)
						}
					default:
					}
				}
			}
			t.Logf("%s: %d looks, %d refused, %d torn", name, looks, refused, torn)
			if name == "Observe" && (torn > 0 || refused == looks) {
				t.Errorf("of %d looks %d were refused and %d torn", looks, refused, torn)
			}
		}
	})
}

// changeAll is a script that changes the rates of all classes in the order of a dump.
func changeAll(classes, mbit int) string {
	var script strings.Builder
	for i := range classes {
		fmt.Fprintf(&script, "class change dev v0 parent 1: classid 1:%x htb rate %dmbit quantum 1522\n", i+1, mbit)
	}
	return script.String()
}

// steps is how often the rate changes from a class to the next.
func steps(s *tc.State) int {
	n, last := 0, tc.Rate(0)
	for c := range s.Classes("v0") {
		if last != 0 && c.HTB.Rate != last {
			n++
		}
		last = c.HTB.Rate
	}
	return n
}

// TestObserveEndsInTime: a context or the time for a dump ends it, whatever the kernel does.
func TestObserveEndsInTime(t *testing.T) {
	hasty := defaultLimits
	hasty.dump = time.Nanosecond
	inLabWith(t, hasty, func(l lab) {
		l.batch(flatTree(100)...)
		if _, err := l.kernel.Observe(t.Context(), []string{"v0"}, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("no time for a dump: %v", err)
		}
		ctx, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if _, err := l.kernel.Observe(ctx, []string{"v0"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline that passed: %v", err)
		}
	})
}

// TestObserveForeign: a kind that isn't modelled is there, as Foreign; the kernel's own qdiscs
// are not.
func TestObserveForeign(t *testing.T) {
	inLab(t, func(l lab) {
		if out, err := exec.Command("tc", "qdisc", "add", "dev", "v0", "root", "handle", "5:", "prio").CombinedOutput(); err != nil {
			// A kernel without prio: what it would have said is tested by the decoder.
			t.Logf("no prio here: %s", out)
			return
		}
		got, ok := l.observe().State.Qdisc("v0", tc.Root)
		if !ok || got.Options != tc.Options(tc.Foreign{Name: "prio"}) {
			t.Errorf("observed %v", got)
		}
	})
}

// TestObserveManyLinks: links that aren't there are missing, others are all there, each with
// its own. A link goes by one name only.
func TestObserveManyLinks(t *testing.T) {
	inLab(t, func(l lab) {
		l.apply("qdisc add dev v0 root handle 1: htb", "qdisc add dev v1 root handle 2: pfifo limit 9")
		run(t, "", "ip", "link", "property", "add", "dev", "v0", "altname", "other0")
		seen, err := l.kernel.Observe(t.Context(), []string{"v0", "nolink", "v1", "averyveryverylongname", "other0"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) != 2 || seen["v0"].State.Len() != 1 || seen["v1"].State.Len() != 1 || seen["v0"].TxQueues != 4 {
			t.Errorf("observed %+v", seen)
		}
	})
}

func TestPassing(t *testing.T) {
	for err, want := range map[error]bool{errTorn: true, unix.EINTR: true, unix.ENOBUFS: true, unix.EPERM: false, errShort: false} {
		if got := passing(fmt.Errorf("doing it: %w", err)); got != want {
			t.Errorf("passing(%v) = %v", err, got)
		}
	}
}
