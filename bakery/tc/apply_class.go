package tc

// applyClass applies op; kept is its class where that may be kept.
func (l *link) applyClass(op Op, kept *Class) error {
	id := op.Class.ID
	if id.Minor() == 0 || id.Major() == 0 {
		return refuse(op, ErrInvalid, "%v is no class", id)
	}
	old, exists := l.classes.Get(id)
	switch {
	case op.Verb == Add && exists:
		return refuse(op, ErrExists, "class %v", id)
	case (op.Verb == Change || op.Verb == Delete) && !exists:
		return refuse(op, ErrNotFound, "class %v", id)
	case op.Verb == Delete:
		if l.hasChildren(id) {
			return refuse(op, ErrBusy, "class %v has classes below it", id)
		}
		l.removeClass(old)
		return nil
	}
	parent := op.Class.Parent
	switch {
	case parent == Unspec && exists:
		parent = old.Parent
	case parent == Unspec || parent == Root:
		parent = id.qdisc()
	}
	if exists && parent == old.Parent {
		if op.Class.HTB != old.HTB {
			l.setClass(l.class(op, parent, kept))
		}
		return nil
	}
	if exists && op.Verb == Change {
		return refuse(op, ErrInvalid, "change can't move it from %v to %v", old.Parent, parent)
	}
	if err := l.checkClassParent(op, parent); err != nil {
		return err
	}
	l.setClass(l.class(op, parent, kept))
	return nil
}

// class is what is stored of op's class.
func (l *link) class(op Op, parent Handle, kept *Class) *Class {
	if kept != nil && kept.Parent == parent {
		return kept
	}
	return &Class{Link: l.name, ID: op.Class.ID, Parent: parent, HTB: op.Class.HTB}
}

// checkClassParent makes sure that the class of op can hang below parent.
func (l *link) checkClassParent(op Op, parent Handle) error {
	id := op.Class.ID
	if parent.Major() != id.Major() {
		return refuse(op, ErrInvalid, "parent %v belongs to another qdisc", parent)
	}
	q := l.qdiscByMajor(id.Major())
	if q == nil {
		return refuse(op, ErrNoParent, "qdisc %v", id.qdisc())
	}
	if _, isHTB := q.Options.(HTB); !isHTB {
		return refuse(op, ErrNoParent, "qdisc %v is %s, not htb", q.Handle, q.Options.Kind())
	}
	depth := 1
	for above := parent; above.Minor() != 0; depth++ {
		if above == id {
			return refuse(op, ErrInvalid, "parent %v is the class itself or below it", parent)
		}
		c, ok := l.classes.Get(above)
		if !ok {
			return refuse(op, ErrNoParent, "class %v", above)
		}
		above = c.Parent
	}
	if depth+l.height(id) > MaxHTBDepth {
		return refuse(op, ErrInvalid, "more than %d classes below each other", MaxHTBDepth)
	}
	return nil
}
