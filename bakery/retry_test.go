package bakery_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// idles wants a bakery that looks at the clock at most 100 times a second while body runs.
func idles(t *testing.T, calls *atomic.Int64, body func()) {
	t.Helper()
	calls.Store(0)
	began := time.Now()
	body()
	if n, d := calls.Load(), time.Since(began); n > 100*int64(d/time.Second) {
		t.Errorf("it is busy: the clock was looked at %d times in %v", n, d)
	}
}

// TestIdlesWhileItCannotTry: what can't be tried at the moment keeps nobody busy.
func TestIdlesWhileItCannotTry(t *testing.T) {
	minute := func(_ *testing.T, r *applyRig) { r.quiet(time.Minute) }
	for name, c := range map[string]struct{ before, during func(*testing.T, *applyRig) }{
		"the link of what failed is gone": {func(_ *testing.T, r *applyRig) {
			r.k.RemoveLink("eth1")
			r.quiet(time.Minute)
		}, minute},
		"a reset waits": {func(_ *testing.T, r *applyRig) { r.must(bakery.MqSetup{}) }, func(_ *testing.T, r *applyRig) {
			for range 9 {
				r.quiet(900 * time.Millisecond)
				r.must(aSite("4", 100))
			}
		}},
		"what it sits in failed": {func(_ *testing.T, r *applyRig) {
			r.quiet(time.Minute)
			r.must(aCircuit("1:3", "9", 1))
			r.quiet(40 * time.Second)
		}, minute},
		"the link of a line that failed is gone": {func(_ *testing.T, r *applyRig) {
			r.k.Heal()
			r.k.OnExecute(func(string) error { return errors.New("tc says no") })
			r.must(bakery.ExecuteTCCommands{Lines: []string{aFilter}})
			r.quiet(time.Minute)
			r.k.RemoveLink("eth1")
			r.quiet(time.Minute)
		}, minute},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int64
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.k.FailWhen(ofClass(1, 3), outOfLuck, -1)
				r.must(smallNetwork()...)
				r.quiet(time.Second)
				c.before(t, r)
				idles(t, &calls, func() { c.during(t, r) })
			}, clockCalls(&calls))
		})
	}
}

// TestDriftThatCannotBeRepairedStaysOpen: it is gone when it is.
func TestDriftThatCannotBeRepairedStaysOpen(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.FailWhen(func(op tc.Op) bool { return op.Class != nil && op.Verb == tc.Delete }, outOfLuck, -1)
		r.meddle("class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit")
		s := r.quiet(time.Minute)
		r.drifted("open: added class 1:99 on eth1")
		if s.DriftOpen != 1 || s.ProblemsTotal != 1 {
			t.Errorf("status: %+v", s)
		}
		r.k.Heal()
		r.quiet(30 * time.Second)
		r.drifted("repaired: added class 1:99 on eth1")
		r.inSync()
	})
}

// TestChangeThatDoesNothing: what the kernel takes and doesn't do is a problem, and no
// reason to repeat it without a pause.
func TestChangeThatDoesNothing(t *testing.T) {
	k := &stubborn{skip: func(op tc.Op) bool { return op.Verb == tc.Change && ofClass(1, 5)(op) }}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.must(aCircuit("1:3", "5", 11))
		s := r.quiet(10 * time.Minute)
		if s.ProblemsTotal != 1 || s.Problems[0].Object != "class 1:5" || s.Problems[0].Seq != 8 || s.Writes > 60 {
			t.Errorf("status: %+v", s)
		}
	}, k.on)
}

// TestCausesComeFirst: the status lists what failed before what follows from it, whichever
// record asked for it.
func TestCausesComeFirst(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(ofClass(1, 3), outOfLuck, -1)
		r.must(append(smallNetwork(), aSite("3", 50))...)
		var objects []string
		for _, p := range r.quiet(time.Minute).Problems {
			objects = append(objects, p.Object)
		}
		want := []string{"class 1:3", "class 1:5", "qdisc " + handleAt(r, 5) + " at 1:5"}
		if len(objects) != 3 || objects[0] != want[0] || objects[1] != want[1] || objects[2] != want[2] {
			t.Errorf("problems %q, want %q", objects, want)
		}
	})
}
