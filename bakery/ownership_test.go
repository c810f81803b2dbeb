package bakery_test

import (
	"errors"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// cleared wants nothing of ours to be left on the links.
func (r *applyRig) cleared() {
	r.t.Helper()
	for _, link := range []string{"eth0", "eth1"} {
		if r.has(link, tc.Root) {
			r.t.Errorf("our root is left on %s; status %+v", link, r.h.Kernel())
		}
	}
}

// TestRootThatCouldNotBeRemovedStaysOurs: what is ours and isn't wanted any more is ours
// for as long as it is there.
func TestRootThatCouldNotBeRemovedStaysOurs(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.FailWhen(func(op tc.Op) bool { return op.Verb == tc.Delete && op.Qdisc != nil && op.Qdisc.Parent == tc.Root }, outOfLuck, 1)
		r.must(bakery.ClearPriorSettings{})
		r.quiet(time.Minute)
		r.cleared()
	})
}

// TestIngressThatCouldNotBeRemovedStaysOurs: the same of a clsact.
func TestIngressThatCouldNotBeRemovedStaysOurs(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 clsact"}})
		r.applied()
		r.k.FailNext(outOfLuck)
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc del dev eth1 clsact"}})
		r.quiet(time.Minute)
		if r.has("eth1", tc.Ingress) {
			t.Error("our clsact is left")
		}
	})
}

// TestOurRootGoesThoughTheFirstReadFails: what the cursor says is ours stays so until the
// link was read.
func TestOurRootGoesThoughTheFirstReadFails(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second) // until the cursor is durable
		r.must(bakery.ClearPriorSettings{})
		r.stop()
		r.k.FailObserve(errors.New("dump interrupted"), 3)
		r.start()
		r.quiet(time.Minute)
		r.cleared()
	})
}

// TestRootOfAnInterruptedBuildIsOurs: who is killed in the middle of the first build knows
// what he has begun, also when the first read after it fails.
func TestRootOfAnInterruptedBuildIsOurs(t *testing.T) {
	for name, failures := range map[string]int{"it is read": 0, "the first read fails": 3} {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.killAfter(12, smallNetwork()...)
				if !r.has("eth1", tc.Root) {
					t.Fatal("nothing was built")
				}
				r.k.FailObserve(errors.New("dump interrupted"), failures)
				r.start()
				r.must(bakery.ClearPriorSettings{})
				r.quiet(time.Minute)
				r.cleared()
			})
		})
	}
}

// TestForeignRootIsNotOursAfterARestart: the handle tells our root from another's.
func TestForeignRootIsNotOursAfterARestart(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second)
		r.must(bakery.ClearPriorSettings{})
		r.stop()
		r.meddle("qdisc replace dev eth1 root handle 5: htb")
		r.start()
		r.quiet(time.Minute)
		if !r.has("eth1", tc.Root) || r.has("eth0", tc.Root) {
			t.Errorf("foreign root on eth1: %v, ours on eth0: %v", r.has("eth1", tc.Root), r.has("eth0", tc.Root))
		}
	})
}

// TestClearedLinkThatIsGoneIsForgotten: a link that nobody asks for anything on is no
// problem, and isn't looked for.
func TestClearedLinkThatIsGoneIsForgotten(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(ofClass(1, 3), outOfLuck, -1)
		r.must(smallNetwork()...)
		r.quiet(time.Minute)
		r.k.RemoveLink("eth1")
		r.must(bakery.ClearPriorSettings{})
		s := r.quiet(3 * time.Second)
		if s.Phase != bakery.PhaseInSync || s.ProblemsTotal > 0 || len(s.Links) > 1 {
			t.Errorf("status: %+v", s)
		}
	})
}
