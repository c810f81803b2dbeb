package bakery_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// TestCrashInAMove: a site with a circuit moves below another, which takes several ops; who
// is killed between two of them finishes it, and calls nothing of it drift.
func TestCrashInAMove(t *testing.T) {
	move := bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:4", ClassID: "3", RateMbps: 50, CeilMbps: 50, SiteHash: 7, R2Q: 10}
	for name, edit := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		for n := 1; n <= 7; n++ {
			t.Run(fmt.Sprintf("%s/ahead of op %d", name, n), func(t *testing.T) {
				inApplyMode(t, func(t *testing.T, r *applyRig) {
					r.must(smallNetwork()...)
					r.applied()
					r.quiet(2 * time.Second) // until the cursor is durable
					r.killAfter(n, move)
					r.start()
					r.calm()
					r.drifted()
				}, edit)
			})
		}
	}
}

// TestCrashBetweenRecords: who was killed while it applied a record that a newer one took back finds what
// it left, and makes it right, also where drift is only reported: nobody else would.
func TestCrashBetweenRecords(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second) // until the cursor is durable
		r.killAfter(2, aSite("3", 50), aSite("4", 50))
		kernel := r.o.Kernel
		r.o.Kernel = nil
		r.start()
		r.differs("changed class 1:4 on eth1: rate 50mbit → 100mbit, ceil 50mbit → 100mbit")
		r.must(aSite("3", 100), aSite("4", 100))
		r.stop()
		r.o.Kernel = kernel
		r.start()
		r.calm()
		r.drifted()
		r.inSync()
	}, reporting)
}

// TestPanicOfTheApplier: a mistake in the applier is shown, takes down nothing, and after
// half a minute everything is read again.
func TestPanicOfTheApplier(t *testing.T) {
	var panics atomic.Bool
	panics.Store(true)
	k := &stubborn{applied: func([]tc.Op) {
		if panics.Swap(false) {
			panic("a mistake")
		}
	}}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		s := r.quiet(time.Second)
		if s.Phase != bakery.PhaseDiffers || s.ProblemsTotal != 1 || s.Problems[0].Object != "applier" || !strings.Contains(s.Problems[0].Error, "a mistake") {
			t.Fatalf("status: %+v", s)
		}
		r.must(aSite("9", 10))
		s = r.quiet(30 * time.Second)
		r.inSync()
		if s.Phase != bakery.PhaseInSync || s.ProblemsTotal > 0 || s.Applied != 8 {
			t.Errorf("status later: %+v", s)
		}
	}, k.on)
}
