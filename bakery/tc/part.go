package tc

import (
	"slices"

	"lqosd/bakery/radix"
)

// Part is a State that holds of one link what is at some handles, and nothing else: the
// classes with these ids, and the qdiscs in these places. What it sits in is for the caller
// to name, too: where that is missing the Part is no State to Apply something to.
func (s *State) Part(name string, at []Handle) *State {
	part := new(State)
	if l, ok := s.links.Get(name); ok {
		p := newLink(l.name)
		p.take(l, at)
		part.links.Set(l.name, p)
	}
	return part
}

// Take makes a link have at some handles what it has in o. The caller says that this makes a
// State of it: both have the same everywhere else, or where it matters.
func (s *State) Take(name string, o *State, at []Handle) {
	l, ok := s.links.Get(name)
	if !ok {
		l = newLink(name)
	}
	l.take(o.link(name), at)
	s.keep(name, l)
}

// take is Take. All that goes goes first, so that handles which wander do no harm.
func (l *link) take(o *link, at []Handle) {
	for _, h := range at {
		if c, ok := l.classes.Delete(h); ok {
			l.dropChild(c.Parent)
		}
		if q, ok := l.qdiscs.Delete(h); ok && q.Handle != 0 {
			l.handles.Delete(q.Handle.Major())
		}
		l.trail.touch(h)
	}
	for _, h := range at {
		if c, ok := o.classes.Get(h); ok {
			if _, again := l.classes.Set(h, c); !again {
				l.addChild(c.Parent)
			}
		}
		if q, ok := o.qdiscs.Get(h); ok {
			l.qdiscs.Set(h, q)
			if q.Handle != 0 {
				l.handles.Set(q.Handle.Major(), h)
			}
		}
	}
}

// Restate makes s share with old, which it has replaced as a whole, what is the same, and go on
// from old's Marks: what is Touched since one of them is what differs. Links of which too much
// differs, or all, stay as they are. Neither State's contents change.
func (s *State) Restate(old *State) {
	for name, l := range s.links.All() {
		before, ok := old.links.Get(name)
		if !ok {
			continue
		}
		if at, few := l.differs(before); few {
			next := old.cloneLink(before)
			next.take(l, at)
			s.links.Set(name, next)
		}
	}
}

func (s *State) cloneLink(l *link) *link {
	s.mu.Lock() // as for Clone
	defer s.mu.Unlock()
	return l.clone()
}

// TakeLink makes a link what it is in o, which isn't written any more.
func (s *State) TakeLink(name string, o *State) {
	if l, ok := o.links.Get(name); ok {
		s.links.Set(l.name, l)
	} else {
		s.links.Delete(name)
	}
}

// differs are the handles at which two links differ; false if they are too many to be worth it.
func (l *link) differs(o *link) (at []Handle, few bool) {
	count := func(a, b int) bool { return max(a, b)-min(a, b) <= maxTouches/2 }
	if !count(l.qdiscs.Len(), o.qdiscs.Len()) || !count(l.classes.Len(), o.classes.Len()) {
		return nil, false
	}
	leaves, few := differing(&l.qdiscs, &o.qdiscs)
	if !few {
		return nil, false
	}
	classes, few := differing(&l.classes, &o.classes)
	if !few {
		return nil, false
	}
	at = append(leaves, classes...)
	slices.Sort(at)
	at = slices.Compact(at) // a class and its leaf
	return at, len(at) <= maxTouches/2
}

// differing are the handles at which two maps differ; false, and not all of them, if they are
// too many.
func differing[T comparable](a, b *radix.Map[Handle, *T]) (at []Handle, few bool) {
	few = true
	add := func(h Handle) bool {
		at = append(at, h)
		few = len(at) <= maxTouches/2
		return few
	}
	a.Scan(func(h Handle, p *T) bool {
		q, ok := b.Get(h)
		return ok && (p == q || *p == *q) || add(h)
	})
	if !few {
		return nil, false
	}
	b.Scan(func(h Handle, _ *T) bool { return a.Has(h) || add(h) })
	return at, few
}
