package main

import (
	"strings"
	"testing"

	"lqosd/bakery/tc"
)

// TestTreeScript: in whatever order the lines come, they make the same tree, and each comes after the one that it needs.
func TestTreeScript(t *testing.T) {
	link := "exp0"
	var first *tc.State
	for order := inTurn; order <= classesByTurn; order++ {
		script := treeScript{link: link, classes: 50, queues: 16, order: order, handles: kernels}
		state := new(tc.State)
		for _, line := range script.lines() {
			op, err := tc.ParseLine(line)
			if err == nil {
				err = state.Apply(op)
			}
			if err != nil {
				t.Fatalf("order %d: %s: %v", order, line, err)
			}
		}
		if got := state.ClassCount(link); got != 16*2+50 || state.QdiscCount(link) != 1+16+50 {
			t.Errorf("order %d: %d classes and %d qdiscs", order, got, state.QdiscCount(link))
		}
		if first == nil {
			first = state
		}
		if diff := tc.Diff(first, state); len(diff) > 0 {
			t.Errorf("order %d: another tree: %v", order, diff)
		}
	}
}

// TestTreeScriptHandles: leaves get handles of the buckets that they are to be in.
func TestTreeScriptHandles(t *testing.T) {
	for _, c := range []struct {
		handles handles
		clear   bool
		htbs    bool // leaves may share buckets with htbs
		buckets int
	}{{ascending, false, true, 16}, {apart, false, false, 3}, {together, false, false, 1}, {ascending, true, true, 16}} {
		script := treeScript{link: "exp0", classes: 500, queues: 16, handles: c.handles, clear: c.clear}
		htbs, leaves := map[int]bool{}, map[int]bool{}
		for _, line := range script.lines() {
			op, err := tc.ParseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case op.Qdisc == nil || strings.HasSuffix(line, "mq"):
			case op.Qdisc.Options.Kind() == "htb":
				htbs[bucket(op.Qdisc.Handle.Major())] = true
			default:
				leaves[bucket(op.Qdisc.Handle.Major())] = true
			}
		}
		shared := false
		for b := range leaves {
			shared = shared || htbs[b]
		}
		if len(leaves) != c.buckets || shared != c.htbs || c.clear && htbs[bucket(0)] {
			t.Errorf("handles %d, clear %v: htbs are in %v, leaves in %v", c.handles, c.clear, htbs, leaves)
		}
	}
}
