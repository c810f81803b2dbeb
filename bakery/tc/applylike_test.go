package tc

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestApplyLike: it does what Apply does, whatever was there before, which stays as it is and is shared where it says the same.
func TestApplyLike(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		old, s := genState(t, "old"), genState(t, "state")
		if rapid.Bool().Draw(t, "twelve") {
			old = genTwelve(t, "old leaves")
			s = old.Part("eth0", []Handle{Root})
		}
		want, before := s.Clone(), contents(old)
		for _, op := range rapid.SliceOf(rapid.Custom(func(t *rapid.T) Op { return genOpLike(t, old) })).Draw(t, "ops") {
			asked := op.Line()
			err, wanted := s.ApplyLike(op, old), want.Apply(op)
			if fmt.Sprint(err) != fmt.Sprint(wanted) || op.Line() != asked {
				t.Fatalf("%s: %v, want %v; it is %s now", asked, err, wanted, op.Line())
			}
			if err == nil && op.Verb == Add && sharesOf(t, s, op, old) {
				shared++
			}
		}
		if !s.Equal(want) || !slices.Equal(contents(old), before) {
			t.Error("the State isn't what Apply makes, or what was before isn't any more")
		}
		for _, link := range s.Links() {
			checkIndexes(t, s, link)
		}
	})
	if shared == 0 {
		t.Error("nothing was shared")
	}
}

// genOpLike is often an Op that says what is there already.
func genOpLike(t *rapid.T, old *State) Op {
	link := rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "link")
	qdiscs, classes := slices.Collect(old.Qdiscs(link)), slices.Collect(old.Classes(link))
	switch what := rapid.IntRange(0, 2).Draw(t, "like"); {
	case what == 1 && len(qdiscs) > 0:
		q := qdiscs[rapid.IntRange(0, len(qdiscs)-1).Draw(t, "qdisc")]
		if rapid.Bool().Draw(t, "other leaf") {
			q.Options = Pfifo{}
		}
		return Op{Verb: Add, Qdisc: &q}
	case what == 2 && len(classes) > 0:
		c := classes[rapid.IntRange(0, len(classes)-1).Draw(t, "class")]
		c.HTB.Rate += rapid.SampledFrom([]Rate{0, 0, 8}).Draw(t, "faster")
		return Op{Verb: Add, Class: &c}
	}
	return genOp(t)
}

// contents are copies of all that a State has: of objects that are shared with others, too.
func contents(s *State) (all []string) {
	for _, link := range s.Links() {
		for q := range s.Qdiscs(link) {
			all = append(all, fmt.Sprintf("%+v", q))
		}
		for c := range s.Classes(link) {
			all = append(all, fmt.Sprintf("%+v", c))
		}
	}
	return all
}

// sharesOf tells whether a State has the object of an Op that was added from old, as it must where that says the same.
func sharesOf(t *rapid.T, s *State, op Op, old *State) bool {
	l, o := s.link(op.Link()), old.link(op.Link())
	var same, shared bool
	if op.Class != nil {
		has, _ := l.classes.Get(op.Class.ID)
		was, ok := o.classes.Get(op.Class.ID)
		same, shared = ok && *was == *op.Class, has == was
	} else {
		has, _ := l.qdiscs.Get(op.Qdisc.Parent)
		was, ok := o.qdiscs.Get(op.Qdisc.Parent)
		same, shared = ok && *was == *op.Qdisc, has == was
	}
	if same != shared {
		t.Fatalf("%s: it says the same as before: %v, it is shared: %v", op.Line(), same, shared)
	}
	return shared
}
