package tc

// applyQdisc applies op; given is its qdisc where that may be kept.
func (l *link) applyQdisc(op Op, given *Qdisc) error {
	q := *op.Qdisc
	if q.Handle.Minor() != 0 || q.Handle == Root {
		return refuse(op, ErrInvalid, "%v is no handle of a qdisc", q.Handle)
	}
	if q.Parent == Unspec && (op.Verb == Change || op.Verb == Replace) {
		if parent, ok := l.handles.Get(q.Handle.Major()); ok {
			q.Parent = parent
		}
	}
	old, exists := l.qdiscs.Get(q.Parent)
	switch {
	case op.Verb == Add && exists:
		return refuse(op, ErrExists, "%s %v", old.Options.Kind(), old.Handle)
	case (op.Verb == Change || op.Verb == Delete) && !exists:
		return refuse(op, ErrNotFound, "no qdisc there")
	case op.Verb == Delete:
		return l.deleteQdisc(op, old)
	case q.Options == nil:
		return refuse(op, ErrInvalid, "no kind and options")
	case op.Verb == Change:
		return l.changeQdisc(op, q, old)
	}
	inPlace := exists && old.Options.Kind() == q.Options.Kind() && (q.Handle == 0 || q.Handle == old.Handle)
	if inPlace && q.Parent != Root {
		return l.changeQdisc(op, q, old)
	}
	if err := l.checkPlace(op, q); err != nil {
		return err
	}
	if q.Parent == Ingress {
		q.Handle = ingressHandle
	}
	if inPlace && q.Handle == 0 {
		q.Handle = old.Handle
	}
	q.Link = l.name
	if exists {
		l.removeQdisc(q.Parent)
	}
	l.setQdisc(q.orKept(given))
	return nil
}

// orKept is where q is stored: the one that was given, if that may be kept and is the same.
func (q Qdisc) orKept(given *Qdisc) *Qdisc {
	if given != nil && given.Parent == q.Parent && given.Handle == q.Handle {
		return given
	}
	kept := q // here, so that q needn't be on the heap otherwise
	return &kept
}

func (l *link) deleteQdisc(op Op, old *Qdisc) error {
	if h := op.Qdisc.Handle; h != 0 && h != old.Handle {
		return refuse(op, ErrNotFound, "not %v, the qdisc is %v", h, old.Handle)
	}
	if o := op.Qdisc.Options; o != nil && o.Kind() != old.Options.Kind() {
		return refuse(op, ErrInvalid, "the qdisc is %s, not %s", old.Options.Kind(), o.Kind())
	}
	l.removeQdisc(old.Parent)
	return nil
}

func (l *link) changeQdisc(op Op, q Qdisc, old *Qdisc) error {
	if q.Options.Kind() != old.Options.Kind() {
		return refuse(op, ErrInvalid, "the qdisc is %s, not %s", old.Options.Kind(), q.Options.Kind())
	}
	if q.Handle != 0 && q.Handle != old.Handle {
		return refuse(op, ErrInvalid, "the qdisc is %v, not %v", old.Handle, q.Handle)
	}
	changed, _ := old.Options.change(q.Options)
	if changed != old.Options {
		l.setQdisc(&Qdisc{Link: old.Link, Handle: old.Handle, Parent: old.Parent, Options: changed})
	}
	return nil
}

// checkPlace makes sure that q can be put where it wants to be.
func (l *link) checkPlace(op Op, q Qdisc) error {
	ingress := ingressKind(&q) != ""
	_, mq := q.Options.(MQ)
	switch {
	case ingress && q.Parent != Ingress:
		return refuse(op, ErrInvalid, "%s has its own place", q.Options.Kind())
	case !ingress && q.Parent == Ingress:
		return refuse(op, ErrInvalid, "only clsact and ingress can be there")
	case ingress && q.Handle != 0 && q.Handle != ingressHandle:
		return refuse(op, ErrInvalid, "the handle of %s is always ffff:", q.Options.Kind())
	case mq && q.Parent != Root:
		return refuse(op, ErrInvalid, "mq can only be the root")
	}
	if q.Parent != Root && q.Parent != Ingress {
		if err := l.checkParent(op, q.Parent); err != nil {
			return err
		}
	}
	if q.Handle == 0 {
		return nil
	}
	if at, used := l.handles.Get(q.Handle.Major()); used && !l.goesWith(at, q.Parent) {
		return refuse(op, ErrExists, "handle %v is already at %v", q.Handle, at)
	}
	return nil
}

// goesWith reports whether the qdisc at place disappears when the one at top is
// replaced.
func (l *link) goesWith(place, top Handle) bool {
	for place != top {
		above, ok := l.handles.Get(place.Major())
		if place == Root || place == Ingress || !ok {
			return false
		}
		place = above
	}
	return true
}

// checkParent makes sure that a class exists and can hold a qdisc.
func (l *link) checkParent(op Op, parent Handle) error {
	above := l.qdiscByMajor(parent.Major())
	if above == nil {
		return refuse(op, ErrNoParent, "qdisc %v", parent.qdisc())
	}
	switch above.Options.(type) {
	case HTB:
		if _, ok := l.classes.Get(parent); !ok {
			return refuse(op, ErrNoParent, "class %v", parent)
		}
		if l.hasChildren(parent) {
			return refuse(op, ErrInvalid, "class %v has classes below it and no leaf", parent)
		}
	case MQ:
		if parent.Minor() == 0 {
			return refuse(op, ErrInvalid, "%v is the mq itself, not one of its classes", parent)
		}
	case Tbf, Netem:
		if parent.Minor() != 1 {
			return refuse(op, ErrNoParent, "class %v: %s has only %v", parent, above.Options.Kind(), above.Handle|1)
		}
	default:
		return refuse(op, ErrNoParent, "%s %v has no classes", above.Options.Kind(), above.Handle)
	}
	return nil
}
