package tc

import "slices"

// Plan are the Ops that lead from one State to another, in an order in which a
// kernel takes them: what goes is deleted first, children before parents, so
// that handles are free; then what is new is added and what differs is changed,
// parents before children. It writes nothing that is the same on both sides.
//
// What the kernel can change it changes in place. The rest is built anew, with
// all that is in it: a class with another parent, a qdisc of another kind or
// handle, an HTB with other options. A qdisc goes with one Delete, whatever is
// in it, a leaf with its class, and a leaf whose class gets children with the
// first of them. A leaf without contents that gets another handle is replaced
// with one Op, so that no packet is lost.
//
// Bring both States to the kernel's form with Canonical first. Where options
// merge, a plan between other States may have to name a default, and then leads
// to a State that is to's only after Canonical.
//
// What the Ops point to is shared with the States and must not be written.
func Plan(from, to *State) []Op {
	var ops []Op
	for _, name := range unionLinks(from, to) {
		f, t := from.link(name), to.link(name)
		if f.equal(t) {
			continue
		}
		p := planner{from: f, to: t, classes: map[Handle]bool{}, places: map[Handle]bool{}}
		wanted := t.ordered()
		for _, o := range wanted {
			p.decide(o)
		}
		if f.empty() {
			ops = slices.Grow(ops, len(wanted))
		}
		ops = p.deletes(ops)
		for _, o := range wanted {
			if op, needed := p.build(o); needed {
				ops = append(ops, op)
			}
		}
	}
	return ops
}

// planner knows what of a link is kept: the class with an id, the qdisc in a
// place.
type planner struct {
	from, to        *link
	classes, places map[Handle]bool
}

// decide notes whether an object of to is kept; what it sits in was decided
// before.
func (p *planner) decide(o Object) {
	if c := o.Class; c != nil {
		old, exists := p.from.classes.Get(c.ID)
		if exists && old.Parent == c.Parent && p.keepsParent(p.to, c) {
			p.classes[c.ID] = true
		}
		return
	}
	q := o.Qdisc
	old, exists := p.from.qdiscs.Get(q.Parent)
	if !exists || !sameHandle(old, q) || !p.keepsPlace(p.to, q.Parent) {
		return
	}
	if _, ok := transition(old, q); ok {
		p.places[q.Parent] = true
	}
}

// keepsParent reports whether what the class of l sits in is kept.
func (p *planner) keepsParent(l *link, c *Class) bool {
	if c.Parent.Minor() != 0 {
		return p.classes[c.Parent]
	}
	place, _ := l.handles.Get(c.ID.Major())
	return p.places[place]
}

// keepsPlace reports whether the owner of a place for qdiscs is kept.
func (p *planner) keepsPlace(l *link, place Handle) bool {
	if place == Root || place == Ingress {
		return true
	}
	if _, isClass := l.classes.Get(place); isClass {
		return p.classes[place]
	}
	above, _ := l.handles.Get(place.Major())
	return p.places[above]
}

// transition is the options that a change has to name to make to's of from's;
// ok is false if the kernel can't do that in place.
func transition(from, to *Qdisc) (given Options, ok bool) {
	if from.Options.Kind() != to.Options.Kind() {
		return nil, false
	}
	if sameOptions(from.Options, to.Options) {
		return to.Options, true
	}
	if got, ok := from.Options.change(to.Options); ok && got == to.Options {
		return to.Options, true
	}
	full := to.Options.canonical(Host{}, to.Link)
	if got, ok := from.Options.change(full); ok && got == full {
		return full, true
	}
	return nil, false
}

// deletes appends what has to go, children before parents.
func (p *planner) deletes(ops []Op) []Op {
	old := p.from.ordered()
	for i := len(old) - 1; i >= 0; i-- {
		switch o := old[i]; {
		case o.Class != nil:
			if p.deletesClass(o.Class) {
				ops = append(ops, Op{Verb: Delete, Class: &Class{Link: o.Class.Link, ID: o.Class.ID}})
			}
		case p.deletesQdisc(o.Qdisc):
			q := o.Qdisc
			ops = append(ops, Op{Verb: Delete, Qdisc: &Qdisc{Link: q.Link, Handle: q.Handle, Parent: q.Parent}})
		}
	}
	return ops
}

// deletesClass is false for classes that stay and for those that go with their
// HTB.
func (p *planner) deletesClass(c *Class) bool {
	htb, _ := p.from.handles.Get(c.ID.Major())
	return !p.classes[c.ID] && p.places[htb]
}

// deletesQdisc is false for qdiscs that stay, that go with what they sit in, or
// that another Op removes on its way.
func (p *planner) deletesQdisc(q *Qdisc) bool {
	return !p.places[q.Parent] && p.keepsPlace(p.from, q.Parent) && !p.giveWay(q) && !p.replaces(q)
}

// giveWay reports whether q is a leaf that disappears when its class gets the
// first child, and nobody else needs its handle.
func (p *planner) giveWay(q *Qdisc) bool {
	_, isClass := p.to.classes.Get(q.Parent)
	return isClass && p.to.hasChildren(q.Parent) && p.alone(q)
}

// alone reports whether nothing is in q and to has no use for its handle.
func (p *planner) alone(q *Qdisc) bool {
	if q.Handle == 0 {
		return true
	}
	if _, used := p.to.handles.Get(q.Handle.Major()); used {
		return false
	}
	return len(p.from.places(q.Handle.Major())) == 0 && !p.from.hasChildren(q.Handle)
}

// replaces reports whether one Replace can put what to has in the place of q: it
// needs another handle, or another kind and leave the handle to the kernel.
func (p *planner) replaces(q *Qdisc) bool {
	next, ok := p.to.qdiscs.Get(q.Parent)
	if !ok || !p.keepsPlace(p.to, q.Parent) || !p.alone(q) || q.Parent == Ingress {
		return false
	}
	return next.Handle != 0 && next.Handle != q.Handle ||
		next.Handle == 0 && next.Options.Kind() != q.Options.Kind()
}

// build is the Op for an object of to, if one is needed.
func (p *planner) build(o Object) (op Op, needed bool) {
	if c := o.Class; c != nil {
		if !p.classes[c.ID] {
			return Op{Verb: Add, Class: c}, true
		}
		old, _ := p.from.classes.Get(c.ID)
		inner := p.from.hasChildren(c.ID) && p.to.hasChildren(c.ID)
		return Op{Verb: Change, Class: c}, !old.HTB.sameAs(c.HTB, inner)
	}
	q := o.Qdisc
	old, exists := p.from.qdiscs.Get(q.Parent)
	switch {
	case !p.places[q.Parent]:
		verb := Add
		if exists && p.replaces(old) {
			verb = Replace
		}
		return Op{Verb: verb, Qdisc: q}, true
	case sameOptions(old.Options, q.Options):
		return Op{}, false
	}
	given, _ := transition(old, q)
	return Op{Verb: Change, Qdisc: &Qdisc{Link: q.Link, Handle: old.Handle, Parent: q.Parent, Options: given}}, true
}
