package tc

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery/radix"
)

// differences are the handles at which two States have something else.
func differences(a, b *State, link string) []Handle {
	var at []Handle
	for h, q := range union(&a.link(link).qdiscs, &b.link(link).qdiscs) {
		if q[0] == nil || q[1] == nil || *q[0] != *q[1] {
			at = append(at, h)
		}
	}
	for h, c := range union(&a.link(link).classes, &b.link(link).classes) {
		if c[0] == nil || c[1] == nil || *c[0] != *c[1] {
			at = append(at, h)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// union has of each handle what two maps have.
func union[T any](a, b *radix.Map[Handle, *T]) map[Handle][2]*T {
	all := map[Handle][2]*T{}
	for i, m := range []*radix.Map[Handle, *T]{a, b} {
		m.Scan(func(h Handle, p *T) bool {
			both := all[h]
			both[i] = p
			all[h] = both
			return true
		})
	}
	return all
}

// TestTouched: what differs from the State that a Mark was taken of is touched, whatever
// happened in between, and a Mark that stayed is of the same contents.
func TestTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if rapid.Bool().Draw(t, "limits") {
			rememberFew(t)
		}
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

// rememberFew makes trails forget, and States differ too much, with few touches, so that small States cross the limits.
func rememberFew(t *rapid.T) {
	was := maxTouches
	t.Cleanup(func() { maxTouches = was })
	maxTouches = rapid.IntRange(1, 12).Draw(t, "touches that are remembered")
}

// genTwelve are classes, some with a leaf, of two kinds each.
func genTwelve(t *rapid.T, label string) *State {
	var lines []string
	for i, what := range rapid.SliceOfN(rapid.IntRange(0, 5), 12, 12).Draw(t, label) {
		lines = append(lines, fmt.Sprintf("class add dev eth0 parent 1: classid 1:%x htb rate %dmbit", i+1, 1+what%2))
		if leaf := []string{"", "pfifo", "bfifo"}[what/2]; leaf != "" {
			lines = append(lines, fmt.Sprintf("qdisc add dev eth0 parent 1:%x handle %x: %s", i+1, 0x8001+i, leaf))
		}
	}
	s, bad, err := ParseScript(strings.NewReader("qdisc add dev eth0 root handle 1: htb\n" + strings.Join(lines, "\n")))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	return s
}

// TestRestate: a State that was made anew is the same after it, and goes on from the Marks of the
// one before, unless too much differs.
func TestRestate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, s := genState(t, "old"), genState(t, "new")
		if rapid.Bool().Draw(t, "limits") {
			rememberFew(t)
			old, s = genTwelve(t, "old leaves"), genTwelve(t, "new leaves")
		}
		before, was := s.Clone(), old.Clone()
		s.Restate(old)
		if !s.Equal(before) || !old.Equal(was) {
			t.Fatal("it changed something")
		}
		for _, link := range s.Links() {
			checkIndexes(t, s, link)
			at, known := s.Touched(link, old.Mark(link))
			differ := differences(old, s, link)
			_, there := old.links.Get(link)
			if want := there && len(differ) <= maxTouches/2; known != want || known && !slices.Equal(at, differ) {
				t.Errorf("%s: known %v, touched %v", link, known, at)
			}
		}
	})
}

// TestRestateOfMany: whatever share of a big link differs, classes with or without their leaves.
func TestRestateOfMany(t *testing.T) {
	const classes = 3000
	build := func(differ, leaves int) *State {
		qdiscs := []Qdisc{{Handle: NewHandle(1, 0), Parent: Root, Options: HTB{}}}
		var list []Class
		for i := range classes {
			c := Class{ID: NewHandle(1, uint16(i+1)), Parent: NewHandle(1, 0), HTB: HTBClass{Rate: 1e6}}
			leaf := Qdisc{Handle: NewHandle(uint16(0x8000+i), 0), Parent: c.ID, Options: Pfifo{}}
			if i < differ {
				c.HTB.Rate = 2e6
			}
			if i < leaves {
				leaf.Options = Bfifo{}
			}
			list, qdiscs = append(list, c), append(qdiscs, leaf)
		}
		s, err := NewState("e0", qdiscs, list)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := build(0, 0)
	for _, differ := range []int{0, 1, maxTouches / 4, maxTouches/4 + 1, maxTouches/2 - 1, maxTouches / 2, maxTouches/2 + 1, classes} {
		for _, leaves := range []int{0, differ * 2 / 3, differ} {
			s, want := build(differ, leaves), build(differ, leaves)
			s.Restate(old)
			if !s.Equal(want) {
				t.Errorf("%d classes differ, %d with their leaves, and Restate changed %d things", differ, leaves, len(Diff(want, s)))
			}
			if at, known := s.Touched("e0", old.Mark("e0")); known != (differ <= maxTouches/2) || known && len(at) != differ {
				t.Errorf("%d and %d differ: known %v, %d touched", differ, leaves, known, len(at))
			}
		}
	}
}

// TestRestateBesideClones: several States are restated from one while others clone and read it, as a batch does for each link.
func TestRestateBesideClones(t *testing.T) {
	old := parseState(t, tree)
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for range 50 {
				s := parseState(t, tree)
				s.Restate(old)
				if at, known := s.Touched("e0", old.Clone().Mark("e0")); !known || len(at) > 0 || !s.Equal(old) {
					t.Errorf("touched %v, known %v", at, known)
				}
			}
		})
	}
	busy.Wait()
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

// seen are the contents that a State had with a Mark of its link.
type seen struct {
	mark Mark
	of   *State // a copy
}

// TestMarksOfManyStates: however many States go their own ways, with more touches than a trail takes Marks for at once, no two contents
// have one Mark, and since each Mark that is known what differs is touched.
func TestMarksOfManyStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if rapid.Bool().Draw(t, "limits") {
			rememberFew(t)
		}
		all, known := []*State{genTwelve(t, "first")}, []seen{}
		pick := func(t *rapid.T) *State { return all[rapid.IntRange(0, len(all)-1).Draw(t, "state")] }
		t.Repeat(map[string]func(*rapid.T){
			"clone": func(t *rapid.T) {
				if len(all) < 5 {
					all = append(all, pick(t).Clone())
				}
			},
			"restate": func(t *rapid.T) {
				if len(all) < 5 {
					s := genTwelve(t, "stated")
					s.Restate(pick(t))
					all = append(all, s)
				}
			},
			"take the link of a copy": func(t *rapid.T) {
				s, copied := pick(t), pick(t).Only("eth0")
				touchOften(t, copied)
				s.TakeLink("eth0", copied)
			},
			"touch": func(t *rapid.T) { touchOften(t, pick(t)) },
			"": func(t *rapid.T) {
				for _, s := range all {
					known = checkMarks(t, known, s)
				}
			},
		})
	})
}

// touchOften changes classes of what genTwelve made, sometimes more often than a trail takes Marks for at once.
func touchOften(t *rapid.T, s *State) {
	class, _ := s.Class("eth0", NewHandle(1, uint16(rapid.IntRange(1, 12).Draw(t, "class"))))
	mark, touches := s.Mark("eth0"), rapid.SampledFrom([]int{1, 2, marksAtOnce - 1, marksAtOnce, marksAtOnce + 1}).Draw(t, "touches")
	for range touches {
		class.HTB.Rate = class.HTB.Rate%(9<<20) + 8
		if err := s.Apply(Op{Verb: Change, Class: &class}); err != nil {
			t.Fatal(err)
		}
	}
	if at, known := s.Touched("eth0", mark); !known && touches <= maxTouches/2 || known && !slices.Equal(at, []Handle{class.ID}) {
		t.Fatalf("after %d touches of %v since mark %d: %v, known %v", touches, class.ID, mark, at, known)
	}
}

// checkMarks compares a State with all that was seen, and remembers it, too.
func checkMarks(t *rapid.T, known []seen, s *State) []seen {
	mark, there := s.Mark("eth0"), false
	for _, k := range known {
		there = there || k.mark == mark
		at, ok := s.Touched("eth0", k.mark)
		if !ok {
			continue
		}
		for _, h := range differences(k.of, s, "eth0") {
			if k.mark == mark || !slices.Contains(at, h) {
				t.Fatalf("%v changed since mark %d, and isn't touched: %v; the mark is %d now", h, k.mark, at, mark)
			}
		}
	}
	if !there {
		known = append(known, seen{mark, s.Clone()})
	}
	return known
}
