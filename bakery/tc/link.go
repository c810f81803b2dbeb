package tc

import (
	"sync/atomic"

	"lqosd/bakery/radix"
)

// link is the tree of one link. What the maps point to is never written again:
// a change stores a new value, so copies of the maps may share them.
type link struct {
	name    string
	qdiscs  radix.Map[Handle, *Qdisc] // by parent: every place holds one
	handles radix.Short[Handle]       // major of a qdisc → its parent
	classes radix.Map[Handle, *Class] // by id
	// kids counts the children of a class, or of the HTB itself; below is the list that byParent makes of them, nil if nobody asked
	// since they changed.
	kids  radix.Map[Handle, int32]
	below atomic.Pointer[[]uint64]
	trail trail
}

func newLink(name string) *link {
	return &link{name: name, trail: newTrail()}
}

func (l *link) clone() *link {
	c := &link{
		name:    l.name,
		qdiscs:  *l.qdiscs.Copy(),
		handles: *l.handles.Copy(),
		classes: *l.classes.Copy(),
		kids:    *l.kids.Copy(),
		trail:   l.trail.clone(),
	}
	c.below.Store(l.below.Load())
	return c
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
		l.dropChild(c.Parent)
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
		l.dropChild(old.Parent)
	}
	if first := l.addChild(c.Parent); first && c.Parent.Minor() != 0 {
		l.removeQdisc(c.Parent) // a class with children has no leaf
	}
}

func (l *link) removeClass(c *Class) {
	l.removeQdisc(c.ID)
	l.classes.Delete(c.ID)
	l.dropChild(c.Parent)
	l.trail.touch(c.ID)
}
