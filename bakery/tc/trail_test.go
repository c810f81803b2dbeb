package tc

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// differences are the handles at which two States have something else.
func differences(a, b *State, link string) []Handle {
	at := differing(differing(nil, &a.link(link).qdiscs, &b.link(link).qdiscs), &a.link(link).classes, &b.link(link).classes)
	slices.Sort(at)
	return slices.Compact(at)
}

// TestTouched: what differs from the State that a Mark was taken of is touched, whatever
// happened in between, and a Mark that stayed is of the same contents.
func TestTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genState(t, "state")
		before, marks := s.Clone(), map[string]Mark{}
		for _, link := range s.Links() {
			marks[link] = s.Mark(link)
		}
		other := s.Clone()
		for _, op := range rapid.SliceOf(rapid.Custom(genOp)).Draw(t, "edits") {
			_ = s.Apply(op)
		}
		for _, op := range rapid.SliceOf(rapid.Custom(genOp)).Draw(t, "edits of a clone") {
			_ = other.Apply(op)
		}
		for link, mark := range marks {
			differ := differences(before, s, link)
			at, known := s.Touched(link, mark)
			for _, h := range differ {
				if known && !slices.Contains(at, h) {
					t.Errorf("%s: %v changed, and isn't touched: %v", link, h, at)
				}
			}
			if !known && s.Mark(link) != 0 && len(at) > 0 || s.Mark(link) == mark && len(differ) > 0 {
				t.Errorf("%s: known %v, touched %v, mark %d after %d", link, known, at, s.Mark(link), mark)
			}
			if _, known := s.Touched(link, other.Mark(link)); known && other.Mark(link) != mark {
				t.Errorf("%s: the mark of a clone that went another way is known", link)
			}
		}
	})
}

// TestPart: a Part has what it is asked for and nothing else, and put back it makes the State
// that it is of.
func TestPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, changed := genState(t, "state"), genState(t, "other")
		for _, link := range s.Links() {
			at := differences(s, changed, link)
			part := s.Part(link, at)
			for c := range part.Classes(link) {
				if other, _ := s.Class(link, c.ID); c != other || !slices.Contains(at, c.ID) {
					t.Errorf("%s: class %v isn't what it should be", link, c)
				}
			}
			mark := changed.Mark(link)
			changed.Take(link, part, at)
			if !changed.Only(link).Equal(s.Only(link)) {
				t.Errorf("%s: %v isn't enough", link, at)
			}
			if touched, known := changed.Touched(link, mark); known && !slices.Equal(touched, at) {
				t.Errorf("%s: touched %v, taken %v", link, touched, at)
			}
			checkIndexes(t, changed, link)
		}
	})
}

// TestRestate: a State that was made anew is the same after it, and goes on from the Marks of the
// one before.
func TestRestate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, s := genState(t, "old"), genState(t, "new")
		before, was := s.Clone(), old.Clone()
		s.Restate(old)
		if !s.Equal(before) || !old.Equal(was) {
			t.Fatal("it changed something")
		}
		for _, link := range s.Links() {
			checkIndexes(t, s, link)
			at, known := s.Touched(link, old.Mark(link))
			if _, there := old.links.Get(link); known != there || there && !slices.Equal(at, differences(old, s, link)) {
				t.Errorf("%s: known %v, touched %v", link, known, at)
			}
		}
	})
}

// TestTrailForgets: a Mark that is long ago isn't known, and no list grows without end.
func TestTrailForgets(t *testing.T) {
	s := Canonical(parseState(t, tree), Host{})
	first := s.Mark("e0")
	class, _ := s.Class("e0", NewHandle(1, 5))
	var late Mark
	for i := range 3 * maxTouches {
		class.HTB.Rate = Rate(1e6 + 8*i)
		if err := s.Apply(Op{Verb: Change, Class: &class}); err != nil {
			t.Fatal(err)
		}
		if i == 3*maxTouches-10 {
			late = s.Mark("e0")
		}
	}
	if at, known := s.Touched("e0", first); known {
		t.Errorf("%v since the beginning", at)
	}
	if at, known := s.Touched("e0", late); !known || !slices.Equal(at, []Handle{class.ID}) {
		t.Errorf("%v, known %v, since a moment ago", at, known)
	}
	if n := cap(s.link("e0").trail.touches); n > maxTouches {
		t.Errorf("room for %d touches", n)
	}
}
