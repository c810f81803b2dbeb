package kernel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// flatTree is an htb with n classes side by side.
func flatTree(n int) []string {
	lines := []string{"qdisc replace dev v0 root handle 1: htb default 2"}
	for i := range n {
		lines = append(lines, fmt.Sprintf("class add dev v0 parent 1: classid 1:%x htb rate 1mbit quantum 1522", i+1))
	}
	return lines
}

// One bad op among 10,000 is named, with the kernel's words, and the others are done.
func TestOneOfTenThousand(t *testing.T) {
	inLab(t, func(l lab) {
		const classes, bad = 5000, 7000
		lines := flatTree(classes)
		for i := range 9999 - classes {
			lines = append(lines, fmt.Sprintf("class change dev v0 classid 1:%x htb rate 2mbit quantum 1522", i+1))
		}
		lines[bad] = "class add dev v0 parent 1: classid 1:1 htb rate 2mbit"
		for i, r := range l.kernel.Apply(t.Context(), ops(t, lines...)) {
			var refusal *OpError
			switch {
			case i != bad && r.Err != nil:
				t.Fatalf("op %d: %v", i, r.Err)
			case i == bad && (!errors.As(r.Err, &refusal) || !errors.Is(r.Err, tc.ErrExists) || refusal.Errno != unix.EEXIST):
				t.Errorf("the bad op: %v", r.Err)
			}
		}
		lines[bad] = ""
		if d := differences(wanted(t, l.kernel.Host(), lines...), l.observe().State); d != "" {
			t.Error(d)
		}
	})
}

// The kernel's own words are in the error.
func TestRefusalHasTheKernelsWords(t *testing.T) {
	inLab(t, func(l lab) {
		r := l.kernel.Apply(t.Context(), ops(t, "qdisc add dev v0 root handle 1: netem delay 5ms",
			"qdisc add dev v0 root handle 1: htb", "qdisc add dev v0 parent 1:99 handle 8001: pfifo"))
		want := "qdisc add dev v0 parent 1:99 handle 8001: pfifo: Specified class not found (no such file or directory)"
		if r[2].Err == nil || r[2].Err.Error() != want || !errors.Is(r[2].Err, unix.ENOENT) {
			t.Errorf("error %v, want %s", r[2].Err, want)
		}
	})
}

// A class below one that fails isn't sent, however many batches they are in; the kernel
// would hang it at the root.
func TestNothingHangsAtTheRoot(t *testing.T) {
	l := defaultLimits
	l.messages = 3
	for name, limits := range map[string]limits{"large batches": defaultLimits, "small batches": l} {
		t.Run(name, func(t *testing.T) {
			inLabWith(t, limits, func(l lab) {
				lines := []string{"qdisc add dev v0 root handle 1: htb", "class add dev v0 parent 1: classid 1:1 htb rate 1gbit",
					"class add dev v0 parent 1: classid 1:2 htb rate 0bit"}
				for i := range 10 {
					lines = append(lines, fmt.Sprintf("class add dev v0 parent 1:%x classid 1:%x htb rate 1mbit", 1+i%2, 0x10+i),
						fmt.Sprintf("class add dev v0 parent 1:%x classid 1:%x htb rate 1mbit", 0x10+i, 0x20+i))
				}
				results := l.kernel.Apply(t.Context(), ops(t, lines...))
				for i, r := range results[3:] {
					below := i/2%2 == 1 // 1:2, that couldn't be made
					if errors.Is(r.Err, tc.ErrNotTried) != below || !below && r.Err != nil {
						t.Errorf("%s: %v", lines[3+i], r.Err)
					}
					if below && !strings.Contains(r.Err.Error(), "classid 1:2 htb") {
						t.Errorf("%s: %v doesn't name 1:2", lines[3+i], r.Err)
					}
				}
				for c := range l.observe().State.Children("v0", tc.NewHandle(1, 0)) {
					if c.ID != tc.NewHandle(1, 1) {
						t.Errorf("class %v hangs at the root", c.ID)
					}
				}
			})
		})
	}
}

// Acks that don't fit into the buffer are outcomes that nobody knows; nothing hangs, and
// what was answered is not in doubt. A class whose parent may be missing isn't tried.
func TestLostAcks(t *testing.T) {
	l := defaultLimits
	l.buffer = 1 // the smallest there is, a few KiB
	inLabWith(t, l, func(l lab) {
		l.apply("qdisc add dev v0 root handle 1: htb")
		begin := time.Now()
		lost := 0
		lines := flatTree(200)[1:]
		for i := range 200 {
			lines = append(lines, fmt.Sprintf("class add dev v0 parent 1:%x classid 1:%x htb rate 1mbit quantum 1522", i+1, 0x1000+i))
		}
		results := l.kernel.Apply(t.Context(), ops(t, lines...))
		for i, r := range results[:200] {
			if below := results[200+i].Err; errors.Is(below, tc.ErrNotTried) != errors.Is(r.Err, tc.ErrUnknownOutcome) {
				t.Errorf("op %d: %v, and the one below it: %v", i, r.Err, below)
			}
			if errors.Is(r.Err, tc.ErrUnknownOutcome) {
				lost++
			} else if r.Err != nil {
				t.Errorf("op %d: %v", i, r.Err)
			}
		}
		if lost == 0 || lost == 200 {
			t.Errorf("%d of 200 acks were lost", lost)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("it took %v", d)
		}
		// The socket still works.
		if r := l.kernel.Apply(t.Context(), ops(t, "class change dev v0 classid 1:5 htb rate 5mbit")); r[0].Err != nil {
			t.Errorf("after the loss: %v", r[0].Err)
		}
		run(t, "", "tc", "class", "change", "dev", "v0", "parent", "1:", "classid", "1:c8", "htb", "rate", "5mbit") // it was made
	})
}

// Without CAP_NET_ADMIN everything is refused, by that name.
func TestPermission(t *testing.T) {
	inLab(t, func(l lab) {
		done := make(chan []tc.Result)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			if err := dropNetAdmin(); err != nil {
				t.Error(err)
			}
			k, err := Open()
			if err != nil {
				t.Error(err)
				close(done)
				return
			}
			defer func() { _ = k.Close() }()
			if _, err := k.Observe(t.Context(), []string{"v0"}, nil); err != nil {
				t.Errorf("observing needs no privilege: %v", err)
			}
			done <- k.Apply(t.Context(), ops(t, "qdisc add dev v0 root handle 1: htb"))
		}()
		if r := <-done; len(r) != 1 || !errors.Is(r[0].Err, tc.ErrPermission) {
			t.Errorf("results %v", r)
		}
	})
}

// dropNetAdmin takes CAP_NET_ADMIN from this thread.
func dropNetAdmin() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	return unix.Capset(&header, &data[0])
}

// When the context ends in the middle, what was sent has its result and the rest isn't sent.
func TestApplyEndsWithItsContext(t *testing.T) {
	inLab(t, func(l lab) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, r := range l.kernel.Apply(ctx, ops(t, flatTree(3)...)) {
			if !errors.Is(r.Err, tc.ErrNotTried) || !errors.Is(r.Err, context.Canceled) {
				t.Errorf("error %v", r.Err)
			}
		}
		if n := l.observe().State.Len(); n != 0 {
			t.Errorf("%d things were made", n)
		}
	})
}

// What isn't an op of one thing, or of a kind that can't be sent, is refused by itself.
func TestApplyRefuses(t *testing.T) {
	inLab(t, func(l lab) {
		odd := []tc.Op{{}, {Qdisc: &tc.Qdisc{Link: "v0"}, Class: &tc.Class{Link: "v0"}},
			{Qdisc: &tc.Qdisc{Link: "v0", Parent: tc.Root, Options: tc.Foreign{Name: "prio"}}},
			{Qdisc: &tc.Qdisc{Link: "v0", Parent: tc.Root, Options: tc.Netem{Delay: time.Millisecond, Jitter: time.Millisecond, Distribution: "none"}}}}
		for i, want := range []error{tc.ErrInvalid, tc.ErrInvalid, tc.ErrNotSupported, errNoTable} {
			if r := l.kernel.Apply(t.Context(), odd)[i]; !errors.Is(r.Err, want) {
				t.Errorf("op %d: %v, want %v", i, r.Err, want)
			}
		}
	})
}
