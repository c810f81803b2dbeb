package bakery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

var errPlane = errors.New("the map is full")

// TestDataplaneThatFails is a problem, tried again with growing pauses, and holds up nothing
// of the classes.
func TestDataplaneThatFails(t *testing.T) {
	for name, fail := range map[string]func(*steerRig){
		"reading": func(r *steerRig) { r.d.FailSteers(errPlane, -1) },
		"writing": func(r *steerRig) {
			for n := range 1000 {
				r.d.FailSteer(n+1, 0, errPlane)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.stop()
				fail(r)
				r.start()
				r.must(append(smallNetwork(), mapTo("10.0.0.5", "1:5"))...)
				err := r.h.WaitApplied(t.Context(), 8, 8)
				if err == nil || !strings.Contains(err.Error(), "record 8 is durable, but not all is applied: dataplane: the map is full") {
					t.Errorf("waiting: %v", err)
				}
				r.inSync()
				r.d.Reset()
				s := r.quiet(time.Hour)
				c := r.d.Counts()
				if p := s.Problems[0]; p.Tried < 110 || p.Tried > 140 || p.Object != "dataplane" || c.Reads > 250 || s.Phase != bakery.PhaseDiffers || s.Applied != 8 {
					t.Errorf("after an hour: %+v, %+v, problem %+v", s, c, p)
				}
				r.must(aCircuit("1:3", "9", 1))
				r.quiet(0)
				r.inSync()
				r.d.Heal()
				s = r.quiet(30 * time.Second)
				r.steered()
				if s.ProblemsTotal > 0 || s.Phase != bakery.PhaseInSync || s.DriftTotal > 0 {
					t.Errorf("healed: %+v", s)
				}
			})
		})
	}
}

// TestWriteThatFailsHalfway: it is read what came of it, which is no drift, and the rest is
// written.
func TestWriteThatFailsHalfway(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.must(smallNetwork()...)
		r.quiet(time.Second)
		r.d.FailSteer(1, 1, errPlane)
		r.must(mapTo("10.0.0.5", "1:5"), mapTo("10.0.0.6", "1:6"))
		r.quiet(0)
		r.steers("set " + five)
		r.applied()
		r.steers("set " + six)
		r.d.FailSteer(1, 2, errPlane)
		r.must(mapTo("10.0.0.5", "1:6"), bakery.DelIPFlow{Address: "10.0.0.6"})
		r.quiet(0)
		r.d.FailSteer(1, 2, errPlane) // all of it is done
		r.applied()
		r.steers("set 10.0.0.5/32 down → 1:6 cpu 0", "drop "+six)
		if s := r.h.Kernel(); s.DriftTotal > 0 || s.ProblemsTotal > 0 {
			t.Errorf("status: %+v", s)
		}
	})
}

// TestRetreatThatFails: the class goes all the same. A dead handle is harmless.
func TestRetreatThatFails(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.d.FailSteer(1, 0, errPlane)
		r.must(lines("class del dev eth1 classid 1:5"))
		r.quiet(0)
		r.inSync()
		r.has(five, six)
		if s := r.h.Kernel(); s.ProblemsTotal != 1 || s.Problems[0].Object != "dataplane" {
			t.Errorf("status: %+v", s)
		}
		r.applied()
		r.steers("drop " + five)
	})
}

// TestRetreatReadsFirst: while it isn't known what the dataplane has it is read before a
// class goes, though the next try would be later.
func TestRetreatReadsFirst(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.d.FailSteers(errPlane, 6)
		r.quiet(5 * time.Second)
		if s := r.h.Kernel(); s.ProblemsTotal != 1 || !s.Problems[0].Next.After(time.Now().Add(time.Second)) {
			t.Fatalf("status: %+v", s)
		}
		r.must(mapTo("10.0.0.7", "1:6"))
		r.quiet(0)
		r.steers()
		r.must(lines("class del dev eth1 classid 1:5"))
		r.quiet(0)
		r.steers("drop "+five, "set 10.0.0.7/32 down → 1:6 cpu 0")
	})
}

// TestKilledWhileSteering: whoever is killed ahead of an entry, or of an op, finishes it.
func TestKilledWhileSteering(t *testing.T) {
	change := []bakery.Command{aCircuit("1:4", "5", 10), lines("class del dev eth1 classid 1:6"), aCircuit("1:3", "9", 1),
		mapTo("10.0.0.6", "1:9"), mapTo("10.0.0.7", "1:5"), bakery.DelIPFlow{Address: "10.0.0.9"}}
	for n := 1; ; n++ {
		done := false
		inSteering(t, func(t *testing.T, r *steerRig) {
			r.mapped()
			r.must(mapTo("10.0.0.9", "1:6"), mapTo("10.0.0.8", "1:4"))
			r.quiet(2 * time.Second) // until the cursor is durable
			done = r.killAheadOf(n, change...)
			r.start()
			r.applied()
			r.quiet(time.Second)
			r.steered()
			r.inSync()
			if s := r.h.Kernel(); s.DriftTotal > 0 || s.ProblemsTotal > 0 {
				t.Errorf("killed ahead of event %d: %+v", n, s)
			}
		})
		if done || t.Failed() {
			if n < 8 {
				t.Errorf("there were %d events", n-1)
			}
			return
		}
	}
}

// killAheadOf ends the bakery ahead of its nth write to the kernel or the dataplane; true if
// there weren't as many within a minute.
func (r *steerRig) killAheadOf(n int, commands ...bakery.Command) bool {
	r.t.Helper()
	events := 0
	ahead := func() {
		if events++; events == n {
			go r.stop()
			<-time.After(time.Millisecond) // until the context has ended
		}
	}
	r.k.Before(func(tc.Op) { ahead() })
	r.d.Before(func(tc.Steer) { ahead() })
	if ticket, err := r.h.Submit(r.t.Context(), bakery.Submission{Commands: commands}); err == nil { // not killed yet
		ticket.Wait()
	}
	r.quiet(time.Minute)
	r.stop()
	r.k.Before(nil)
	r.d.Before(nil)
	return events < n
}
