package bakery_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lqosd/bakery"
)

const ninth = "class change dev eth1 classid 1:5 htb rate 9mbit ceil 10mbit prio 3 quantum 125000"

// TestFirstReadFails: what changed while nobody watched is drift also when the links can't
// be read at once.
func TestFirstReadFails(t *testing.T) {
	away := func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second) // until the cursor is durable
		r.stop()
		r.meddle(ninth)
		r.k.FailObserve(errors.New("dump interrupted"), 3)
		r.k.Reset()
		r.start()
		r.quiet(time.Second)
	}
	t.Run("repaired", func(t *testing.T) {
		inApplyMode(t, func(t *testing.T, r *applyRig) {
			away(t, r)
			r.drifted("repaired: changed class 1:5 on eth1: rate 10mbit → 9mbit")
			r.inSync()
		})
	})
	t.Run("reported", func(t *testing.T) {
		inApplyMode(t, func(t *testing.T, r *applyRig) {
			away(t, r)
			r.drifted("open: changed class 1:5 on eth1: rate 10mbit → 9mbit")
			r.wrote()
		}, reporting)
	})
}

// TestOneUnreadableLink: one link that can't be read keeps no other waiting.
func TestOneUnreadableLink(t *testing.T) {
	unreadable := true
	k := &stubborn{observe: func(links []string) error {
		if unreadable && slices.Contains(links, "eth0") {
			return errors.New("dump interrupted")
		}
		return nil
	}}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		s := r.quiet(time.Second)
		if !r.hasClass(1, 5) || !r.hasClass(1, 6) {
			t.Errorf("eth1 has nothing of ours: %q", r.k.Writes())
		}
		if s.Phase != bakery.PhaseDiffers || s.ProblemsTotal != 1 || s.Problems[0].Object != "links" {
			t.Errorf("status: %+v", s)
		}
		// It goes on like that.
		r.must(aCircuit("1:4", "7", 1))
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(time.Second)
		if !r.hasClass(1, 5) || !r.hasClass(1, 7) {
			t.Errorf("eth1 isn't looked after: %q", r.k.Writes())
		}
		unreadable = false
		r.applied()
		r.inSync()
	}, k.on)
}

// TestUnreadableLinksAreReadSoon: the pauses between tries to read the links stay short,
// however often it failed.
func TestUnreadableLinksAreReadSoon(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.FailObserve(errors.New("dump interrupted"), -1)
		r.meddle("class delete dev eth1 classid 1:5")
		before := r.quiet(time.Hour).Reads
		if n := r.quiet(10*time.Second).Reads - before; n < 19 || n > 21 {
			t.Errorf("%d reads in 10 s, want one every 500 ms", n)
		}
		r.k.Heal()
		r.quiet(500 * time.Millisecond)
		r.inSync()
	})
}
