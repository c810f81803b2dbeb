package tc

import "errors"

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

// NewState is the State of one link, made of qdiscs and classes in any order, by a Builder.
func NewState(name string, qdiscs []Qdisc, classes []Class) (*State, error) {
	b := NewBuilder(name, nil)
	for _, q := range qdiscs {
		b.Qdisc(q)
	}
	for _, c := range classes {
		b.Class(c)
	}
	return b.State()
}
