package tc

import (
	"iter"
	"sync"
)

// State is the tree of qdiscs and classes of any number of links. The zero
// value is empty and ready. One goroutine may write it; any number may read it
// as long as none writes. What the methods return are copies, or values that
// are never written again.
type State struct {
	mu    sync.Mutex // makes Clone safe beside other readers
	links ByLink[*link]
}

// Clone is a copy that costs a few words per link: the trees are shared until
// one side writes. Original and clone may then be used by different goroutines,
// either of them writing. Several goroutines may clone the same State at once.
func (s *State) Clone() *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &State{links: s.links.Clone((*link).clone)}
}

// Only is a copy that holds one link and nothing else.
func (s *State) Only(name string) *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := new(State)
	if l, ok := s.links.Get(name); ok {
		c.links.Set(l.name, l.clone())
	}
	return c
}

// noLink stands for a link that has nothing.
var noLink = newLink("")

func (s *State) link(name string) *link {
	if l, ok := s.links.Get(name); ok {
		return l
	}
	return noLink
}

// Links are the names of the links that hold anything, in order.
func (s *State) Links() []string { return s.links.Names() }

// Qdisc is the qdisc in a place: Root, Ingress, or a class.
func (s *State) Qdisc(link string, parent Handle) (Qdisc, bool) {
	return value(s.link(link).qdiscs.Get(parent))
}

// QdiscByHandle is the qdisc that has the handle.
func (s *State) QdiscByHandle(link string, handle Handle) (Qdisc, bool) {
	q := s.link(link).qdiscByMajor(handle.Major())
	return value(q, q != nil && handle.IsQdisc())
}

// HandleInUse reports whether a qdisc of the link has the major number.
func (s *State) HandleInUse(link string, major uint16) bool {
	return s.link(link).handles.Has(major)
}

// Class is the class with the id. The classes 7fff:N of an mq, which always
// exist and have no parameters, are not among them.
func (s *State) Class(link string, id Handle) (Class, bool) {
	return value(s.link(link).classes.Get(id))
}

// HasQdisc reports whether there is a qdisc in a place. It, HasClass and HandleAt take less time than Qdisc and Class.
func (s *State) HasQdisc(link string, parent Handle) bool { return s.link(link).qdiscs.Has(parent) }

// HasClass reports whether there is a class with the id.
func (s *State) HasClass(link string, id Handle) bool { return s.link(link).classes.Has(id) }

// HandleAt is the handle of the qdisc in a place.
func (s *State) HandleAt(link string, parent Handle) (handle Handle, there bool) {
	if q, ok := s.link(link).qdiscs.Get(parent); ok {
		return q.Handle, true
	}
	return 0, false
}

func value[T any](p *T, ok bool) (T, bool) {
	if !ok {
		var zero T
		return zero, false
	}
	return *p, true
}

// Children are the classes directly below a class, or below an HTB (MAJOR:), in
// order of their ids.
func (s *State) Children(link string, parent Handle) iter.Seq[Class] {
	l := s.link(link)
	return func(yield func(Class) bool) {
		for id := range l.children(parent) {
			c, _ := l.classes.Get(id)
			if !yield(*c) {
				return
			}
		}
	}
}

// HasChildren reports whether a class, or an HTB (MAJOR:), has classes directly below it.
func (s *State) HasChildren(link string, parent Handle) bool { return s.link(link).hasChildren(parent) }

// Qdiscs are all qdiscs of a link in order of their parents; Ingress and Root
// come last.
func (s *State) Qdiscs(link string) iter.Seq[Qdisc] {
	l := s.link(link)
	return func(yield func(Qdisc) bool) {
		l.qdiscs.Scan(func(_ Handle, q *Qdisc) bool { return yield(*q) })
	}
}

// Classes are all classes of a link in order of their ids.
func (s *State) Classes(link string) iter.Seq[Class] {
	l := s.link(link)
	return func(yield func(Class) bool) {
		l.classes.Scan(func(_ Handle, c *Class) bool { return yield(*c) })
	}
}

// Holds reports whether a qdisc has classes of its own or qdiscs in it.
func (s *State) Holds(link string, handle Handle) bool {
	l := s.link(link)
	return l.hasChildren(handle) || len(l.places(handle.Major())) > 0
}

// QdiscCount is the number of qdiscs of a link.
func (s *State) QdiscCount(link string) int { return s.link(link).qdiscs.Len() }

// ClassCount is the number of classes of a link.
func (s *State) ClassCount(link string) int { return s.link(link).classes.Len() }

// Len is the number of qdiscs and classes on all links.
func (s *State) Len() int {
	n := 0
	for _, l := range s.links.All() {
		n += l.qdiscs.Len() + l.classes.Len()
	}
	return n
}

// Equal reports whether both hold the same qdiscs and classes.
func (s *State) Equal(o *State) bool {
	if s == nil || o == nil {
		return s == o
	}
	if s.links.Len() != o.links.Len() {
		return false
	}
	for name, l := range s.links.All() {
		if !l.equal(o.link(name)) {
			return false
		}
	}
	return true
}

func (l *link) equal(o *link) bool {
	if l.qdiscs.Len() != o.qdiscs.Len() || l.classes.Len() != o.classes.Len() {
		return false
	}
	same := true
	l.qdiscs.Scan(func(parent Handle, q *Qdisc) bool {
		other, ok := o.qdiscs.Get(parent)
		same = ok && (q == other || *q == *other)
		return same
	})
	if !same {
		return false
	}
	l.classes.Scan(func(id Handle, c *Class) bool {
		other, ok := o.classes.Get(id)
		same = ok && (c == other || *c == *other)
		return same
	})
	return same
}
