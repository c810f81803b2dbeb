package diff

import (
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/replaytest"
)

// TestCompareGoneLink: a link that isn't there is a difference as long as the tree asks for something on it.
func TestCompareGoneLink(t *testing.T) {
	commands := replaytest.Commands()
	tree := bakery.NewTree()
	fold := func(c bakery.Command) {
		t.Helper()
		if err := bakery.Fold(tree, bakery.Record{Seq: tree.Seq + 1, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	differs := func() (links []string) {
		for _, d := range CompareKernel(tree.Seq, tree, Live{Links: map[string]tc.Observed{}}).Differences {
			if d.Object == "link" {
				links = append(links, d.Link)
			}
		}
		return links
	}
	fold(commands[0])
	if got := differs(); len(got) != 2 {
		t.Errorf("missing links: %v", got)
	}
	fold(bakery.ClearPriorSettings{})
	if got := differs(); len(got) != 0 {
		t.Errorf("nothing is asked for, and these are missing: %v", got)
	}
}

// TestCompareHandles: another handle is a difference where a client chose it, and where something sits in the qdisc.
func TestCompareHandles(t *testing.T) {
	tree := bakery.NewTree()
	for i, c := range []bakery.Command{replaytest.MqSetup(), replaytest.Circuit("4", 10, ""), replaytest.Circuit("5", 20, ""), bakery.ExecuteTCCommands{Lines: []string{
		"qdisc add dev eth1 parent 1:4 pfifo limit 9", "qdisc add dev eth1 parent 1:5 handle 55: pfifo limit 9"}}} {
		if err := bakery.Fold(tree, bakery.Record{Seq: tree.Seq + 1, Command: c}); err != nil {
			t.Fatal(i, err)
		}
	}
	has := tc.Canonical(tree.State().Only("eth1"), tc.Host{})
	for class, handle := range map[tc.Handle]tc.Handle{tc.NewHandle(1, 4): tc.NewHandle(0x44, 0), tc.NewHandle(1, 5): tc.NewHandle(0x56, 0)} {
		for _, op := range []tc.Op{{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: "eth1", Parent: class}},
			{Verb: tc.Add, Qdisc: &tc.Qdisc{Link: "eth1", Parent: class, Handle: handle, Options: tc.Pfifo{Limit: tc.Some[uint32](9)}}}} {
			if err := has.Apply(op); err != nil {
				t.Fatal(err)
			}
		}
	}
	up := tc.Canonical(tree.State().Only("eth0"), tc.Host{})
	r := CompareKernel(tree.Seq, tree, Live{Links: map[string]tc.Observed{"eth1": {Index: 1, State: has}, "eth0": {Index: 2, State: up}}})
	if got := changes(r); got != "replaced qdisc 1:5" {
		t.Errorf("got %q", got)
	}
}
