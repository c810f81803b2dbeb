package tc

// Outer is a difference, and how many others it brings with it.
type Outer struct {
	Difference
	Inside int // differences of what sits in it
}

// Outermost are the differences that don't follow from others: of a qdisc or class
// that was added, removed or replaced, what sits in it is only counted. list is what
// Diff gave for from and to; the order stays.
func Outermost(list []Difference, from, to *State) []Outer {
	whole := map[spot]*Outer{}
	outer := make([]*Outer, 0, len(list))
	for _, d := range list {
		o := &Outer{Difference: d}
		outer = append(outer, o)
		if d.Kind != Changed {
			whole[spotOf(d.Link, d.Object())] = o
		}
	}
	var kept []Outer
	for _, o := range outer {
		if top := o.above(whole, from, to); top != nil {
			top.Inside++
			o.Inside = -1
		}
	}
	for _, o := range outer {
		if o.Inside >= 0 {
			kept = append(kept, *o)
		}
	}
	return kept
}

// Object is what the difference is about: of what was removed, what was there.
func (d Difference) Object() Object {
	if d.Kind == Removed {
		return d.From
	}
	return d.To
}

// spot names an object by where it is, which both sides of a comparison share.
type spot struct {
	link  string
	class bool
	at    Handle // the class's id, the qdisc's parent
}

func spotOf(link string, o Object) spot {
	if o.Class != nil {
		return spot{link, true, o.Class.ID}
	}
	return spot{link, false, o.Qdisc.Parent}
}

// above finds the outermost difference that o follows from, nil if there is none.
func (o *Outer) above(whole map[spot]*Outer, from, to *State) (top *Outer) {
	l := to.link(o.Link)
	if o.Kind == Removed {
		l = from.link(o.Link)
	}
	for at, ok := l.container(o.Object()); ok; at, ok = l.container(at) {
		if d := whole[spotOf(o.Link, at)]; d != nil {
			top = d
		}
	}
	return top
}

// Container is what an object of a link sits in: the class or qdisc that has to be there
// for it; false for what sits on the link itself, or in nothing that s has.
func (s *State) Container(link string, o Object) (Object, bool) { return s.link(link).container(o) }

// container is what an object sits in; false for what sits on the link itself.
func (l *link) container(o Object) (Object, bool) {
	var parent Handle
	if o.Class != nil {
		parent = o.Class.Parent
	} else {
		parent = o.Qdisc.Parent
	}
	if parent == Root || parent == Ingress {
		return Object{}, false
	}
	if c, ok := l.classes.Get(parent); ok {
		return Object{Class: c}, true
	}
	q := l.qdiscByMajor(parent.Major())
	return Object{Qdisc: q}, q != nil
}
