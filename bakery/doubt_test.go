package bakery_test

import (
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// staleLog is an event log whose cursor stays what it is while stale says so, as when the
// daemon ends before it is durable.
type staleLog struct {
	bakery.Log
	stale *atomic.Bool
}

func (l staleLog) SetCursor(name string, v []byte) {
	if !l.stale.Load() {
		l.Log.SetCursor(name, v)
	}
}

// stale makes cursors stay what they are from when the result is set.
func stale(flag *atomic.Bool) func(*bakery.Options) {
	return func(o *bakery.Options) {
		open := o.OpenLog
		o.OpenLog = func() (bakery.Log, error) {
			l, err := open()
			return staleLog{l, flag}, err
		}
	}
}

func classLine(verb, id string) bakery.Command {
	return lines("class " + verb + " dev eth1 classid " + id)
}

// TestStaleCursor: what was applied after the cursor was durable isn't drift after a restart,
// whatever the newest record is.
func TestStaleCursor(t *testing.T) {
	for name, policy := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		for last, after := range map[string][]bakery.Command{
			"a class":                 {aSite("9", 10)},
			"a class below a new one": {aSite("9", 10), aCircuit("1:9", "a", 5), aLeaf(10, "fq_codel")},
			"a move":                  {aCircuit("1:4", "5", 10)},
			"a removal":               {classLine("del", "1:6")},
		} {
			t.Run(name+"/"+last, func(t *testing.T) {
				var isStale atomic.Bool
				inApplyMode(t, func(t *testing.T, r *applyRig) {
					r.must(smallNetwork()...)
					r.applied()
					r.quiet(2 * time.Second)
					isStale.Store(true)
					r.must(after...)
					r.applied()
					r.must(bakery.MqSetup{}) // which waits
					r.restart()
					if s := r.quiet(100 * time.Millisecond); s.Phase != bakery.PhaseSettling {
						t.Errorf("phase %s, want %s", s.Phase, bakery.PhaseSettling)
					}
					r.drifted()
					r.quiet(settle)
					r.inSync()
					r.drifted()
				}, policy, stale(&isStale))
			})
		}
	}
}

// restlessLog begins a segment whenever it can, with a snapshot that is newer than a stale cursor.
type restlessLog struct{ bakery.Log }

func (restlessLog) NeedsRoll() bool { return true }

func rolling(o *bakery.Options) {
	open := o.OpenLog
	o.OpenLog = func() (bakery.Log, error) {
		l, err := open()
		return restlessLog{l}, err
	}
}

// TestClassThatCameAndWent: a class that was made and removed again by records that the
// cursor doesn't tell of goes, and is no drift.
func TestClassThatCameAndWent(t *testing.T) {
	for name, policy := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		t.Run(name, func(t *testing.T) {
			var isStale atomic.Bool
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.quiet(2 * time.Second)
				isStale.Store(true)
				r.must(aSite("9", 10))
				r.applied()
				r.k.FailObserve(outOfLuck, -1) // nothing more is applied
				r.k.Overrun()
				r.quiet(time.Second)
				r.must(classLine("del", "1:9"))
				r.stop()
				r.k.Heal()
				r.start()
				r.quiet(time.Second)
				r.inSync()
				r.drifted()
			}, policy, stale(&isStale))
		})
	}
}

// TestStaleCursorBeforeTheSnapshot: what somebody else did while no daemon ran is found, also where the newest snapshot is
// newer than the cursor.
func TestStaleCursorBeforeTheSnapshot(t *testing.T) {
	var isStale atomic.Bool
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second)
		isStale.Store(true)
		r.must(aSite("9", 10))
		r.must(aSite("9", 11))
		r.applied()
		r.stop()
		r.meddle("class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit")
		r.start()
		r.quiet(time.Second)
		r.inSync()
		r.drifted("repaired: added class 1:99 on eth1")
	}, rolling, stale(&isStale))
}

// TestLinkThatIsNewToTheCursor: a root that we put on a link which has come back is ours,
// though the cursor speaks of the link before.
func TestLinkThatIsNewToTheCursor(t *testing.T) {
	var isStale atomic.Bool
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second)
		isStale.Store(true)
		r.k.RemoveLink("eth1")
		r.quiet(time.Second)
		r.k.AddLink(kerneltest.Link{Name: "eth1"})
		r.quiet(time.Second)
		r.inSync()
		r.must(bakery.ClearPriorSettings{})
		r.restart()
		r.quiet(2 * settle)
		r.inSync()
	}, stale(&isStale))
}

// TestDriftEndsWithItsLink: when nobody asks for anything on a link any more, what drifted
// there is over.
func TestDriftEndsWithItsLink(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.meddle("qdisc del dev eth1 root")
		if s := r.quiet(time.Second); s.DriftOpen != 1 {
			t.Fatalf("%d open, want 1: %+v", s.DriftOpen, s.Drift)
		}
		r.must(bakery.ClearPriorSettings{})
		s := r.quiet(time.Minute) // at the next reading
		r.inSync()
		if s.DriftOpen > 0 || s.Phase != bakery.PhaseInSync {
			t.Errorf("phase %s, open: %+v", s.Phase, s.Drift)
		}
	}, reporting)
}

// TestLostAnswerThenAReset: what went with an object whose deletion was done though nobody
// knows isn't drift, also where a reset comes before the link is read.
func TestLostAnswerThenAReset(t *testing.T) {
	deletion := func(op tc.Op) bool { return op.Verb == tc.Delete }
	for name, policy := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.k.LoseAcks(deletion, 1)
				r.k.Before(func(op tc.Op) {
					if deletion(op) {
						r.k.Before(nil)
						r.must(bakery.MqSetup{})
					}
				})
				r.must(lines("qdisc del dev eth1 parent 7fff:1"))
				r.quiet(100 * time.Millisecond)
				r.drifted()
				r.quiet(2 * settle)
				r.inSync()
				r.drifted()
			}, policy)
		})
	}
}

// TestLostAnswerThenARemoval: a class that was made though nobody knows is removed when a
// record asks for that, and is no drift.
func TestLostAnswerThenARemoval(t *testing.T) {
	addition := func(op tc.Op) bool { return op.Verb == tc.Add && op.Class != nil }
	for name, policy := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.k.LoseAcks(addition, 1)
				r.k.Before(func(op tc.Op) {
					if addition(op) {
						r.k.Before(nil)
						r.must(classLine("del", "1:9"))
					}
				})
				r.must(aSite("9", 10))
				r.quiet(time.Second)
				r.inSync()
				r.drifted()
			}, policy)
		})
	}
}

// TestQuantumOfAClassThatHadChildren: the kernel leaves the quantum of a class with children
// as it is; when they have gone it is set, and that it wasn't is no drift.
func TestQuantumOfAClassThatHadChildren(t *testing.T) {
	for name, policy := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		for between, restarts := range map[string]bool{"running": false, "restarted": true} {
			t.Run(name+"/"+between, func(t *testing.T) {
				inApplyMode(t, func(t *testing.T, r *applyRig) {
					r.must(smallNetwork()...)
					r.applied()
					r.must(aSite("3", 5))
					r.applied()
					r.quiet(2 * time.Second)
					if restarts {
						r.restart()
						r.quiet(time.Second)
					}
					r.must(bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:4", ClassID: "5", RateMbps: 10, CeilMbps: 10, CircuitHash: 8, R2Q: 10})
					r.applied()
					r.quiet(time.Second)
					r.inSync()
					r.drifted()
				}, policy)
			})
		}
	}
}

// TestDeletionThatFailedBefore: what couldn't be deleted has its contents still, also after a
// restart, and they are no drift.
func TestDeletionThatFailedBefore(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.FailWhen(func(op tc.Op) bool { return op.Verb == tc.Delete }, kerneltest.EPERM, -1)
		r.must(bakery.ClearPriorSettings{})
		r.quiet(3 * time.Second)
		r.restart()
		r.quiet(time.Second)
		r.drifted()
		r.k.Heal()
		r.quiet(time.Minute)
		r.inSync()
		r.drifted()
	})
}
