package tc

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// apart is a State of the same contents that shares nothing with s.
func apart(t *rapid.T, s *State) *State {
	a := new(State)
	for _, name := range s.Links() {
		b := NewBuilder(name, nil)
		for q := range s.Qdiscs(name) {
			b.Qdisc(q)
		}
		for c := range s.Classes(name) {
			b.Class(c)
		}
		one, err := b.State()
		if err != nil {
			t.Fatal(err)
		}
		l, _ := one.links.Get(name)
		a.keep(name, l)
	}
	return a
}

// remembered is what a link had when it had a Mark.
type remembered struct {
	link string
	mark Mark
	then *State
}

// TestTrailsBeyondTheirLimit: clones, States made anew that go on from others, parts put in each
// other's place, however few touches are remembered: each State has what was done to it alone, and what
// is Touched since any Mark is at least what differs.
func TestTrailsBeyondTheirLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rememberFew(t)
		first := genLeaves(t)
		states, plain := []*State{first}, []*State{apart(t, first)}
		var marks []remembered
		one := func(label string) int { return rapid.IntRange(0, len(states)-1).Draw(t, label) }
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := one("which")
			s, p := states[i], plain[i]
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				states, plain = append(states, s.Clone()), append(plain, apart(t, p))
			case 1: // what a batch does
				p := genState(t, "made anew")
				made := apart(t, p)
				states, plain = append(states, made), append(plain, p)
				if rapid.Bool().Draw(t, "restated") {
					made.Restate(s)
				}
			case 2:
				s.Restate(states[one("before")])
			case 3:
				o, link := one("other"), rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "link")
				at := differences(s, states[o], link)
				s.Take(link, states[o].Part(link, at), at)
				plain[i] = takeWhole(t, p, plain[o], link)
			case 4, 5: // a batch that says nearly the same
				made, p := apart(t, p), apart(t, p)
				changeBoth(t, made, p)
				states, plain = append(states, made), append(plain, p)
				made.Restate(s)
			case 6:
				for _, link := range s.Links() {
					for c := range s.Clone().Classes(link) { // of some that is refused
						applyBoth(t, s, p, Op{Verb: Delete, Class: &c})
						if rapid.Bool().Draw(t, "enough") {
							break
						}
					}
				}
			default:
				for _, op := range rapid.SliceOfN(rapid.Custom(genOp), 1, 6).Draw(t, "ops") {
					applyBoth(t, s, p, op)
				}
			}
			for link, mark := range s.Marks() {
				marks = append(marks, remembered{link, mark, apart(t, plain[i])})
			}
			for i, s := range states {
				checkBeside(t, s, plain[i], marks)
			}
		}
	})
}

// genLeaves is an htb with some classes, below each other or not, most of which have a leaf.
func genLeaves(t *rapid.T) *State {
	var script strings.Builder
	script.WriteString("qdisc add dev eth0 root handle 1: htb\nclass add dev eth0 parent 1: classid 1:1 htb rate 1mbit\n")
	for i := range rapid.IntRange(0, 8).Draw(t, "classes") {
		fmt.Fprintf(&script, "class add dev eth0 parent 1:%d classid 1:%d htb rate 1mbit\n", rapid.IntRange(0, 1).Draw(t, "parent"), i+2)
		if rapid.IntRange(0, 3).Draw(t, "leaf") > 0 {
			fmt.Fprintf(&script, "qdisc add dev eth0 parent 1:%d handle %x: pfifo\n", i+2, 0x9000+i)
		}
	}
	s, refused, err := ParseScript(strings.NewReader(script.String()))
	if len(refused) > 0 || err != nil {
		t.Fatal(refused, err)
	}
	return s
}

// changeBoth changes some classes with their leaves.
func changeBoth(t *rapid.T, s, plain *State) {
	for _, link := range s.Links() {
		for c := range s.Clone().Classes(link) {
			if rapid.Bool().Draw(t, "stays") {
				continue
			}
			c.HTB.Rate += 8
			applyBoth(t, s, plain, Op{Verb: Change, Class: &c})
			if q, there := s.Qdisc(link, c.ID); there && rapid.Bool().Draw(t, "leaf") {
				q.Options = Bfifo{}
				applyBoth(t, s, plain, Op{Verb: Replace, Qdisc: &q})
			}
		}
	}
}

func applyBoth(t *rapid.T, s, plain *State, op Op) {
	if a, b := s.Apply(op), plain.Apply(op); (a == nil) != (b == nil) {
		t.Fatalf("%v: %v, and of what shares nothing %v", op.Line(), a, b)
	}
}

// takeWhole is s with all of a link as o has it.
func takeWhole(t *rapid.T, s, o *State, link string) *State {
	next, other := apart(t, s), apart(t, o)
	next.links.Delete(link)
	if l, there := other.links.Get(link); there {
		next.keep(link, l)
	}
	return next
}

func checkBeside(t *rapid.T, s, plain *State, marks []remembered) {
	if !s.Equal(plain) {
		t.Fatalf("it has something else: %v", Diff(plain, s))
	}
	for _, link := range s.Links() {
		checkIndexes(t, s, link)
		if n := len(s.link(link).trail.touches); n > maxTouches {
			t.Fatalf("%d touches are remembered", n)
		}
	}
	for _, m := range marks {
		at, known := s.Touched(m.link, m.mark)
		for _, h := range differences(m.then, s, m.link) {
			if s.Mark(m.link) == m.mark || known && !slices.Contains(at, h) {
				t.Fatalf("%s: %v differs from what had mark %d, and isn't touched: %v", m.link, h, m.mark, at)
			}
		}
	}
}
