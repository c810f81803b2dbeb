package tc

import "testing"

// What a Builder is told that is known already is there once, and what differs is as it was told.
func TestBuilderShares(t *testing.T) {
	known := parseState(t, tree)
	b := NewBuilder("e0", known)
	changed := NewHandle(1, 5)
	for q := range known.Qdiscs("e0") {
		b.Qdisc(q)
	}
	for c := range known.Classes("e0") {
		if c.ID == changed {
			c.HTB.Rate += 8
		}
		b.Class(c)
	}
	s, err := b.State()
	if err != nil {
		t.Fatal(err)
	}
	got, old := s.link("e0"), known.link("e0")
	shared := 0
	got.qdiscs.Scan(func(at Handle, q *Qdisc) bool {
		if p, _ := old.qdiscs.Get(at); p != q {
			t.Errorf("qdisc at %v is there twice", at)
		}
		shared++
		return true
	})
	got.classes.Scan(func(id Handle, c *Class) bool {
		if p, _ := old.classes.Get(id); (p != c) != (id == changed) {
			t.Errorf("class %v: there twice: %v", id, p != c)
		}
		shared++
		return true
	})
	if d := Diff(known, s); shared != old.qdiscs.Len()+old.classes.Len() || len(d) != 1 || d[0].To.Class == nil || d[0].To.Class.ID != changed {
		t.Errorf("%d objects, differences %v", shared, d)
	}
	if !Differ(known, s) || Differ(s, s) {
		t.Error("Differ doesn't say what Diff does")
	}
}
