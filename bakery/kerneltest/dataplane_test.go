package kerneltest_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

var _ bakery.Dataplane = (*kerneltest.Dataplane)(nil)

// planeRig is a fake kernel that was observed, with classes 1:1 and 1:2 on v0, and a
// dataplane.
func planeRig(t *testing.T) (*kerneltest.Fake, *kerneltest.Dataplane) {
	t.Helper()
	f := kerneltest.New(kerneltest.Link{Name: "v0"})
	d := kerneltest.NewDataplane(f, bakery.Roles{Down: "v0", Up: "v0"})
	if err := f.Meddle("qdisc add dev v0 root handle 1: htb", "class add dev v0 parent 1: classid 1:1 htb rate 1mbit",
		"class add dev v0 parent 1: classid 1:2 htb rate 1mbit"); err != nil {
		t.Fatal(err)
	}
	observe(t, f)
	return f, d
}

func observe(t *testing.T, f *kerneltest.Fake) {
	t.Helper()
	if _, err := f.Observe(t.Context(), []string{"v0"}, nil); err != nil {
		t.Fatal(err)
	}
}

func steerTo(address string, class tc.Handle) tc.Steer {
	a := netip.MustParseAddr(address)
	return tc.Steer{Prefix: netip.PrefixFrom(a, a.BitLen()), Class: class}
}

// TestGuard: an entry that points nowhere is seen, unless nobody could have known.
func TestGuard(t *testing.T) {
	first := steerTo("10.0.0.1", tc.NewHandle(1, 1))
	gone := func(f *kerneltest.Fake) {
		f.Apply(context.Background(), []tc.Op{{Verb: tc.Delete, Class: &tc.Class{Link: "v0", ID: tc.NewHandle(1, 1)}}})
	}
	meddled := func(t *testing.T, f *kerneltest.Fake) {
		if err := f.Meddle("class delete dev v0 classid 1:1"); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do     func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane)
		broken string
	}{
		"a class deleted below it": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
			gone(f)
		}, `after "class delete dev v0 classid 1:1": 10.0.0.1/32 down → 1:1 cpu 0 points nowhere`},
		"set after the class went": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			gone(f)
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
		}, `after "set 10.0.0.1/32 down → 1:1 cpu 0": 10.0.0.1/32 down → 1:1 cpu 0 points nowhere`},
		"dropped before": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
			_ = d.Steer(t.Context(), nil, []tc.Steer{first})
			gone(f)
		}, ""},
		"the class taken by somebody": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			meddled(t, f)
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
			observe(t, f)
			f.Apply(t.Context(), []tc.Op{{Verb: tc.Delete, Class: &tc.Class{Link: "v0", ID: tc.NewHandle(1, 2)}}})
		}, ""},
		"set when that was seen": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			meddled(t, f)
			observe(t, f)
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
		}, "points nowhere"},
		"written by somebody": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			d.Meddle([]tc.Steer{first}, nil)
			gone(f)
			_, _ = d.Steers(t.Context())
			gone(f)
		}, ""},
		"read, and left there": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			d.Meddle([]tc.Steer{first}, nil)
			_, _ = d.Steers(t.Context())
			gone(f)
		}, "points nowhere"},
		"a drop that failed": {func(t *testing.T, f *kerneltest.Fake, d *kerneltest.Dataplane) {
			_ = d.Steer(t.Context(), []tc.Steer{first}, nil)
			d.FailSteer(1, 0, errors.New("no"))
			_ = d.Steer(t.Context(), nil, []tc.Steer{first})
			gone(f)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, d := planeRig(t)
			c.do(t, f, d)
			got := strings.Join(d.Broken(), "\n")
			if c.broken == "" && got != "" || !strings.Contains(got, c.broken) {
				t.Errorf("broken: %q, want %q", got, c.broken)
			}
		})
	}
}

// TestSteerFaults: the call that is to fails, with as much done as it is to do.
func TestSteerFaults(t *testing.T) {
	_, d := planeRig(t)
	no := errors.New("no")
	set := []tc.Steer{steerTo("10.0.0.1", tc.NewHandle(1, 1)), steerTo("10.0.0.2", tc.NewHandle(1, 2))}
	d.FailSteer(2, 1, no)
	if err := d.Steer(t.Context(), set[:1], nil); err != nil {
		t.Error(err)
	}
	if err := d.Steer(t.Context(), set[1:], set[:1]); !errors.Is(err, no) {
		t.Error(err)
	}
	if err := d.Steer(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
	d.FailSteers(no, 1)
	if _, err := d.Steers(t.Context()); !errors.Is(err, no) {
		t.Error(err)
	}
	if has, err := d.Steers(t.Context()); err != nil || len(has) != 2 {
		t.Error(has, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Steer(ended, nil, set); !errors.Is(err, context.Canceled) || len(d.Entries()) != 2 {
		t.Error(err, d.Entries())
	}
	if c := d.Counts(); c != (kerneltest.SteerCounts{Reads: 2, Calls: 3, Set: 2}) {
		t.Errorf("counts: %+v", c)
	}
	if diff := cmp.Diff([]string{"set 10.0.0.1/32 down → 1:1 cpu 0", "set 10.0.0.2/32 down → 1:2 cpu 0"}, d.Writes()); diff != "" {
		t.Error(diff)
	}
}
