package kerneltest

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"lqosd/bakery/tc"

	"github.com/google/go-cmp/cmp"
)

const addRoot, addClass, addLeaf = "qdisc add dev v0 root handle 1: htb",
	"class add dev v0 parent 1: classid 1:1 htb rate 1mbit quantum 2000", "qdisc add dev v0 parent 1:1 handle 8001: pfifo limit 5"

// has makes sure that a link has what a script says.
func has(t *testing.T, f *Fake, script string) {
	t.Helper()
	b := &bench{T: t, Subject: f}
	b.wantState(f.State("v0"), b.wanted(script))
}

func TestFailNext(t *testing.T) {
	f := New(Link{Name: "v0"})
	f.FailNext(ENOBUFS)
	r := apply(t, f, addRoot, addRoot)
	if !errors.Is(r[0].Err, syscall.ENOBUFS) || r[1].Err != nil {
		t.Errorf("%v", r)
	}
	has(t, f, addRoot)
	if d := cmp.Diff([]string{addRoot + " # No buffer space available", addRoot}, f.Writes()); d != "" {
		t.Error(d)
	}
}

func TestFailWhen(t *testing.T) {
	f := New(Link{Name: "v0"}, Link{Name: "v1"})
	isClass := func(op tc.Op) bool { return op.Class != nil }
	f.FailWhen(isClass, EBUSY, 2)
	f.FailWhen(isClass, EPERM, -1)
	r := apply(t, f, addRoot, addClass, addClass, addClass, addClass)
	for i, want := range []error{nil, tc.ErrBusy, tc.ErrBusy, tc.ErrPermission, tc.ErrPermission} {
		if !errors.Is(r[i].Err, want) {
			t.Errorf("op %d: %v, want %v", i, r[i].Err, want)
		}
	}
	has(t, f, addRoot)
	f.Heal()
	if r := apply(t, f, addClass); r[0].Err != nil {
		t.Error(r[0].Err)
	}
}

// The op of a lost answer is done; what sits in it isn't tried, for it may not be.
func TestLoseAcks(t *testing.T) {
	f := New(Link{Name: "v0"})
	f.LoseAcks(func(op tc.Op) bool { return op.Line() == addClass }, 1)
	r := apply(t, f, addRoot, addClass, "class add dev v0 parent 1:1 classid 1:2 htb rate 1mbit", addClass)
	for i, want := range []error{nil, tc.ErrUnknownOutcome, tc.ErrNotTried, tc.ErrExists} {
		if !errors.Is(r[i].Err, want) {
			t.Errorf("op %d: %v, want %v", i, r[i].Err, want)
		}
	}
	has(t, f, addRoot+"\n"+addClass)
}

func TestFailObserve(t *testing.T) {
	f := New(Link{Name: "v0"})
	f.FailObserve(EINTR, 2)
	for i := range 3 {
		_, err := f.Observe(t.Context(), []string{"v0"}, nil)
		if errors.Is(err, syscall.EINTR) != (i < 2) {
			t.Errorf("Observe %d: %v", i, err)
		}
	}
	if n := f.Counts().Observes; n != 3 {
		t.Errorf("%d Observes", n)
	}
}

// A context that ends in the middle of a build leaves what was done.
func TestBeforeCancels(t *testing.T) {
	f := New(Link{Name: "v0"})
	ctx, cancel := context.WithCancel(t.Context())
	f.Before(func(op tc.Op) {
		if op.Line() == addLeaf {
			cancel()
		}
	})
	b := &bench{T: t, Subject: f}
	ops := b.parse(addRoot + "\n" + addClass + "\n" + addLeaf + "\nqdisc delete dev v0 root")
	for i, r := range f.Apply(ctx, ops) {
		if errors.Is(r.Err, context.Canceled) != (i >= 2) {
			t.Errorf("op %d: %v", i, r.Err)
		}
	}
	has(t, f, addRoot+"\n"+addClass)
	if n := f.Counts().Ops; n != 2 {
		t.Errorf("%d ops reached the kernel", n)
	}
}

// The hook may use the Fake: somebody else is quicker.
func TestBeforeMeddles(t *testing.T) {
	f := New(Link{Name: "v0"})
	f.Before(func(tc.Op) {
		f.Before(nil)
		if err := f.Meddle(addRoot); err != nil {
			t.Error(err)
		}
	})
	if r := apply(t, f, addRoot, addClass); !errors.Is(r[0].Err, tc.ErrExists) || r[1].Err != nil {
		t.Errorf("%v", r)
	}
}

func TestBlock(t *testing.T) {
	f := New(Link{Name: "v0"})
	blocked, release := f.Block()
	done := make(chan []tc.Result)
	go func() { done <- apply(t, f, addRoot, addClass) }()
	<-blocked
	has(t, f, "")
	select {
	case <-done:
		t.Fatal("Apply didn't wait")
	default:
	}
	release()
	release()
	if r := <-done; r[0].Err != nil || r[1].Err != nil {
		t.Errorf("%v", r)
	}
	has(t, f, addRoot+"\n"+addClass)
	apply(t, f, addLeaf) // nothing is blocked any more
}

func TestBlockEndsWithContext(t *testing.T) {
	f := New(Link{Name: "v0"})
	blocked, release := f.Block()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-blocked
		cancel()
	}()
	b := &bench{T: t, Subject: f}
	if r := f.Apply(ctx, b.parse(addRoot)); !errors.Is(r[0].Err, context.Canceled) {
		t.Errorf("%v", r)
	}
	has(t, f, "")
}

func TestLack(t *testing.T) {
	f := New(Link{Name: "v0"})
	f.Lack("cake")
	r := apply(t, f, "qdisc add dev v0 root cake", "qdisc add dev v0 root fq_codel")
	if !errors.Is(r[0].Err, tc.ErrNotSupported) || r[1].Err != nil {
		t.Errorf("%v", r)
	}
}

func TestErrno(t *testing.T) {
	f := New(Link{Name: "v0"})
	apply(t, f, addRoot, addClass, "class add dev v0 parent 1:1 classid 1:2 htb rate 1mbit")
	r := apply(t, f, "class delete dev v0 classid 1:1")[0]
	if !errors.Is(r.Err, syscall.EBUSY) || !errors.Is(r.Err, tc.ErrBusy) || !Refused(r, "HTB class in use.") {
		t.Errorf("%v", r.Err)
	}
	const want = "class delete dev v0 classid 1:1: HTB class in use. (is in use)"
	if r.Err.Error() != want {
		t.Errorf("%q, want %q", r.Err, want)
	}
}
