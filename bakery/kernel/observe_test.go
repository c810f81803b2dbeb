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

// TestObserveIsOfOneMoment: while somebody moves a rate through all classes, one after the
// other and back, what is observed is either refused or consistent: the classes that have
// been changed are a prefix.
func TestObserveIsOfOneMoment(t *testing.T) {
	inLab(t, func(l lab) {
		const classes = 2000
		l.batch(flatTree(classes)...)
		ctx, cancel := context.WithCancel(t.Context())
		var script strings.Builder
		for _, rate := range []string{"2mbit", "1mbit"} {
			for i := range classes {
				fmt.Fprintf(&script, "class change dev v0 parent 1: classid 1:%x htb rate %s quantum 1522\n", i+1, rate)
			}
		}
		meddled := make(chan int)
		go func() {
			rounds := 0
			for ; ctx.Err() == nil; rounds++ {
				cmd := exec.CommandContext(ctx, "tc", "-batch", "-")
				cmd.Stdin = strings.NewReader(script.String())
				_ = cmd.Run() // the last one is killed
			}
			meddled <- rounds
		}()
		refused, whole := 0, 0
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
			o, err := l.kernel.Observe(t.Context(), []string{"v0"})
			if err != nil {
				if !errors.Is(err, errTorn) {
					t.Error(err)
				}
				refused++
				continue
			}
			whole++
			changes := 0
			last := tc.Rate(0)
			for c := range o["v0"].State.Classes("v0") {
				if last != 0 && c.HTB.Rate != last {
					changes++
				}
				last = c.HTB.Rate
			}
			if changes > 1 {
				t.Errorf("the rate changes %d times from class to class", changes)
			}
		}
		cancel()
		t.Logf("%d rounds of changes, %d times refused, %d times consistent", <-meddled, refused, whole)
		if n := l.observe().State.ClassCount("v0"); n != classes {
			t.Errorf("afterwards there are %d classes", n)
		}
	})
}

// TestObserveEndsInTime: a context or the time for a dump ends it, whatever the kernel does.
func TestObserveEndsInTime(t *testing.T) {
	hasty := defaultLimits
	hasty.dump = time.Nanosecond
	inLabWith(t, hasty, func(l lab) {
		l.batch(flatTree(100)...)
		if _, err := l.kernel.Observe(t.Context(), []string{"v0"}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("no time for a dump: %v", err)
		}
		ctx, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		if _, err := l.kernel.Observe(ctx, []string{"v0"}); !errors.Is(err, context.DeadlineExceeded) {
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
// its own.
func TestObserveManyLinks(t *testing.T) {
	inLab(t, func(l lab) {
		l.apply("qdisc add dev v0 root handle 1: htb", "qdisc add dev v1 root handle 2: pfifo limit 9")
		seen, err := l.kernel.Observe(t.Context(), []string{"v0", "nolink", "v1", "averyveryverylongname"})
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
