package bakery_test

import (
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// TestObjectThatSomebodyKeepsUndoing: the same op three times in a row is a problem with
// pauses; when nobody undoes it any more it is repaired.
func TestObjectThatSomebodyKeepsUndoing(t *testing.T) {
	for name, undo := range map[string][]string{
		"a rate":  {ninth},
		"a class": {"class delete dev eth1 classid 1:5"},
		"a leaf":  {"qdisc delete dev eth1 parent 1:5"},
	} {
		t.Run(name, func(t *testing.T) {
			var meddles atomic.Bool
			k := &stubborn{}
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				meddles.Store(true)
				k.applied = func([]tc.Op) {
					if meddles.Load() {
						r.meddle(undo...)
					}
				}
				r.k.Reset()
				r.meddle(undo...)
				s := r.quiet(10 * time.Minute)
				if s.ProblemsTotal == 0 || s.Phase != bakery.PhaseDiffers {
					t.Errorf("status: %+v", s)
				}
				if n := r.k.Counts().Applies; n < 20 || n > 60 {
					t.Errorf("%d tries in 10 minutes, want one every 30 s", n)
				}
				meddles.Store(false)
				s = r.quiet(31 * time.Second)
				r.inSync()
				if s.ProblemsTotal > 0 || s.Phase != bakery.PhaseInSync || s.DriftOpen > 0 {
					t.Errorf("status when nobody undoes it: %+v", s)
				}
			}, k.on)
		})
	}
}

// TestMovesAreNotUndone: what a record makes necessary again is nobody's undoing, however
// often.
func TestMovesAreNotUndone(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.quiet(time.Second)
		for range 10 {
			for _, site := range []string{"1:4", "1:3"} {
				r.must(aCircuit(site, "5", 10))
				began := time.Now()
				r.applied()
				r.inSync()
				if took := time.Since(began); took > 0 {
					t.Errorf("a move waited %v", took)
				}
			}
		}
	})
}
