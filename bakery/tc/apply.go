package tc

import (
	"errors"
	"fmt"
)

// What an Op can be refused for; a *StateError wraps one of them.
var (
	ErrExists   = errors.New("already exists")
	ErrNotFound = errors.New("does not exist")
	ErrNoParent = errors.New("no such parent")
	ErrBusy     = errors.New("is in use")
	ErrInvalid  = errors.New("not possible")
)

// StateError is an Op that a State refuses.
type StateError struct {
	Op   Op
	Why  string // which thing, in words for a person
	Kind error  // ErrExists, ErrNotFound, ErrNoParent, ErrBusy or ErrInvalid
}

// Error says what was to be done and why not: "add class 1:5 on eth0: no such
// parent (class 1:4)".
func (e *StateError) Error() string {
	what := "nothing"
	switch {
	case e.Op.Qdisc != nil:
		what = "qdisc at " + e.Op.Qdisc.Parent.String()
	case e.Op.Class != nil:
		what = "class " + e.Op.Class.ID.String()
	}
	return fmt.Sprintf("%v %s on %s: %v (%s)", e.Op.Verb, what, e.Op.Link(), e.Kind, e.Why)
}

// Unwrap is the kind of error.
func (e *StateError) Unwrap() error { return e.Kind }

// refuse keeps no pointer of op, so that the objects of those that aren't refused needn't be on the heap.
func refuse(op Op, kind error, format string, args ...any) error {
	kept := Op{Verb: op.Verb}
	if op.Qdisc != nil {
		q := *op.Qdisc
		kept.Qdisc = &q
	}
	if op.Class != nil {
		c := *op.Class
		kept.Class = &c
	}
	return &StateError{Op: kept, Why: fmt.Sprintf(format, args...), Kind: kind}
}

// MaxHTBDepth is how many classes can stand one below the other in an HTB:
// TC_HTB_MAXDEPTH (linux/pkt_sched.h); the kernel refuses a ninth ("tree is too
// deep").
const MaxHTBDepth = 8

// Apply does what op means for the wanted tree. It returns a *StateError, and s
// is unchanged, if op can't be done.
//
// Classes: the parent must exist: the HTB (MAJOR:) or a class of it; Root, and
// no parent for a new class, mean the HTB. Add refuses a class that exists,
// Change one that doesn't, Replace takes both. Parameters are replaced as a
// whole, as the kernel does. Replace with another parent moves the class with
// all below it; that is what clients mean, though the kernel keeps the old
// parent. A class that gets its first child loses its leaf qdisc. Delete takes
// the leaf qdisc along and refuses a class with children.
//
// Qdiscs: the place must exist and be free of children. One handle is used once
// on a link. Change merges options as the kernel does for the kind, see the docs
// of the Options. Replace of the same kind with the same handle, or none,
// changes in place and keeps what is in the qdisc; with another kind or handle
// it is Delete and Add. At the root Replace always drops everything on the link
// but clsact and ingress, and so does Delete.
func (s *State) Apply(op Op) error { return s.apply(op, nil, nil) }

// Keep is Apply for an op whose object is never written again: where it says all as it is, the State keeps it and no copy.
func (s *State) Keep(op Op) error { return s.apply(op, op.Qdisc, op.Class) }

// ApplyLike is Apply. Where old has the same as the op says, the State shares it.
func (s *State) ApplyLike(op Op, old *State) error {
	l, _ := old.links.Get(op.Link())
	if l == nil {
		return s.Apply(op)
	}
	var q *Qdisc
	var c *Class
	if op.Class != nil {
		if c, _ = l.classes.Get(op.Class.ID); c != nil && *c != *op.Class {
			c = nil
		}
	}
	if op.Qdisc != nil {
		if q, _ = l.qdiscs.Get(op.Qdisc.Parent); q != nil && *q != *op.Qdisc {
			q = nil
		}
	}
	return s.apply(op, q, c)
}

// apply is Apply. q and c are op's objects, or what says the same, where they may be kept, else nil: those of op itself need not be on the heap.
func (s *State) apply(op Op, q *Qdisc, c *Class) error {
	if (op.Qdisc == nil) == (op.Class == nil) {
		return refuse(op, ErrInvalid, "want one qdisc or one class")
	}
	if op.Verb > Delete {
		return refuse(op, ErrInvalid, "unknown verb")
	}
	name := op.Link()
	l, known := s.links.Get(name)
	if !known {
		if err := CheckLink(name); err != nil {
			return refuse(op, ErrInvalid, "%v", err)
		}
		l = newLink(Interned(name))
	}
	var err error
	if op.Class != nil {
		err = l.applyClass(op, c)
	} else {
		err = l.applyQdisc(op, q)
	}
	if err != nil {
		return err
	}
	if !known || op.Verb == Delete { // no other op makes a link empty
		s.keep(name, l)
	}
	return nil
}

// keep stores a link, or forgets it if nothing is on it.
func (s *State) keep(name string, l *link) {
	if l.empty() {
		s.links.Delete(name)
		return
	}
	s.links.Set(l.name, l)
}
