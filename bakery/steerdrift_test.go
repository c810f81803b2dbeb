package bakery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// steerDrifts are what others do to the dataplane, what is reported of it, and what mends it.
var steerDrifts = map[string]struct {
	set, drop []tc.Steer
	drift     string
	writes    []string
}{
	"an entry removed": {nil, []tc.Steer{steerOf("10.0.0.5", "1:5", false)}, "removed mapping " + five, []string{"set " + five}},
	"an entry added":   {[]tc.Steer{steerOf("10.0.0.9", "1:5", true)}, nil, "added mapping 10.0.0.9/32 up → 1:5 cpu 0", []string{"drop 10.0.0.9/32 up → 1:5 cpu 0"}},
	"an entry changed": {[]tc.Steer{steerOf("10.0.0.5", "1:6", false)}, nil, "changed mapping " + five + ": class 1:5 → 1:6", []string{"set " + five}},
	"an entry that points nowhere": {[]tc.Steer{{Prefix: prefixOf("10.0.0.5"), Class: tc.NewHandle(9, 9), CPU: 3}}, nil,
		"changed mapping " + five + ": class 1:5 → 9:9, cpu 0 → 3, circuit 8 → 0", []string{"set " + five}},
}

func TestSteerDriftIsRepaired(t *testing.T) {
	for name, c := range steerDrifts {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.mapped()
				r.d.Meddle(c.set, c.drop)
				r.quiet(time.Second)
				r.drifted("repaired: " + c.drift)
				r.steers(c.writes...)
				r.steered()
				d := r.h.Kernel().Drift[0]
				if d.Object != "mapping" || d.Link == "" || d.Fields == nil || d.Ended == nil {
					t.Errorf("drift: %+v", d)
				}
				if s := r.quiet(time.Minute); s.Phase != bakery.PhaseInSync || s.DriftTotal != 1 || s.DriftOpen != 0 {
					t.Errorf("status: %+v", s)
				}
			})
		})
	}
}

// TestSteerDriftDoesntWait for the commands to be quiet.
func TestSteerDriftDoesntWait(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.d.Meddle([]tc.Steer{steerOf("10.0.0.9", "1:5", false)}, nil)
		for range 4 {
			r.quiet(300 * time.Millisecond)
			r.must(mapTo("10.0.0.5", "1:5"))
		}
		r.steers("drop 10.0.0.9/32 down → 1:5 cpu 0")
	})
}

func TestSteerDriftIsReported(t *testing.T) {
	for name, c := range steerDrifts {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.mapped()
				before := r.d.Entries()
				r.d.Meddle(c.set, c.drop)
				r.quiet(time.Minute)
				r.drifted("open: " + c.drift)
				r.must(aSite("9", 10), mapTo("10.0.0.7", "1:6")) // what it isn't about
				r.applied()
				r.steers("set 10.0.0.7/32 down → 1:6 cpu 0")
				if s := r.h.Kernel(); s.Phase != bakery.PhaseDiffers || s.DriftOpen != 1 || s.DriftTotal != 1 {
					t.Errorf("status: %+v", s)
				}
				// Who takes it back, or what a record says, ends it.
				r.d.Meddle(before, c.set)
				r.d.Meddle(before, nil)
				r.quiet(time.Second)
				r.drifted("gone: " + c.drift)
			}, reporting)
		})
	}
}

// TestSteerDriftThatRecordsChange: what a record asks for is done, also where somebody else
// was.
func TestSteerDriftThatRecordsChange(t *testing.T) {
	for name, c := range map[string]struct {
		command bakery.Command
		drift   string
		want    []string
	}{
		"to another class": {forCircuit(mapTo("10.0.0.5", "1:4"), 8), "gone: changed", []string{"set 10.0.0.5/32 down → 1:4 cpu 0"}},
		"to what is there": {mapTo("10.0.0.5", "1:6"), "gone: changed", nil},
		"to nothing":       {bakery.DelIPFlow{Address: "10.0.0.5"}, "gone: changed", []string{"drop 10.0.0.5/32 down → 1:6 cpu 0"}},
		"not at all":       {lines("class del dev eth1 classid 1:6"), "gone: changed", []string{"drop 10.0.0.5/32 down → 1:6 cpu 0", "drop " + six, "set " + five}},
	} {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.mapped()
				r.d.Meddle([]tc.Steer{steerOf("10.0.0.5", "1:6", false)}, nil)
				r.quiet(time.Second)
				r.must(c.command)
				r.applied()
				r.quiet(2 * time.Second)
				r.steers(c.want...)
				r.drifted(c.drift + " mapping " + five + ": class 1:5 → 1:6")
				r.steered()
			}, reporting)
		})
	}
}

// TestMuchSteerDrift is told in one sentence.
func TestMuchSteerDrift(t *testing.T) {
	for name, edit := range map[string]func(*bakery.Options){"repaired": func(*bakery.Options) {}, "open": reporting} {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.mapped()
				var many []bakery.Command
				for i := range 300 {
					many = append(many, mapTo(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "1:5"))
				}
				r.must(many...)
				r.applied()
				all := r.d.Entries()
				r.d.Meddle(nil, all[2:])
				r.quiet(time.Second)
				r.drifted(name + ": removed mapping 10.1.0.0/32 down → 1:5 cpu 0, and 299 more mappings")
				if name == "repaired" {
					if d := cmp.Diff(steerLines(all), steerLines(r.d.Entries())); d != "" {
						t.Error(d)
					}
					return
				}
				r.d.Meddle(all, nil)
				r.quiet(time.Second)
				r.drifted("gone: removed mapping 10.1.0.0/32 down → 1:5 cpu 0, and 299 more mappings")
			}, edit)
		})
	}
}
