package bakery_test

import (
	"errors"
	"testing"
	"time"

	"lqosd/bakery"
)

// TestResetOfUnreadLinksSettles: links that can't be read may have a tree on them, and a
// reset waits as it does over one.
func TestResetOfUnreadLinksSettles(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(time.Second)
		r.k.FailObserve(errors.New("dump interrupted"), 3)
		r.k.Overrun()
		r.quiet(50 * time.Millisecond)
		r.k.Reset()
		r.must(bakery.ClearPriorSettings{})
		r.quiet(300 * time.Millisecond)
		r.wrote()
		r.quiet(settle)
		r.cleared()
	})
}

// TestSecondResetSettles: a reset that comes while the one before it is applied waits as
// long as any.
func TestSecondResetSettles(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		r.must(bakery.MqSetup{})
		blocked, release := r.k.Block()
		defer release()
		for applying := false; !applying; {
			r.must(aSite("3", 100))
			r.quiet(settle / 2)
			select {
			case <-blocked:
				applying = true
			default:
			}
		}
		r.must(bakery.ClearPriorSettings{})
		release()
		r.quiet(settle / 2)
		if r.wroteAbout("root") {
			t.Errorf("half a second after the reset: %q", r.k.Writes())
		}
		r.quiet(settle)
		r.cleared()
	})
}

// TestDriftWhileSettling: what somebody changes while a reset waits is drift, though the
// records that come ask for it.
func TestDriftWhileSettling(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.must(bakery.MqSetup{})
		r.quiet(100 * time.Millisecond)
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(300 * time.Millisecond)
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(time.Second)
		r.inSync()
		r.drifted("repaired: removed class 1:5 on eth1, with 1 more in it")
	})
}
