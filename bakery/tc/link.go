package tc

import (
	"iter"

	"github.com/tidwall/btree"

	"lqosd/bakery/radix"
)

// link is the tree of one link. What the maps point to is never written again:
// a change stores a new value, so copies of the maps may share them.
type link struct {
	name    string
	qdiscs  radix.Map[Handle, *Qdisc] // by parent: every place holds one
	handles radix.Map[uint16, Handle] // major of a qdisc → its parent
	classes radix.Map[Handle, *Class] // by id
	// below holds parent<<32|id for each class: the children of a class, or
	// of the HTB itself, are a range of it. kids counts them.
	below *btree.Map[uint64, struct{}]
	kids  radix.Map[Handle, int32]
	trail trail
}

func newLink(name string) *link {
	return &link{name: name, below: new(btree.Map[uint64, struct{}]), trail: newTrail()}
}

func (l *link) clone() *link {
	return &link{
		name:    l.name,
		qdiscs:  *l.qdiscs.Copy(),
		handles: *l.handles.Copy(),
		classes: *l.classes.Copy(),
		below:   l.below.Copy(),
		kids:    *l.kids.Copy(),
		trail:   l.trail.clone(),
	}
}

func (l *link) empty() bool { return l.qdiscs.Len() == 0 }

// qdiscByMajor is the qdisc with a handle, nil if there is none.
func (l *link) qdiscByMajor(major uint16) *Qdisc {
	parent, ok := l.handles.Get(major)
	if !ok {
		return nil
	}
	q, _ := l.qdiscs.Get(parent)
	return q
}

func belowKey(parent, id Handle) uint64 { return uint64(parent)<<32 | uint64(id) }

// children are the ids of the classes directly below parent, in order.
func (l *link) children(parent Handle) iter.Seq[Handle] {
	return func(yield func(Handle) bool) {
		l.below.Ascend(belowKey(parent, 0), func(key uint64, _ struct{}) bool {
			return Handle(key>>32) == parent && yield(Handle(key))
		})
	}
}

func (l *link) hasChildren(parent Handle) bool { return l.kids.Has(parent) }

// addChild and dropChild note that a class is below a parent, or isn't any more.
func (l *link) addChild(parent, id Handle) {
	if _, known := l.below.Set(belowKey(parent, id), struct{}{}); !known {
		n, _ := l.kids.Get(parent)
		l.kids.Set(parent, n+1)
	}
}

func (l *link) dropChild(parent, id Handle) {
	if _, known := l.below.Delete(belowKey(parent, id)); !known {
		return
	}
	if n, _ := l.kids.Get(parent); n > 1 {
		l.kids.Set(parent, n-1)
	} else {
		l.kids.Delete(parent)
	}
}

// places are the parents of the qdiscs that sit in classes of major, in order.
func (l *link) places(major uint16) []Handle {
	var list []Handle
	first := NewHandle(major, 0)
	l.qdiscs.Ascend(first, func(parent Handle, _ *Qdisc) bool {
		if parent.Major() != major || parent >= Ingress {
			return false
		}
		list = append(list, parent)
		return true
	})
	return list
}

func (l *link) setQdisc(q *Qdisc) {
	l.trail.touch(q.Parent)
	l.qdiscs.Set(q.Parent, q)
	if q.Handle != 0 {
		l.handles.Set(q.Handle.Major(), q.Parent)
	}
}

// removeQdisc removes the qdisc at parent and all that is in it.
func (l *link) removeQdisc(parent Handle) {
	q, ok := l.qdiscs.Delete(parent)
	if !ok {
		return
	}
	l.trail.touch(parent)
	if q.Handle == 0 {
		return
	}
	major := q.Handle.Major()
	l.handles.Delete(major)
	if parent == Ingress {
		return
	}
	for _, place := range l.places(major) {
		l.removeQdisc(place)
	}
	var ids []Handle
	l.classes.Ascend(q.Handle, func(id Handle, c *Class) bool {
		if id.Major() != major {
			return false
		}
		ids = append(ids, id)
		return true
	})
	for _, id := range ids {
		c, _ := l.classes.Delete(id)
		l.dropChild(c.Parent, id)
		l.trail.touch(id)
	}
}

func (l *link) setClass(c *Class) {
	l.trail.touch(c.ID)
	old, replaced := l.classes.Set(c.ID, c)
	if replaced && old.Parent == c.Parent {
		return
	}
	if replaced {
		l.dropChild(old.Parent, c.ID)
	}
	l.addChild(c.Parent, c.ID)
	if c.Parent.Minor() != 0 {
		l.removeQdisc(c.Parent) // a class with children has no leaf
	}
}

func (l *link) removeClass(c *Class) {
	l.removeQdisc(c.ID)
	l.classes.Delete(c.ID)
	l.dropChild(c.Parent, c.ID)
	l.trail.touch(c.ID)
}
