package kerneltest

import (
	"math/rand/v2"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"

	"github.com/google/go-cmp/cmp"
)

var _ bakery.Kernel = (*Fake)(nil)

// apply does tc lines through Apply and gives the errors' words, "" for none.
func apply(t *testing.T, k bakery.Kernel, lines ...string) []tc.Result {
	t.Helper()
	var ops []tc.Op
	for _, line := range lines {
		op, err := tc.ParseLine(line)
		if err != nil {
			t.Fatal(err)
		}
		ops = append(ops, op)
	}
	results := k.Apply(t.Context(), ops)
	if len(results) != len(ops) {
		t.Fatalf("%d results of %d ops", len(results), len(ops))
	}
	return results
}

func TestWrites(t *testing.T) {
	f := New(Link{Name: "v0"})
	apply(t, f, "qdisc add dev v0 root handle 1: htb", "class add dev v0 parent 1: classid 1:1 htb rate 1mbit quantum 2000",
		"class add dev v0 parent 1: classid 1:1 htb rate 1mbit")
	if err := f.Meddle("class change dev v0 classid 1:1 htb rate 2mbit"); err != nil {
		t.Fatal(err)
	}
	want := []string{"qdisc add dev v0 root handle 1: htb", "class add dev v0 parent 1: classid 1:1 htb rate 1mbit quantum 2000",
		"class add dev v0 parent 1: classid 1:1 htb rate 1mbit # File exists (already exists)"}
	if d := cmp.Diff(want, f.Writes()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Counts{Applies: 1, Ops: 3, Failed: 1}, f.Counts()); d != "" {
		t.Error(d)
	}
	f.Reset()
	if len(f.Writes()) != 0 || f.Counts() != (Counts{}) {
		t.Error("Reset keeps something")
	}
}

// Where a tc.State means what the kernel does, both have the same after an op; what the
// kernel takes, a State takes.
func TestFakeAndStateAgree(t *testing.T) {
	done := 0
	for seed := range uint64(300) {
		f := New(Link{Name: "v0"})
		g := gen{rand.New(rand.NewPCG(seed, 1))}
		for range 60 {
			op := g.ops(1)[0]
			wanted := f.State("v0")
			refused, means := wanted.Apply(op), sameMeaning(op, f.State("v0"))
			r := f.Apply(t.Context(), []tc.Op{op})[0]
			if !means || r.Err != nil {
				continue
			}
			done++
			if refused != nil {
				t.Fatalf("seed %d: %s: only the kernel takes it: %v", seed, op.Line(), refused)
			}
			if d := tc.Diff(f.State("v0"), tc.Canonical(wanted, tc.Host{})); len(d) != 0 {
				t.Fatalf("seed %d: %s: %v", seed, op.Line(), d)
			}
		}
	}
	if done < 1000 {
		t.Errorf("only %d ops were compared", done)
	}
}

// sameMeaning is false for what the kernel does in its own way.
func sameMeaning(op tc.Op, s *tc.State) bool {
	if q := op.Qdisc; q != nil {
		// At the root a State builds anew what the kernel changes; a tbf limits the fifo in it.
		_, inside := s.Qdisc("v0", q.Handle|1)
		return (op.Verb != tc.Replace || q.Parent != tc.Root) && (op.Verb == tc.Add || op.Verb == tc.Delete || !inside)
	}
	c := op.Class
	old, exists := s.Class("v0", c.ID)
	_, parent := s.Class("v0", c.Parent)
	stays := !exists || c.Parent == tc.Unspec || c.Parent == old.Parent
	return op.Verb == tc.Delete || stays && (parent || exists || c.Parent == tc.Root || c.Parent.Minor() == 0)
}
