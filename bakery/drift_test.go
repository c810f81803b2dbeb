package bakery_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
)

// driftCases are what others do to a small network, what is reported of it, and the
// writes that mend it.
var driftCases = map[string]struct {
	lines  []string
	drift  string
	writes []string // prefixes
}{
	"a leaf deleted": {[]string{"qdisc delete dev eth1 parent 1:5"}, "removed qdisc LEAF at 1:5 on eth1",
		[]string{"qdisc add dev eth1 parent 1:5 handle LEAF cake"}},
	"a rate changed": {[]string{"class change dev eth1 classid 1:5 htb rate 9mbit ceil 10mbit prio 3 quantum 125000"}, "changed class 1:5 on eth1: rate 10mbit → 9mbit",
		[]string{"class change dev eth1 parent 1:3 classid 1:5 htb rate 10mbit"}},
	"a class added": {[]string{"class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit"}, "added class 1:99 on eth1",
		[]string{"class delete dev eth1 classid 1:99"}},
	"a class with a leaf added": {[]string{"class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit", "qdisc add dev eth1 parent 1:99 pfifo"},
		"added class 1:99 on eth1, with 1 more in it", []string{"class delete dev eth1 classid 1:99"}},
	"a leaf of another kind": {[]string{"qdisc delete dev eth1 parent 1:5", "qdisc add dev eth1 parent 1:5 pfifo limit 5"},
		"replaced qdisc 8001: at 1:5 on eth1: kind cake → pfifo, handle LEAF → 8001:", []string{"qdisc replace dev eth1 parent 1:5 handle LEAF cake"}},
	"a leaf's options": {[]string{"qdisc change dev eth1 parent 1:5 cake besteffort"}, "changed qdisc LEAF at 1:5 on eth1: diffserv diffserv4 → besteffort",
		[]string{"qdisc change dev eth1 parent 1:5 handle LEAF cake"}},
	"a qdisc of an unknown kind": {[]string{"qdisc delete dev eth1 parent 1:5", "qdisc add dev eth1 parent 1:5 sfb"},
		"replaced qdisc 8001: at 1:5 on eth1: kind cake → sfb, handle LEAF → 8001:", []string{"qdisc replace dev eth1 parent 1:5 handle LEAF cake"}},
	"a site deleted": {[]string{"class delete dev eth1 classid 1:5", "class delete dev eth1 classid 1:3"}, "removed class 1:3 on eth1, with 2 more in it",
		[]string{"class add dev eth1 parent 1:1 classid 1:3", "class add dev eth1 parent 1:3 classid 1:5", "qdisc add dev eth1 parent 1:5"}},
}

func TestDriftIsRepaired(t *testing.T) {
	for name, c := range driftCases {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.k.Reset()
				r.meddle(c.lines...)
				r.quiet(time.Second)
				r.inSync()
				named := strings.NewReplacer("LEAF", handleAt(r, 5))
				r.drifted("repaired: " + named.Replace(c.drift))
				got := r.k.Writes()
				if len(got) != len(c.writes) {
					t.Fatalf("writes %q, want %q", got, c.writes)
				}
				for i, w := range c.writes {
					if !strings.HasPrefix(got[i], named.Replace(w)) {
						t.Errorf("write %q, want %q", got[i], named.Replace(w))
					}
				}
				if s := r.h.Kernel(); s.DriftOpen != 0 || s.Phase != bakery.PhaseInSync {
					t.Errorf("status: %+v", s)
				}
			})
		})
	}
}

func TestDriftIsReported(t *testing.T) {
	for name, c := range driftCases {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.quiet(2 * time.Second)
				r.k.Reset()
				r.meddle(c.lines...)
				s := r.quiet(time.Second)
				want := "open: " + strings.ReplaceAll(c.drift, "LEAF", handleAt(r, 5))
				r.drifted(want)
				if s.Phase != bakery.PhaseDiffers || s.DriftOpen != 1 {
					t.Errorf("status: %+v", s)
				}
				r.wrote()
				// What a record asks for is done all the same.
				r.must(aCircuit("1:4", "6", 16))
				r.applied()
				r.wrote("class change dev eth1 parent 1:4 classid 1:6 htb rate 16mbit ceil 16mbit burst 1600b cburst 1600b prio 3 quantum 200000 linklayer ethernet")
				// A refresh that changes nothing doesn't repair it.
				r.must(smallNetwork()...)
				r.must(aCircuit("1:4", "6", 16))
				r.applied()
				r.quiet(2 * time.Second)
				r.wrote()
				r.restart()
				r.applied()
				r.wrote()
				r.drifted(want)
			}, reporting)
		})
	}
}

// TestDriftThatGoes: what somebody undoes himself is not open any more.
func TestDriftThatGoes(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.meddle("class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit")
		r.quiet(time.Second)
		r.meddle("class delete dev eth1 classid 1:99")
		r.quiet(time.Second)
		r.drifted("gone: added class 1:99 on eth1")
		r.inSync()
	}, reporting)
}

func TestRootReplaced(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.meddle("qdisc replace dev eth1 root handle 9: pfifo")
		r.quiet(time.Second)
		r.drifted("repaired: replaced qdisc 9: at root on eth1: kind mq → pfifo, handle 7fff: → 9:, with 14 more in it")
		r.inSync()
	})
}

func TestLinkGoesAndComesBack(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.RemoveLink("eth1")
		s := r.quiet(time.Second)
		if s.Phase != bakery.PhaseDiffers || s.ProblemsTotal != 1 || s.Problems[0].Object != "link eth1" || s.Links[1].There {
			t.Errorf("status: %+v", s)
		}
		r.must(aCircuit("1:4", "6", 16), bakery.ExecuteTCCommands{Lines: []string{"class change dev eth0 classid 1:2 htb rate 3mbit"}})
		if err := r.h.WaitApplied(t.Context(), 8, 8); err == nil || !strings.Contains(err.Error(), "no such link") {
			t.Errorf("waiting for a link that is gone: %v", err)
		}
		r.k.AddLink(kerneltest.Link{Name: "eth1"})
		r.quiet(time.Second)
		r.inSync()
		r.applied()
		r.drifted("gone: link eth1 is gone", "repaired: link eth1 is back, with nothing of ours on it")
	})
}

// TestDriftNobodyTold: the links are read now and then though nobody told of a change, and
// more often when nobody can.
func TestDriftNobodyTold(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Mute()
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(31 * time.Second)
		r.inSync()
		r.k.FailWatch(errors.New("socket closed"))
		s := r.quiet(100 * time.Millisecond)
		if s.ProblemsTotal != 1 || !strings.Contains(s.Problems[0].Error, "socket closed") {
			t.Errorf("status: %+v", s)
		}
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(800 * time.Millisecond)
		r.inSync()
	})
}

// TestRootAndLinkReported: a root that somebody replaced stays replaced if drift is only reported; a link that comes back
// is a new one, on which nothing has drifted, and is built.
func TestRootAndLinkReported(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		r.meddle("qdisc replace dev eth1 root handle 9: pfifo")
		r.quiet(time.Second)
		r.drifted("open: replaced qdisc 9: at root on eth1: kind mq → pfifo, handle 7fff: → 9:, with 14 more in it")
		r.wrote()
		r.k.RemoveLink("eth1")
		r.quiet(time.Second)
		r.k.AddLink(kerneltest.Link{Name: "eth1"})
		s := r.quiet(time.Second)
		r.inSync()
		if s.DriftOpen != 0 || s.Phase != bakery.PhaseInSync {
			t.Errorf("status: %+v", s)
		}
	}, reporting)
}
