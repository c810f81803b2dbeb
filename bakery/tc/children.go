package tc

import (
	"iter"
	"slices"
	"sort"
)

// children are the ids of the classes directly below parent, in order. They are read from a list of all, which is made when
// somebody asks: a fold never does, and what does asks for many.
func (l *link) children(parent Handle) iter.Seq[Handle] {
	return func(yield func(Handle) bool) {
		if !l.hasChildren(parent) {
			return
		}
		list := l.byParent()
		first := belowKey(parent, 0)
		for _, key := range list[sort.Search(len(list), func(i int) bool { return list[i] >= first }):] {
			if Handle(key>>32) != parent || !yield(Handle(key)) {
				return
			}
		}
	}
}

func belowKey(parent, id Handle) uint64 { return uint64(parent)<<32 | uint64(id) }

// byParent has parent<<32|id for each class, in order. Several readers may make it at once: they make the same.
func (l *link) byParent() []uint64 {
	if known := l.below.Load(); known != nil {
		return *known
	}
	list := make([]uint64, 0, l.classes.Len())
	l.classes.Scan(func(id Handle, c *Class) bool {
		list = append(list, belowKey(c.Parent, id))
		return true
	})
	slices.Sort(list)
	l.below.Store(&list)
	return list
}

func (l *link) hasChildren(parent Handle) bool { return l.kids.Has(parent) }

// addChild notes that a class is below a parent, and tells whether it is the first.
func (l *link) addChild(parent Handle) (first bool) {
	l.forgetBelow()
	if n := l.kids.Change(parent); n != nil {
		*n++
		return false
	}
	l.kids.Set(parent, 1)
	return true
}

// dropChild notes that a class isn't below a parent any more.
func (l *link) dropChild(parent Handle) {
	l.forgetBelow()
	if n := l.kids.Change(parent); n != nil && *n > 1 {
		*n--
	} else {
		l.kids.Delete(parent)
	}
}

func (l *link) forgetBelow() {
	if l.below.Load() != nil { // cheaper than to store always
		l.below.Store(nil)
	}
}

// height is how many classes stand one below the other under id.
func (l *link) height(id Handle) (h int) {
	if !l.hasChildren(id) {
		return 0
	}
	l.classes.Ascend(id.qdisc(), func(below Handle, c *Class) bool {
		if below.Major() != id.Major() {
			return false
		}
		up := 1
		for ; c.Parent != id; up++ {
			above, ok := l.classes.Get(c.Parent)
			if !ok { // the HTB itself
				return true
			}
			c = above
		}
		h = max(h, up)
		return true
	})
	return h
}
