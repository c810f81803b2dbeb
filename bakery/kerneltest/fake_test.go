package kerneltest

import (
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
	f := New(Link{Name: "a"})
	apply(t, f, "qdisc add dev a root handle 1: htb", "class add dev a parent 1: classid 1:1 htb rate 1mbit quantum 2000",
		"class add dev a parent 1: classid 1:1 htb rate 1mbit")
	if err := f.Meddle("class change dev a classid 1:1 htb rate 2mbit"); err != nil {
		t.Fatal(err)
	}
	want := []string{"qdisc add dev a root handle 1: htb", "class add dev a parent 1: classid 1:1 htb rate 1mbit quantum 2000",
		"class add dev a parent 1: classid 1:1 htb rate 1mbit # File exists (already exists)"}
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
