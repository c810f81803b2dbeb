package tc

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// depthBelow is height, as plainly as one can.
func depthBelow(l *link, id Handle) (h int) {
	for child := range l.children(id) {
		h = max(h, 1+depthBelow(l, child))
	}
	return h
}

// TestChildrenAlways: children are the classes that name the parent, whoever asked before what changed them, and so is what stands
// below each other.
func TestChildrenAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genState(t, "state")
		for _, op := range rapid.SliceOfN(rapid.Custom(genOp), 1, 20).Draw(t, "ops") {
			_ = s.Apply(op)
			if rapid.Bool().Draw(t, "clone") {
				s = s.Clone()
			}
			wanted := map[Handle][]Handle{}
			l := s.link(op.Link())
			for c := range s.Classes(op.Link()) {
				wanted[c.Parent] = append(wanted[c.Parent], c.ID)
			}
			for c := range s.Classes(op.Link()) {
				for _, parent := range []Handle{c.ID, c.Parent} {
					var got []Handle
					for child := range s.Children(op.Link(), parent) {
						got = append(got, child.ID)
					}
					if !slices.Equal(got, wanted[parent]) || s.HasChildren(op.Link(), parent) != (len(got) > 0) {
						t.Fatalf("after %s %v has the children %v, want %v", op.Line(), parent, got, wanted[parent])
					}
				}
				if got, want := l.height(c.ID), depthBelow(l, c.ID); got != want {
					t.Fatalf("after %s %d classes are below each other under %v, want %d", op.Line(), got, c.ID, want)
				}
			}
		}
	})
}

// A class has as much below it as its longest branch.
func TestHeight(t *testing.T) {
	s := new(State)
	for _, line := range []string{
		"qdisc add dev e0 root handle 1: htb", "class add dev e0 parent 1: classid 1:9 htb rate 1mbit", "class add dev e0 parent 1:9 classid 1:2 htb rate 1mbit",
		"class add dev e0 parent 1:2 classid 1:8 htb rate 1mbit", "class add dev e0 parent 1:8 classid 1:1 htb rate 1mbit", "class add dev e0 parent 1:9 classid 1:a htb rate 1mbit",
	} {
		if op, err := ParseLine(line); err != nil || s.Apply(op) != nil {
			t.Fatal(line, err)
		}
	}
	for minor, want := range map[uint16]int{9: 3, 2: 2, 8: 1, 1: 0, 0xa: 0} {
		if got := s.link("e0").height(NewHandle(1, minor)); got != want {
			t.Errorf("under 1:%x are %d, want %d", minor, got, want)
		}
	}
}

// TestKeepIsApply: what keeps the objects of ops makes the same of them, refuses the same, and leaves them as they were.
func TestKeepIsApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := genState(t, "state")
		b := a.Clone()
		ops := rapid.SliceOfN(rapid.Custom(genOp), 1, 30).Draw(t, "ops")
		var lines []string
		for _, op := range ops {
			lines = append(lines, op.Line())
		}
		for range 2 { // the same objects again
			for _, op := range ops {
				wanted, got := a.Apply(op), b.Keep(op)
				if (wanted == nil) != (got == nil) || got != nil && got.Error() != wanted.Error() {
					t.Fatalf("%s: Keep says %v, Apply %v", op.Line(), got, wanted)
				}
				if !a.Equal(b) {
					t.Fatalf("%s: Keep makes\n%s\nof it, Apply\n%s", op.Line(), strings.Join(Script(b), "\n"), strings.Join(Script(a), "\n"))
				}
			}
		}
		for i, op := range ops {
			if op.Line() != lines[i] {
				t.Fatalf("%s became %s", lines[i], op.Line())
			}
		}
		for _, name := range b.Links() {
			checkIndexes(t, b, name)
		}
	})
}

// TestKeepTakesOnlyWhole: an object that doesn't say all is copied, and completed.
func TestKeepTakesOnlyWhole(t *testing.T) {
	a, b := new(State), new(State)
	for _, line := range []string{
		"qdisc add dev e0 root handle 1: htb", "class add dev e0 root classid 1:1 htb rate 1mbit", "class add dev e0 parent 1:1 classid 1:2 htb rate 1mbit",
		"class replace dev e0 classid 1:2 htb rate 2mbit", "class add dev e0 classid 1:3 htb rate 1mbit", "class change dev e0 classid 1:3 htb rate 3mbit",
		"qdisc add dev e0 parent 1:3 handle 8001: pfifo", "qdisc replace dev e0 handle 8001: bfifo", "qdisc replace dev e0 parent 1:3 pfifo limit 10",
		"qdisc add dev e0 clsact", "qdisc add dev e1 root handle 8002: pfifo", "qdisc replace dev e1 root pfifo limit 10", "qdisc replace dev e1 handle 8002: bfifo",
	} {
		op, err := ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		wanted, got := a.Apply(op), b.Keep(op)
		if wanted != nil || got != nil || !a.Equal(b) {
			t.Fatalf("%s: %v, %v\n%s\n%s", line, wanted, got, strings.Join(Script(a), "\n"), strings.Join(Script(b), "\n"))
		}
		if op.Line() != line {
			t.Fatalf("%s became %s", line, op.Line())
		}
	}
}

func TestByLinkFindsAnyCopy(t *testing.T) {
	var b ByLink[int]
	for i, name := range []string{"eth0", "eth1", "e"} {
		b.Set(strings.Clone(name), i)
	}
	for i, name := range []string{"eth0", "eth1", "e"} {
		if got, ok := b.Get(strings.Clone(name)); got != i || !ok {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
		if got, ok := b.Get(Interned(name)); got != i || !ok {
			t.Errorf("%s by its one copy: %d, %v", name, got, ok)
		}
	}
	whole := Interned("eth1")
	if got, ok := b.Get(whole[:1]); got != 2 || !ok { // begins where another name does
		t.Errorf("e: %d, %v", got, ok)
	}
	if _, ok := b.Get(whole[:3]); ok {
		t.Error("eth is there")
	}
}
