package bakery_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
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

// TestCommitHandlesStay: leaves keep their handles though circuits come in another order.
func TestCommitHandlesStay(t *testing.T) {
	var members []bakery.Member
	for minor := uint16(3); minor < 3000; minor++ {
		members = append(members, stateCircuit(int64(minor), "1:", minor, 1, sqm("fq_codel/none")))
	}
	tree := bakery.NewTree()
	foldAll(t, tree, resolved(members...))
	before := leafHandles(tree)
	slices.Reverse(members)
	foldAll(t, tree, resolved(members...))
	if after := leafHandles(tree); !maps.Equal(before, after) {
		t.Error("leaves have other handles")
	}
}

// TestCommitHandlesRunOut: as many leaves as there are handles get one each, those beyond are
// refused by name, and what is remembered of circuits that are gone is given to others, never
// what is there.
func TestCommitHandlesRunOut(t *testing.T) {
	members := func(parent string, from, n int) []bakery.Member {
		list := make([]bakery.Member, n)
		for i := range list {
			list[i] = stateCircuit(int64(from+i), parent, uint16(from+i), 1, sqm("cake/none"))
		}
		return list
	}
	const most = 65_534 - 1 - 2 - 2 // the root, two queues and their default leaves
	tree := bakery.NewTree()
	err := bakery.Fold(tree, recordOf(tree, resolved(members("1:", 3, most+2)...)))
	if err == nil || strings.Count(err.Error(), "no free qdisc handle left") != 2 || !strings.Contains(err.Error(), `circuit "C65533": link eth1`) {
		t.Errorf("the refusal is %.300v", err)
	}
	foldAll(t, tree, resolved(members("1:", 3, most)...)) // all are remembered now
	before := leafHandles(tree)
	foldAll(t, tree, resolved(append(members("2:", 3, 10_000), members("1:", 3, 10_000)...)...))
	after := leafHandles(tree)
	seen := map[tc.Handle]bool{}
	for slot, h := range after {
		if was, there := before[slot]; there && was != h || seen[h] || h.Minor() != 0 || h.Major() == 0x7fff {
			t.Fatalf("the leaf of %s was %s and is %s", slot, was, h)
		}
		seen[h] = true
	}
	if len(before) != most+2 || len(after) != 20_000+2 {
		t.Fatalf("%d leaves, then %d", len(before), len(after))
	}
}

// TestLeafHandleIsTheNewest: a leaf whose handle a client gave to another qdisc gets a new one, and keeps that.
func TestLeafHandleIsTheNewest(t *testing.T) {
	tree := bakery.NewTree()
	slot := tc.NewHandle(1, 5)
	foldAll(t, tree, leafNetwork([]int{5})...)
	first := leafHandles(tree)[slot]
	foldAll(t, tree, leafNetwork(nil)...)
	foldAll(t, tree, circuit("eth1", "1:", "6", 6, 10), lines(fmt.Sprintf("qdisc add dev eth1 parent 1:6 handle %s pfifo", first)))
	foldAll(t, tree, circuit("eth1", "1:", "5", 5, 10), leaf("eth1", 1, 5, "cake"))
	second := leafHandles(tree)[slot]
	if second == first {
		t.Fatalf("two qdiscs have the handle %s", first)
	}
	foldAll(t, tree, leafNetwork([]int{5})...)
	if third := leafHandles(tree)[slot]; third != second {
		t.Errorf("the leaf was %s, then %s, and is %s", first, second, third)
	}
}
