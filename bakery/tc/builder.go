package tc

import "fmt"

// Builder makes the State of one link of its qdiscs and classes, in any order. It
// checks less than Apply does, for what a kernel has is a fact; but a class needs
// the HTB and the parent that it names, a place and a handle can be taken only
// once, and a class with children has no qdisc.
type Builder struct {
	l, known *link
	htbs     []Handle
	err      error
}

// NewBuilder begins with nothing. What is the same as in known, which may be nil, the State shares
// with it, and needs no memory of its own.
func NewBuilder(name string, known *State) *Builder {
	b := &Builder{l: newLink(name), known: noLink}
	if known != nil {
		b.known = known.link(name)
	}
	return b
}

// Qdisc adds a qdisc.
func (b *Builder) Qdisc(q Qdisc) {
	l := b.l
	q.Link = l.name
	if old, taken := l.qdiscs.Get(q.Parent); taken {
		b.fail("qdiscs %v and %v are both at %v", old.Handle, q.Handle, q.Parent)
	}
	if at, taken := l.handles.Get(q.Handle.Major()); taken && q.Handle != 0 {
		b.fail("qdisc %v is both at %v and %v", q.Handle, at, q.Parent)
	}
	if _, htb := q.Options.(HTB); htb {
		b.htbs = append(b.htbs, q.Handle)
	}
	if k, ok := b.known.qdiscs.Get(q.Parent); ok && *k == q {
		l.qdiscs.Set(q.Parent, k)
	} else {
		kept := q
		l.qdiscs.Set(q.Parent, &kept)
	}
	if q.Handle != 0 {
		l.handles.Set(q.Handle.Major(), q.Parent)
	}
}

// HTBs are the handles of the HTBs, as they came.
func (b *Builder) HTBs() []Handle { return b.htbs }

// Class adds a class.
func (b *Builder) Class(c Class) {
	l := b.l
	c.Link = l.name
	if _, taken := l.classes.Get(c.ID); taken {
		b.fail("class %v is there twice", c.ID)
	}
	if k, ok := b.known.classes.Get(c.ID); ok && *k == c {
		l.classes.Set(c.ID, k)
	} else {
		kept := c
		l.classes.Set(c.ID, &kept)
	}
	l.addChild(c.Parent)
}

func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf("link %s: %s", b.l.name, fmt.Sprintf(format, args...))
	}
}

// State is what was built.
func (b *Builder) State() (*State, error) {
	if b.err == nil {
		b.err = b.l.checkClasses()
	}
	if b.err != nil {
		return nil, b.err
	}
	b.l.trail = newTrail()
	s := new(State)
	s.keep(b.l.name, b.l)
	return s, nil
}

// checkClasses makes sure that every class has what the rest of this package relies
// on.
func (l *link) checkClasses() error {
	var err error
	l.classes.Scan(func(id Handle, c *Class) bool {
		htb := l.qdiscByMajor(id.Major())
		if htb == nil {
			err = fmt.Errorf("link %s: class %v has no qdisc: %w", l.name, id, ErrNoParent)
		} else if _, ok := htb.Options.(HTB); !ok {
			err = fmt.Errorf("link %s: class %v is in a %s: %w", l.name, id, htb.Options.Kind(), ErrInvalid)
		} else if _, ok := l.classes.Get(c.Parent); !ok && c.Parent != htb.Handle {
			err = fmt.Errorf("link %s: class %v is below %v: %w", l.name, id, c.Parent, ErrNoParent)
		} else if _, leaf := l.qdiscs.Get(c.Parent); leaf && c.Parent.Minor() != 0 {
			err = fmt.Errorf("link %s: class %v has both classes and a qdisc: %w", l.name, c.Parent, ErrInvalid)
		}
		return err == nil
	})
	return err
}
