package bakery

import (
	"slices"
	"testing"

	"lqosd/bakery/tc"
)

// Of each object the newest op counts, whoever else has the list, and in whatever way it was noted.
func TestDeeds(t *testing.T) {
	class := func(verb tc.Verb, minor uint16, rate tc.Rate) tc.Op {
		return tc.Op{Verb: verb, Class: &tc.Class{Link: "v0", ID: tc.NewHandle(1, minor), Parent: tc.NewHandle(1, 0), HTB: tc.HTBClass{Rate: rate}}}
	}
	leaf := tc.Op{Verb: tc.Add, Qdisc: &tc.Qdisc{Link: "v0", Handle: tc.NewHandle(9, 0), Parent: tc.NewHandle(1, 7), Options: tc.Pfifo{}}}
	state := new(tc.State)
	for _, op := range []tc.Op{{Verb: tc.Add, Qdisc: &tc.Qdisc{Link: "v0", Handle: tc.NewHandle(1, 0), Parent: tc.Root, Options: tc.HTB{}}},
		class(tc.Add, 7, 8e6), leaf} {
		if err := state.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	shared := []tc.Op{class(tc.Delete, 7, 0), leaf, class(tc.Add, 7, 16e6), class(tc.Add, 3, 8e6)}
	before := slices.Clone(shared)
	built, listed := deeds{link: "v0", built: state}, deeds{link: "v0"}
	listed.addAll(shared)
	listed.addAll([]tc.Op{class(tc.Change, 3, 24e6)})
	both := built
	both.addAll(shared)
	for name, tt := range map[string]struct {
		deeds   *deeds
		c7, c3  string
		objects int
	}{
		"none":   {&deeds{}, "", "", 0},
		"built":  {&built, "class add dev v0 parent 1: classid 1:7 htb rate 8mbit", "", 3},
		"listed": {&listed, "class add dev v0 parent 1: classid 1:7 htb rate 16mbit", "class change dev v0 parent 1: classid 1:3 htb rate 24mbit", 3},
		"both":   {&both, "class add dev v0 parent 1: classid 1:7 htb rate 16mbit", "class add dev v0 parent 1: classid 1:3 htb rate 8mbit", 4},
	} {
		t.Run(name, func(t *testing.T) {
			for minor, want := range map[uint16]string{7: tt.c7, 3: tt.c3} {
				op, ok := tt.deeds.of(objectOf(class(tc.Add, minor, 0)))
				if ok != (want != "") || ok && op.Line() != want {
					t.Errorf("class 1:%x: %v, %s; want %s", minor, ok, op.Line(), want)
				}
			}
			if op, ok := tt.deeds.of(objectOf(leaf)); ok != (tt.objects > 0) || ok && op.Line() != leaf.Line() {
				t.Errorf("the leaf: %v, %s", ok, op.Line())
			}
			seen := map[ofLink]bool{}
			for k := range tt.deeds.objects {
				seen[k] = true
			}
			if len(seen) != tt.objects || tt.deeds.none() != (tt.objects == 0) {
				t.Errorf("objects %v, none %v", seen, tt.deeds.none())
			}
		})
	}
	if !slices.Equal(shared, before) {
		t.Error("the list that others have was changed")
	}
}
