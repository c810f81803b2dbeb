package tc

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestNewState: what a State consists of, in any order, makes the same State again.
func TestNewState(t *testing.T) {
	s := kernelTree(t)
	var qdiscs []Qdisc
	var classes []Class
	for q := range s.Qdiscs("v0") {
		qdiscs = append([]Qdisc{q}, qdiscs...)
	}
	for c := range s.Classes("v0") {
		classes = append([]Class{c}, classes...)
	}
	got, err := NewState("v0", qdiscs, classes)
	if err != nil || !got.Equal(s) || len(Plan(got, s)) != 0 || len(Diff(s, got)) != 0 {
		t.Fatal(err)
	}
	// A kernel has more than Apply would take: a qdisc of an unknown kind.
	leaf := slices.IndexFunc(qdiscs, func(q Qdisc) bool { return q.Handle == NewHandle(0x8001, 0) })
	qdiscs[leaf].Options = Foreign{"sfb"}
	if got, err = NewState("v0", qdiscs, classes); err != nil || len(Diff(got, s)) != 1 {
		t.Fatal(err)
	}
	if plan := Plan(got, s); len(plan) == 0 || errors.Join(applyPlan(got, plan)) != nil || len(Diff(got, s)) != 0 {
		t.Errorf("after the plan %v: %v", plan, Diff(got, s))
	}
}

func applyPlan(s *State, plan []Op) error {
	for _, op := range plan {
		if err := s.Apply(op); err != nil {
			return err
		}
	}
	return nil
}

func TestNewStateRefuses(t *testing.T) {
	root := Qdisc{Handle: NewHandle(1, 0), Parent: Root, Options: HTB{}}
	class := func(id, parent Handle) Class { return Class{ID: id, Parent: parent, HTB: HTBClass{Rate: Mbit}} }
	for want, c := range map[string]struct {
		qdiscs  []Qdisc
		classes []Class
	}{
		"both at root":                 {[]Qdisc{root, {Handle: NewHandle(2, 0), Parent: Root, Options: HTB{}}}, nil},
		"both at root and 1:1":         {[]Qdisc{root, {Handle: NewHandle(1, 0), Parent: NewHandle(1, 1), Options: Pfifo{}}}, nil},
		"has no qdisc":                 {[]Qdisc{root}, []Class{class(NewHandle(2, 1), NewHandle(2, 0))}},
		"is below 1:9: no such parent": {[]Qdisc{root}, []Class{class(NewHandle(1, 1), NewHandle(1, 9))}},
		"is there twice":               {[]Qdisc{root}, []Class{class(NewHandle(1, 1), root.Handle), class(NewHandle(1, 1), root.Handle)}},
		"is in a pfifo":                {[]Qdisc{{Handle: NewHandle(1, 0), Parent: Root, Options: Pfifo{}}}, []Class{class(NewHandle(1, 1), root.Handle)}},
		"has both classes and a qdisc": {[]Qdisc{root, {Handle: NewHandle(9, 0), Parent: NewHandle(1, 1), Options: Pfifo{}}},
			[]Class{class(NewHandle(1, 1), root.Handle), class(NewHandle(1, 2), NewHandle(1, 1))}},
	} {
		if _, err := NewState("e0", c.qdiscs, c.classes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestInnerClass: quantum and prio count for leaves only, on either side.
func TestInnerClass(t *testing.T) {
	const base = "qdisc replace dev e0 root handle 1: htb\nclass add dev e0 parent 1: classid 1:1 htb rate 1mbit prio %\n"
	const child = "class add dev e0 parent 1:1 classid 1:2 htb rate 1mbit\n"
	state := func(prio, children string) *State {
		return Canonical(parseState(t, strings.ReplaceAll(base, "%", prio)+children), Host{})
	}
	for name, c := range map[string]struct {
		from, to *State
		ops      string
	}{
		"leaf":        {state("1", ""), state("2", ""), "class change dev e0 parent 1: classid 1:1 htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b prio 2 quantum 12500 linklayer ethernet"},
		"inner":       {state("1", child), state("2", child), ""},
		"first child": {state("1", ""), state("1", child), "class add dev e0 parent 1:1 classid 1:2 htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b quantum 12500 linklayer ethernet"},
		"last child":  {state("1", child), state("1", ""), "class delete dev e0 classid 1:2"},
		"both": {state("1", child), state("2", ""), "class delete dev e0 classid 1:2\n" +
			"class change dev e0 parent 1: classid 1:1 htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b prio 2 quantum 12500 linklayer ethernet"},
	} {
		var lines []string
		for _, op := range Plan(c.from, c.to) {
			lines = append(lines, op.Line())
		}
		if got := strings.Join(lines, "\n"); got != c.ops {
			t.Errorf("%s: plan\n%s\nwant\n%s", name, got, c.ops)
		}
		if d := Diff(c.from, c.to); (len(d) == 0) != (c.ops == "") {
			t.Errorf("%s: %v", name, d)
		}
	}
}
