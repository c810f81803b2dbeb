package bakery_test

import (
	"fmt"
	"slices"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// leafNetwork gives the commands of a refresh with a circuit for each minor.
func leafNetwork(minors []int) []bakery.Command {
	commands := []bakery.Command{bakery.MqSetup{R2Q: 100,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}}}}
	for _, m := range minors {
		commands = append(commands, circuit("eth1", "1:", fmt.Sprintf("%x", m), int64(m), 10), leaf("eth1", 1, uint32(m), "cake"))
	}
	return commands
}

func leafHandles(tree *bakery.Tree) map[tc.Handle]tc.Handle {
	handles := map[tc.Handle]tc.Handle{}
	for q := range tree.State().Qdiscs("eth1") {
		if _, ok := tree.State().Class("eth1", q.Parent); ok {
			handles[q.Parent] = q.Handle
		}
	}
	return handles
}

// TestLeafHandlesStay: a refresh in another order, with new circuits in front of the
// old ones, leaves every old leaf its handle, though many of them want the same.
func TestLeafHandlesStay(t *testing.T) {
	var old, all []int
	for m := 0x10; m < 0x10+20_000; m++ {
		old = append(old, m)
	}
	tree := bakery.NewTree()
	foldAll(t, tree, leafNetwork(old)...)
	before := leafHandles(tree)
	if len(before) < len(old) {
		t.Fatalf("%d leaves, want %d", len(before), len(old))
	}
	for m := 0x8000; m < 0x8000+5_000; m++ {
		all = append(all, m)
	}
	slices.Reverse(old)
	all = append(all, old...)
	foldAll(t, tree, leafNetwork(all)...)
	after := leafHandles(tree)
	for slot, h := range before {
		if after[slot] != h {
			t.Fatalf("the leaf of %s was %s and is %s", slot, h, after[slot])
		}
	}
	seen := map[tc.Handle]bool{}
	for _, h := range after {
		if seen[h] || h.Major() == 0x7fff || h.Minor() != 0 {
			t.Fatalf("handle %s", h)
		}
		seen[h] = true
	}
}

// TestLeafHandlesRunOut: a link has 65,534 majors; the last command gets a reason, and
// room that was remembered for leaves that are gone is given away.
func TestLeafHandlesRunOut(t *testing.T) {
	var many []int
	for m := 3; m < 3+65_534-3; m++ { // the root, the queue and its default leaf take three
		many = append(many, m)
	}
	tree := bakery.NewTree()
	foldAll(t, tree, leafNetwork(many)...)
	last := []bakery.Command{circuit("eth1", "1:", "ffff", 1, 10), leaf("eth1", 1, 0xffff, "cake")}
	foldAll(t, tree, last[0])
	if err := bakery.Fold(tree, recordOf(tree, last[1])); err == nil {
		t.Fatal("a link took more qdiscs than there are handles")
	}
	foldAll(t, tree, leafNetwork([]int{0xffff})...)
	if h := leafHandles(tree); len(h) != 2 {
		t.Errorf("leaves %v", h)
	}
}
