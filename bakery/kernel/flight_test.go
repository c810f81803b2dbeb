package kernel

import (
	"errors"
	"strings"
	"testing"

	"lqosd/bakery/tc"
)

// A class isn't sent either when its parent is in a batch that is on its way, and fails there.
func TestParentInTheBatchBefore(t *testing.T) {
	l := defaultLimits
	l.messages = 3
	inLabWith(t, l, func(l lab) {
		results := l.kernel.Apply(t.Context(), ops(t, "qdisc add dev v0 root handle 1: htb", "class add dev v0 parent 1: classid 1:1 htb rate 1gbit",
			"class add dev v0 parent 1: classid 1:2 htb rate 0bit", "class add dev v0 parent 1: classid 1:3 htb rate 1gbit",
			"class add dev v0 parent 1:2 classid 1:4 htb rate 1mbit"))
		for i, r := range results {
			if (r.Err != nil) != (i == 2 || i == 4) {
				t.Errorf("op %d: %v", i, r.Err)
			}
		}
		if err := results[4].Err; !errors.Is(err, tc.ErrNotTried) || !strings.Contains(err.Error(), "classid 1:2 htb") {
			t.Errorf("the class below 1:2: %v", err)
		}
		for c := range l.observe().State.Classes("v0") {
			if c.ID == tc.NewHandle(1, 4) {
				t.Error("1:4 was made, at the root")
			}
		}
	})
}

// Answers that got lost while those to the flight before were read are outcomes that nobody knows, and nobody waits for them.
func TestLostBehind(t *testing.T) {
	l := defaultLimits
	l.buffer = 1 // the smallest there is, a few KiB
	inLabWith(t, l, func(l lab) {
		l.apply("qdisc add dev v0 root handle 1: htb")
		v0, err := l.kernel.find("v0")
		if err != nil {
			t.Fatal(err)
		}
		port := airport{kernel: l.kernel}
		flights := []*flight{newFlight(), newFlight()}
		for i, op := range ops(t, flatTree(100)[1:]...) {
			f := flights[min(i, 1)] // one, and all others
			m, _, err := encodeOp(nil, op, v0.Index, l.kernel.host)
			if err != nil {
				t.Fatal(err)
			}
			f.requests = append(f.requests, m)
		}
		if landed := port.depart(flights[0]); landed != nil {
			t.Fatal("something was out")
		}
		if landed := port.depart(flights[1]); landed != flights[0] || !landed.answers[0].known || landed.answers[0].errno != 0 || !port.lost {
			t.Fatalf("the first landed: %v with %+v, lost: %v", landed == flights[0], flights[0].answers, port.lost)
		}
		landed, lost := port.land(), 0
		for i, a := range landed.answers {
			if !a.known {
				lost++
			}
			if a.err != nil {
				t.Errorf("answer %d: %v", i, a.err)
			}
		}
		if lost == 0 || lost == len(landed.answers) || port.lost {
			t.Errorf("%d of %d answers were lost, others may be: %v", lost, len(landed.answers), port.lost)
		}
	})
}
