package tc

import (
	"errors"
	"fmt"
)

// What can become of an Op in a kernel, besides the errors of a State; the errors
// of a kernel wrap one of all these where one of them fits.
var (
	ErrNoLink         = errors.New("no such link")
	ErrNotSupported   = errors.New("this kernel lacks it")
	ErrPermission     = errors.New("not permitted: it needs CAP_NET_ADMIN")
	ErrNotTried       = errors.New("not tried")                                     // what it sits in couldn't be made
	ErrUnknownOutcome = errors.New("outcome unknown: the kernel's answer got lost") // it may have been done
)

// Observed is what a kernel has on one link at one moment.
type Observed struct {
	// Index is the kernel's number of the link (ifindex). A link that went and came
	// back has another.
	Index    int
	TxQueues int // an mq has a class for each
	LinkInfo
	// State is what is on the link, and on no other. Qdiscs that the kernel put there
	// itself, which have no handle, are left out, and so are the classes of other
	// kinds than htb. A qdisc of a kind that isn't modelled is there, as Foreign.
	State *State
}

// Result is what became of one Op.
type Result struct {
	Err     error  // nil: the kernel did it
	Warning string // the kernel's own words about an Op that it did; "" for none
}

// Foreign stands for the options of a qdisc whose kind isn't modelled: what a
// kernel has, never what is wanted.
type Foreign struct {
	Name string // the kind
}

// Kind is the kind's name.
func (o Foreign) Kind() string { return o.Name }

// String is empty: the options aren't known.
func (Foreign) String() string { return "" }

func (Foreign) fields() []field                        { return nil }
func (o Foreign) canonical(Host, string) Options       { return o }
func (o Foreign) change(given Options) (Options, bool) { return o, given == Options(o) }

// NewState is the State of one link, made of qdiscs and classes in any order. It
// checks less than Apply does, for what a kernel has is a fact; but a class needs
// the HTB and the parent that it names, a place and a handle can be taken only
// once, and a class with children has no qdisc.
func NewState(name string, qdiscs []Qdisc, classes []Class) (*State, error) {
	l := newLink(name)
	for i := range qdiscs {
		q := qdiscs[i]
		q.Link = name
		if old, taken := l.qdiscs.Get(q.Parent); taken {
			return nil, fmt.Errorf("link %s: qdiscs %v and %v are both at %v", name, old.Handle, q.Handle, q.Parent)
		}
		if at, taken := l.handles.Get(q.Handle.Major()); taken && q.Handle != 0 {
			return nil, fmt.Errorf("link %s: qdisc %v is both at %v and %v", name, q.Handle, at, q.Parent)
		}
		l.setQdisc(&q)
	}
	for i := range classes {
		c := classes[i]
		c.Link = name
		if _, taken := l.classes.Get(c.ID); taken {
			return nil, fmt.Errorf("link %s: class %v is there twice", name, c.ID)
		}
		l.classes.Set(c.ID, &c)
		l.addChild(c.Parent)
	}
	if err := l.checkClasses(); err != nil {
		return nil, err
	}
	l.trail = newTrail()
	s := new(State)
	s.keep(name, l)
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
