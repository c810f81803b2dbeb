package kernel

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Apply does ops in order and gives a Result for each. An Op that fails doesn't stop the
// others, except for what sits in something that couldn't be made, which is tc.ErrNotTried.
// The requests go out in batches; an Op is only sent when the one that makes what it sits in
// has been answered, for the kernel hangs a class whose parent doesn't exist at the root.
// When ctx ends, what hasn't been sent isn't.
func (k *Kernel) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	a := applier{
		kernel: k, ops: ops, results: make([]tc.Result, len(ops)),
		links: map[string]found{}, flying: map[place]bool{}, failed: map[place]int{},
	}
	for i := range ops {
		if err := ctx.Err(); err != nil {
			a.results[i].Err = fmt.Errorf("%s: %w: %w", ops[i].Line(), tc.ErrNotTried, err)
			continue
		}
		a.add(i)
	}
	a.flush()
	return a.results
}

// applier is one run of Apply.
type applier struct {
	kernel  *Kernel
	ops     []tc.Op
	results []tc.Result
	links   map[string]found

	batch  []netlink.Message // not sent yet
	which  []int             // the op of each of them
	bytes  int               // of all of them
	flying map[place]bool    // what they make or change
	failed map[place]int     // what couldn't be made, and the op that should have
}

// found is what became of the search for a link.
type found struct {
	index int
	err   error
}

// place is a class, or a qdisc (MAJOR:), of a link.
type place struct {
	link   string
	handle tc.Handle
}

// own is the place of what an Op is about; the zero handle if it has none that others name.
func own(op tc.Op) place {
	if op.Class != nil {
		return place{op.Class.Link, op.Class.ID}
	}
	return place{op.Qdisc.Link, op.Qdisc.Handle}
}

// around are the places that the object of an Op sits in.
func around(op tc.Op) []place {
	if op.Verb == tc.Delete {
		return nil
	}
	parent, qdisc := tc.Handle(0), tc.Handle(0)
	if op.Class != nil {
		parent, qdisc = op.Class.Parent, tc.NewHandle(op.Class.ID.Major(), 0)
	} else if parent = op.Qdisc.Parent; parent != tc.Root && parent != tc.Ingress {
		qdisc = tc.NewHandle(parent.Major(), 0)
	}
	return []place{{op.Link(), parent}, {op.Link(), qdisc}}
}

// add takes one op into the batch, or gives it its result.
func (a *applier) add(i int) {
	op := a.ops[i]
	if (op.Class == nil) == (op.Qdisc == nil) {
		a.results[i].Err = fmt.Errorf("op %d: %w: want one qdisc or one class", i, tc.ErrInvalid)
		return
	}
	for _, p := range around(op) {
		if a.flying[p] {
			a.flush()
		}
		if cause, lost := a.failed[p]; lost && p.handle != 0 {
			// Its text only: the other op's error isn't the error of this one.
			why := a.results[cause].Err.Error()
			a.fail(i, fmt.Errorf("%s: %w: what it sits in is missing: %s", op.Line(), tc.ErrNotTried, why))
			return
		}
	}
	index, err := a.find(op.Link())
	if err != nil {
		a.fail(i, fmt.Errorf("%s: %w", op.Line(), err))
		return
	}
	m, err := encodeOp(op, index, a.kernel.host)
	if err != nil {
		a.fail(i, fmt.Errorf("%s: %w", op.Line(), err))
		return
	}
	size := len(m.Data) + 16 // with struct nlmsghdr
	if len(a.batch) >= a.kernel.limits.messages || a.bytes+size > a.kernel.limits.bytes {
		a.flush()
	}
	a.batch, a.which = append(a.batch, m), append(a.which, i)
	a.bytes += size
	if p := own(op); op.Verb != tc.Delete && p.handle != 0 {
		a.flying[p] = true
	}
}

// find is the index of a link, which is looked up once.
func (a *applier) find(name string) (int, error) {
	f, ok := a.links[name]
	if !ok {
		l, err := a.kernel.find(name)
		switch {
		case err != nil:
			f.err = err
		case l == nil:
			f.err = tc.ErrNoLink
		default:
			f.index = l.Index
		}
		a.links[name] = f
	}
	return f.index, f.err
}

// flush sends the batch and takes the answers.
func (a *applier) flush() {
	if len(a.batch) == 0 {
		return
	}
	for at, answer := range a.kernel.exchange(a.batch) {
		i := a.which[at]
		a.results[i].Warning = answer.warning
		if err := answer.of(a.ops[i]); err != nil {
			a.fail(i, err)
		} else {
			delete(a.failed, own(a.ops[i]))
		}
	}
	a.batch, a.which, a.bytes = a.batch[:0], a.which[:0], 0
	clear(a.flying)
}

// fail notes an op's error, and that nothing can be put into what it should have made. A
// change that fails says so only if there is nothing to change.
func (a *applier) fail(i int, err error) {
	a.results[i].Err = err
	op := a.ops[i]
	if op.Verb == tc.Delete || op.Verb == tc.Change && !missing(err) {
		return
	}
	a.failed[own(op)] = i
}
