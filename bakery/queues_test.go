package bakery_test

import (
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// everyQueueHasOne wants a qdisc on each queue of eth1 that had one once: the kernel puts nothing back.
func (r *applyRig) everyQueueHasOne(queues uint16) {
	r.t.Helper()
	for n := range queues {
		if _, ok := r.k.State("eth1").Qdisc("eth1", tc.NewHandle(0x7fff, n+1)); !ok {
			r.t.Errorf("nothing is on queue %d: the kernel drops what is sent there", n+1)
		}
	}
}

// TestUnusedQueues: a queue that the tree gives up gets a pfifo, and what others put on one stays.
func TestUnusedQueues(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		four, zero := 4, 0
		r.must(bakery.MqSetup{QueuesAvailable: &four, StickOffset: &zero})
		r.applied()
		r.must(bakery.MqSetup{}) // the configuration has two
		r.applied()
		r.everyQueueHasOne(4)
		if s := r.quiet(time.Minute); s.Phase != bakery.PhaseInSync || s.DriftTotal != 0 {
			t.Errorf("status: %+v", s)
		}
		r.k.Reset()
		r.restart()
		r.applied()
		r.wrote()
		r.meddle("qdisc replace dev eth1 parent 7fff:3 handle 33: bfifo limit 9000")
		if s := r.quiet(time.Minute); s.Phase != bakery.PhaseInSync || s.DriftTotal != 0 {
			t.Errorf("status: %+v", s)
		}
		r.everyQueueHasOne(4)
		r.must(bakery.MqSetup{QueuesAvailable: &four, StickOffset: &zero})
		r.applied()
		r.inSync()
	})
}

// TestNewAskEndsBackoff: who asks for something else than what was refused doesn't wait for its next try.
func TestNewAskEndsBackoff(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.Lack("cake")
		r.must(smallNetwork()...)
		r.quiet(time.Minute)
		r.must(aLeaf(5, "pfifo limit 77"))
		if err := r.h.WaitApplied(t.Context(), 8, 8); err != nil {
			t.Error(err)
		}
		if q, _ := r.k.State("eth1").Qdisc("eth1", tc.NewHandle(1, 5)); q.Options == nil || q.Options.Kind() != "pfifo" {
			t.Errorf("at 1:5 is %+v", q)
		}
	})
}
