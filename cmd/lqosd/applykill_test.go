package main

import (
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/lqosconf"
)

func eventlogSeq(n uint64) eventlog.Seq { return eventlog.Seq(n) }

// TestKillWhileBuilding kills the daemon at random moments of building n1000; the next one completes the tree.
func TestKillWhileBuilding(t *testing.T) {
	inField(t, "n1000", func(f *field) {
		dice := seeded(t)
		f.tcBatch(f.batch())
		want := f.show()
		f.clear()
		requests := f.trace("trace.jsonl")
		d := f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
		mustPlay(t, connect(t, f.place, bus.CBOR), requests, 1024)
		inTheMiddle := 0
		for range 8 {
			f.awaitWrites(1 + dice.IntN(600))
			d.kill()
			if f.show() != want {
				inTheMiddle++
			}
			d = f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
		}
		f.applied()
		f.shows(want)
		f.sameAsLog()
		if inTheMiddle == 0 {
			t.Error("no daemon was killed in the middle")
		}
		t.Logf("%d of 8 daemons were killed before the tree was complete", inTheMiddle)
		f.watch.count()
		d.kill()
		f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
		f.applied()
		f.wrote("a restart after a kill, with the kernel as it was", 0)
	})
}

// awaitWrites waits until the kernel has seen so many changes, or a moment has passed.
func (f *field) awaitWrites(n int) {
	for range n {
		select {
		case <-f.watch.seen:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}
