package tc

import (
	"cmp"
	"iter"
	"slices"
	"sync/atomic"
)

// maxTouches is about how many touches a trail remembers: more of them in one go are as well
// compared by looking at everything. Tests lower it.
var maxTouches = 4096

// minTouches is the room that the first touch makes.
const minTouches = 64

// Mark stands for the contents that a link of a State had at a moment. The zero Mark stands
// for nothing.
type Mark uint64

// marks numbers all touches of this process, so that no two contents have one Mark, also of
// clones that went different ways.
var marks atomic.Uint64

// trail remembers where a link was touched last, oldest first. Clones share the list: each
// sees as much of it as there was, and only the one that it was made for adds to it in place.
type trail struct {
	start   Mark // of what was there before the first touch that is remembered
	touches []touch
	shared  bool // another trail may have the list, too
	// The Marks after next, up to last, are this trail's alone.
	next, last Mark
}

// touch is a change at a handle: of the class with that id, or of the qdisc in that place. mark
// stands for the link with it.
type touch struct {
	mark Mark
	at   Handle
}

func newTrail() trail { return trail{start: Mark(marks.Add(1))} }

func (t *trail) touch(at Handle) {
	if len(t.touches) >= maxTouches {
		old := len(t.touches) - maxTouches/2
		t.start = t.touches[old-1].mark
		if t.shared {
			t.renew(t.touches[old:], maxTouches)
		} else {
			t.touches = append(t.touches[:0], t.touches[old:]...)
		}
	}
	if n := len(t.touches); n == cap(t.touches) { // append would grow it in more steps
		t.renew(t.touches, min(max(2*n, minTouches), maxTouches))
	}
	t.touches = append(t.touches, touch{t.newMark(), at})
}

// marksAtOnce are how many Marks a trail takes: links that are changed on several processors each ask for one seldom.
const marksAtOnce = 64

func (t *trail) newMark() Mark {
	if t.next == t.last {
		t.last = Mark(marks.Add(marksAtOnce))
		t.next = t.last - marksAtOnce
	}
	t.next++
	return t.next
}

// renew makes a list that no other trail has.
func (t *trail) renew(touches []touch, room int) {
	t.touches, t.shared = append(make([]touch, 0, room), touches...), false
}

// clone is a trail of its own, which leaves the room behind the list to the other.
func (t *trail) clone() trail {
	t.shared = true
	return trail{start: t.start, touches: slices.Clip(t.touches), shared: true}
}

func (t *trail) mark() Mark {
	if n := len(t.touches); n > 0 {
		return t.touches[n-1].mark
	}
	return t.start
}

// since are the touches after a Mark; false if it isn't one of this trail, or not any more.
func (t *trail) since(m Mark) ([]touch, bool) {
	if m == t.start {
		return t.touches, true
	}
	i, ok := slices.BinarySearchFunc(t.touches, m, func(t touch, m Mark) int { return cmp.Compare(t.mark, m) })
	if !ok {
		return nil, false
	}
	return t.touches[i+1:], true
}

// Mark stands for what is on a link now; zero if there is nothing.
func (s *State) Mark(link string) Mark {
	if l, ok := s.links.Get(link); ok {
		return l.trail.mark()
	}
	return 0
}

// Marks are the links that hold anything, in order, with their Marks.
func (s *State) Marks() iter.Seq2[string, Mark] {
	return func(yield func(string, Mark) bool) {
		for name, l := range s.links.All() {
			if !yield(name, l.trail.mark()) {
				return
			}
		}
	}
}

// EachTouched visits the handles that Touched gives, as they were touched, some more than once. It is
// false, and visits nothing, where Touched is.
func (s *State) EachTouched(link string, since Mark, visit func(Handle)) (known bool) {
	l, ok := s.links.Get(link)
	if !ok {
		return false
	}
	touches, known := l.trail.since(since)
	if known {
		for _, t := range touches {
			visit(t.at)
		}
	}
	return known
}

// Touched are the handles, in order, at which a link may have other contents than when it
// had the Mark: the class with that id, and the qdisc in that place. It is false where that
// isn't known: the Mark is another link's, or too many changes came since.
func (s *State) Touched(link string, since Mark) (at []Handle, known bool) {
	l, ok := s.links.Get(link)
	if !ok {
		return nil, false
	}
	touches, known := l.trail.since(since)
	for _, t := range touches {
		at = append(at, t.at)
	}
	slices.Sort(at)
	return slices.Compact(at), known
}
