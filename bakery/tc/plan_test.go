package tc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// kernelModel is a second, simple-minded opinion of what a kernel accepts: it
// shares no code with State and forgives nothing.
type kernelModel struct {
	qdiscs  map[Handle]Qdisc // by parent
	classes map[Handle]Class
}

func modelOf(s *State, link string) *kernelModel {
	m := &kernelModel{map[Handle]Qdisc{}, map[Handle]Class{}}
	for q := range s.Qdiscs(link) {
		m.qdiscs[q.Parent] = q
	}
	for c := range s.Classes(link) {
		m.classes[c.ID] = c
	}
	return m
}

func (m *kernelModel) do(op Op) error {
	if op.Class != nil {
		return m.doClass(op.Verb, *op.Class)
	}
	return m.doQdisc(op.Verb, *op.Qdisc)
}

func (m *kernelModel) kids(h Handle) int {
	n := 0
	for _, c := range m.classes {
		if c.Parent == h {
			n++
		}
	}
	return n
}

func (m *kernelModel) doClass(v Verb, c Class) error {
	old, exists := m.classes[c.ID]
	switch v {
	case Add:
		_, parentClass := m.classes[c.Parent]
		parentQdisc := false
		for _, q := range m.qdiscs {
			parentQdisc = parentQdisc || q.Handle == c.Parent && q.Options.Kind() == "htb"
		}
		if exists || !parentClass && !parentQdisc || c.Parent.Major() != c.ID.Major() {
			return fmt.Errorf("add class %v: exists %v, parent %v %v", c.ID, exists, parentClass, parentQdisc)
		}
		m.drop(c.Parent)
		m.classes[c.ID] = c
	case Change:
		if !exists || old.Parent != c.Parent {
			return fmt.Errorf("change class %v: exists %v, parent %v", c.ID, exists, old.Parent)
		}
		m.classes[c.ID] = c
	case Delete:
		if !exists || m.kids(c.ID) > 0 {
			return fmt.Errorf("delete class %v: exists %v, %d children", c.ID, exists, m.kids(c.ID))
		}
		delete(m.classes, c.ID)
		m.drop(c.ID)
	default:
		return fmt.Errorf("verb %v of a class", v)
	}
	return nil
}

// drop removes the qdisc in a place and what is in it.
func (m *kernelModel) drop(place Handle) {
	q, ok := m.qdiscs[place]
	if !ok {
		return
	}
	delete(m.qdiscs, place)
	if q.Handle == 0 || place == Ingress {
		return
	}
	for id := range m.classes {
		if id.Major() == q.Handle.Major() {
			delete(m.classes, id)
		}
	}
	for inner := range m.qdiscs {
		if inner.Major() == q.Handle.Major() && inner != Root && inner != Ingress {
			m.drop(inner)
		}
	}
}

func (m *kernelModel) doQdisc(v Verb, q Qdisc) error {
	old, exists := m.qdiscs[q.Parent]
	handleUsed := false
	for at, other := range m.qdiscs {
		handleUsed = handleUsed || q.Handle != 0 && other.Handle == q.Handle && (at != q.Parent || v == Add)
	}
	switch v {
	case Add, Replace:
		_, class := m.classes[q.Parent]
		owner := q.Parent == Root || q.Parent == Ingress || class
		for _, o := range m.qdiscs {
			holds := o.Options.Kind() == "mq" || o.Options.Kind() == "tbf" || o.Options.Kind() == "netem"
			owner = owner || holds && o.Handle.Major() == q.Parent.Major()
		}
		if v == Add && exists || v == Replace && !exists || !owner || handleUsed || m.kids(q.Parent) > 0 {
			return fmt.Errorf("%v qdisc at %v: exists %v, owner %v, handle used %v", v, q.Parent, exists, owner, handleUsed)
		}
		if exists && (old.Handle == q.Handle || q.Handle == 0 && old.Options.Kind() == q.Options.Kind()) {
			return fmt.Errorf("replace at %v is a change", q.Parent)
		}
		m.drop(q.Parent)
		m.qdiscs[q.Parent] = q
	case Change:
		if !exists || old.Handle != q.Handle || old.Options.Kind() != q.Options.Kind() ||
			old.Options.Kind() == "htb" || old.Options.Kind() == "mq" {
			return fmt.Errorf("change qdisc at %v", q.Parent)
		}
		changed, ok := old.Options.change(q.Options)
		if !ok {
			return fmt.Errorf("change qdisc at %v: not in place", q.Parent)
		}
		old.Options = changed
		m.qdiscs[q.Parent] = old
	case Delete:
		if !exists || q.Handle != 0 && q.Handle != old.Handle {
			return fmt.Errorf("delete qdisc at %v", q.Parent)
		}
		m.drop(q.Parent)
	}
	return nil
}

func TestPlanLeadsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := Canonical(handlesChosen(t, genState(t, "from")), Host{})
		to := Canonical(handlesChosen(t, genState(t, "to")), Host{})
		if rapid.Bool().Draw(t, "related") { // few differences are another case than many
			to = from.Clone()
			for _, op := range rapid.SliceOfN(rapid.Custom(genOp), 0, 5).Draw(t, "edits") {
				_ = to.Apply(op)
			}
			to = Canonical(handlesChosen(t, to), Host{})
		}
		plan := Plan(from, to)
		checkPlan(t, from, to, plan)
		if len(Plan(to, to)) != 0 {
			t.Fatal("a plan for nothing")
		}
		if from.Equal(to) != (len(plan) == 0) {
			t.Fatalf("%d ops, but equal is %v", len(plan), from.Equal(to))
		}
	})
}

// checkPlan does the plan in the strict model and in a State.
func checkPlan(t *rapid.T, from, to *State, plan []Op) {
	fail := func(format string, args ...any) {
		var lines []string
		for _, op := range plan {
			lines = append(lines, op.Line())
		}
		t.Fatalf(format+"\nfrom:\n%s\nto:\n%s\nplan:\n%s", append(args, strings.Join(Script(from), "\n"),
			strings.Join(Script(to), "\n"), strings.Join(lines, "\n"))...)
	}
	models := map[string]*kernelModel{"eth0": modelOf(from, "eth0"), "eth1": modelOf(from, "eth1")}
	state := from.Clone()
	for _, op := range plan {
		if err := models[op.Link()].do(op); err != nil {
			fail("the kernel refuses %q: %v", op.Line(), err)
		}
		if err := state.Apply(op); err != nil {
			fail("the state refuses: %v", err)
		}
		if again, err := ParseLine(op.Line()); err != nil || !sameOp(op, again) {
			fail("op %q does not read back: %v", op.Line(), err)
		}
	}
	if !state.Equal(to) {
		fail("the plan leads elsewhere: %v", Diff(state, to))
	}
	for link, m := range models {
		if d := cmp.Diff(modelOf(to, link), m, cmp.AllowUnexported(kernelModel{})); d != "" {
			fail("the kernel is elsewhere: %s", d)
		}
	}
}

// A plan between States that are not canonical leads to what is the same to the
// kernel.
func TestPlanOfRawStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := genState(t, "from"), genState(t, "to")
		got := from.Clone()
		for _, op := range Plan(from, to) {
			if err := got.Apply(op); err != nil {
				t.Fatalf("%q: %v", op.Line(), err)
			}
		}
		if d := Diff(Canonical(got, Host{}), Canonical(to, Host{})); len(d) != 0 {
			t.Fatalf("the plan leads elsewhere: %v", d)
		}
	})
}

func TestPlanIsMinimal(t *testing.T) {
	const base = `
qdisc add dev e0 root handle 7fff: mq
qdisc add dev e0 parent 7fff:1 handle 1: htb default 2
class add dev e0 parent 1: classid 1:1 htb rate 100mbit
class add dev e0 parent 1:1 classid 1:3 htb rate 10mbit
class add dev e0 parent 1:1 classid 1:4 htb rate 10mbit
class add dev e0 parent 1:3 classid 1:5 htb rate 1mbit
qdisc add dev e0 parent 1:5 handle 8001: cake diffserv4
qdisc add dev e0 parent 1:4 handle 8002: fq_codel
qdisc add dev e0 clsact
`
	tests := []struct{ name, edits, want string }{
		{"nothing", "", ""},
		{"rate", "class change dev e0 parent 1:3 classid 1:5 htb rate 2mbit",
			"class change dev e0 parent 1:3 classid 1:5 htb rate 2mbit"},
		{"cake option", "qdisc change dev e0 parent 1:5 cake rtt 50ms",
			"qdisc change dev e0 parent 1:5 handle 8001: cake diffserv4 rtt 50ms"},
		{"leaf of another kind, same handle", "qdisc replace dev e0 parent 1:5 handle 8001: fq_codel",
			"qdisc delete dev e0 parent 1:5 handle 8001:\nqdisc add dev e0 parent 1:5 handle 8001: fq_codel"},
		{"leaf of another kind and handle", "qdisc replace dev e0 parent 1:5 handle 8003: fq_codel",
			"qdisc replace dev e0 parent 1:5 handle 8003: fq_codel"},
		{"move", "class replace dev e0 parent 1:4 classid 1:3 htb rate 10mbit",
			"class delete dev e0 classid 1:5\nclass delete dev e0 classid 1:3\n" +
				"class add dev e0 parent 1:4 classid 1:3 htb rate 10mbit\n" +
				"class add dev e0 parent 1:3 classid 1:5 htb rate 1mbit\nqdisc add dev e0 parent 1:5 handle 8001: cake diffserv4"},
		{"first child takes the leaf", "class add dev e0 parent 1:4 classid 1:6 htb rate 1mbit",
			"class add dev e0 parent 1:4 classid 1:6 htb rate 1mbit"},
		{"the leaf moves to the child",
			"class add dev e0 parent 1:4 classid 1:6 htb rate 1mbit\nqdisc add dev e0 parent 1:6 handle 8002: fq_codel",
			"qdisc delete dev e0 parent 1:4 handle 8002:\nclass add dev e0 parent 1:4 classid 1:6 htb rate 1mbit\n" +
				"qdisc add dev e0 parent 1:6 handle 8002: fq_codel"},
		{"root goes", "qdisc delete dev e0 root", "qdisc delete dev e0 root handle 7fff:"},
		{"htb options", "qdisc replace dev e0 parent 7fff:1 handle 1: htb default 3\nclass delete dev e0 classid 1:4\n" +
			"class delete dev e0 classid 1:5\nclass delete dev e0 classid 1:3",
			"qdisc delete dev e0 parent 7fff:1 handle 1:\nqdisc add dev e0 parent 7fff:1 handle 1: htb default 3\n" +
				"class add dev e0 parent 1: classid 1:1 htb rate 100mbit"},
		{"class goes with its leaf", "class delete dev e0 classid 1:5", "class delete dev e0 classid 1:5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from := parseState(t, base)
			to := parseState(t, base+tt.edits)
			var lines []string
			for _, op := range Plan(from, to) {
				lines = append(lines, op.Line())
			}
			if d := cmp.Diff(tt.want, strings.Join(lines, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}
