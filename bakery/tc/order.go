package tc

import "container/heap"

// Object is a qdisc or a class; exactly one is set. What it points to is shared
// and must not be written.
type Object struct {
	Qdisc *Qdisc
	Class *Class
}

// String names the object: "class 1:5", "qdisc 8001: at 1:5".
func (o Object) String() string {
	switch {
	case o.Class != nil:
		return "class " + o.Class.ID.String()
	case o.Qdisc != nil && o.Qdisc.Handle != 0:
		return "qdisc " + o.Qdisc.Handle.String() + " at " + o.Qdisc.Parent.String()
	case o.Qdisc != nil:
		return "qdisc at " + o.Qdisc.Parent.String()
	}
	return "nothing"
}

// rank is the place of an object among those whose parents are already there:
// by parent, the root first, then by handle.
func (o Object) rank() uint64 {
	if o.Class != nil {
		return belowKey(o.Class.Parent, o.Class.ID)
	}
	if o.Qdisc.Parent == Root {
		return 0
	}
	return belowKey(o.Qdisc.Parent, o.Qdisc.Handle)
}

// objectHeap hands out the object of the lowest rank first. heap.Push and heap.Pop aren't used: they make a copy of
// every object on the heap of the program.
type objectHeap []Object

func (h objectHeap) Len() int           { return len(h) }
func (h objectHeap) Less(i, j int) bool { return h[i].rank() < h[j].rank() }
func (h objectHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are there for heap.Interface.
func (h *objectHeap) Push(x any) { h.add(x.(Object)) }
func (h *objectHeap) Pop() any   { return h.take() }

func (h *objectHeap) add(o Object) {
	*h = append(*h, o)
	heap.Fix(h, len(*h)-1)
}

func (h *objectHeap) take() Object {
	first, last := (*h)[0], len(*h)-1
	(*h)[0] = (*h)[last]
	if *h = (*h)[:last]; last > 0 {
		heap.Fix(h, 0)
	}
	return first
}

// ordered are all objects of a link, each after the one that it sits in, and
// within that sorted by parent and handle.
func (l *link) ordered() []Object {
	var ready objectHeap
	for _, top := range []Handle{Root, Ingress} {
		if q, ok := l.qdiscs.Get(top); ok {
			ready.add(Object{Qdisc: q})
		}
	}
	list := make([]Object, 0, l.qdiscs.Len()+l.classes.Len())
	for len(ready) > 0 {
		o := ready.take()
		list = append(list, o)
		l.contents(o, ready.add)
	}
	return list
}

// contents are the objects directly in another one.
func (l *link) contents(o Object, yield func(Object)) {
	var top Handle
	switch {
	case o.Class != nil:
		top = o.Class.ID
		if leaf, ok := l.qdiscs.Get(top); ok {
			yield(Object{Qdisc: leaf})
		}
	case o.Qdisc.Handle == 0 || o.Qdisc.Parent == Ingress:
		return
	default:
		top = o.Qdisc.Handle
		if _, htb := o.Qdisc.Options.(HTB); !htb {
			for _, place := range l.places(top.Major()) {
				q, _ := l.qdiscs.Get(place)
				yield(Object{Qdisc: q})
			}
			return
		}
	}
	for id := range l.children(top) {
		c, _ := l.classes.Get(id)
		yield(Object{Class: c})
	}
}
