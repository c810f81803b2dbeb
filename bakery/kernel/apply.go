package kernel

import (
	"context"
	"errors"
	"fmt"

	"lqosd/bakery/tc"
)

// Apply does ops in order and gives a Result for each. An Op that fails doesn't stop the
// others, except for classes below a class that couldn't be made, which are tc.ErrNotTried:
// the kernel would hang them at the root. So the requests go out in batches, and a class only
// when the op that makes its parent has been answered. All else whose parent is missing the
// kernel refuses by itself. When ctx ends, what hasn't been sent isn't.
//
// While it makes or deletes much Watch hears of no qdiscs and classes, and is told before Apply
// returns that it can be any link.
func (k *Kernel) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	if k.makeMany(ops) {
		defer k.notices.pause()()
	}
	a := applier{
		kernel: k, ops: ops, results: make([]tc.Result, len(ops)),
		links: map[string]found{}, port: airport{kernel: k}, next: newFlight(), missing: map[place]int{},
	}
	defer a.port.open(len(ops) > k.limits.messages)()
	for i := range ops {
		if err := ctx.Err(); err != nil {
			a.results[i].Err = fmt.Errorf("%s: %w: %w", ops[i].Line(), tc.ErrNotTried, err)
			continue
		}
		a.add(i)
	}
	a.land()
	return a.results
}

// applier is one run of Apply.
type applier struct {
	kernel  *Kernel
	ops     []tc.Op
	results []tc.Result
	links   map[string]found

	port    airport
	next    *flight       // not sent yet
	spare   *flight       // landed
	missing map[place]int // classes that couldn't be made, and the op that should have
}

// found is what became of the search for a link.
type found struct {
	index int
	err   error
}

// place names a class of a link.
type place struct {
	link  string
	class tc.Handle
}

// own is the class that an Op makes or changes; false if it doesn't do such a thing.
func own(op tc.Op) (place, bool) {
	if op.Class == nil || op.Verb == tc.Delete {
		return place{}, false
	}
	return place{op.Class.Link, op.Class.ID}, true
}

// add takes one op into the batch, or gives it its result.
func (a *applier) add(i int) {
	op := a.ops[i]
	if (op.Class == nil) == (op.Qdisc == nil) {
		a.results[i].Err = fmt.Errorf("op %d: %w: want one qdisc or one class", i, tc.ErrInvalid)
		return
	}
	index, err := a.find(op.Link())
	if err != nil {
		a.fail(i, fmt.Errorf("%s: %w", op.Line(), err))
		return
	}
	if cause, missing := a.parentMissing(op); missing {
		// Its text only: the other op's error isn't the error of this one.
		why := a.results[cause].Err.Error()
		a.fail(i, fmt.Errorf("%s: %w: its parent couldn't be made: %s", op.Line(), tc.ErrNotTried, why))
		return
	}
	if len(a.next.requests) >= a.kernel.limits.messages {
		a.flush()
	}
	m, data, err := encodeOp(a.next.data, op, index, a.kernel.host)
	if n := len(a.next.requests); n > 0 && len(data)+messageHeader*(n+1) > a.kernel.limits.bytes {
		a.flush()
		m, data, err = encodeOp(a.next.data, op, index, a.kernel.host)
	}
	if err != nil {
		a.fail(i, fmt.Errorf("%s: %w", op.Line(), err))
		return
	}
	f := a.next
	f.requests, f.data, f.which = append(f.requests, m), data, append(f.which, i)
	if p, ok := own(op); ok {
		f.makes[p] = true
	}
}

// parentMissing is the op that should have made the class that op's class is to be below, if
// it couldn't. If that op is on its way it is answered first.
func (a *applier) parentMissing(op tc.Op) (cause int, missing bool) {
	if _, ok := own(op); !ok {
		return 0, false
	}
	parent := place{op.Class.Link, op.Class.Parent}
	if a.next.makes[parent] || a.port.out != nil && a.port.out.makes[parent] {
		a.land()
	}
	cause, missing = a.missing[parent]
	return cause, missing
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

// flush sends the batch, and takes the answers to the one before.
func (a *applier) flush() {
	if len(a.next.requests) == 0 {
		return
	}
	landed := a.port.depart(a.next)
	a.take(landed)
	if a.next = a.spare; a.next == nil {
		a.next = newFlight()
	}
	a.spare = nil
}

// land sends the batch, and takes all answers.
func (a *applier) land() {
	a.flush()
	a.take(a.port.land())
}

// take takes the answers to a batch; nil: there is none.
func (a *applier) take(f *flight) {
	if f == nil {
		return
	}
	for at, answer := range f.answers {
		i := f.which[at]
		a.results[i] = answer.result(a.ops[i])
		if err := a.results[i].Err; err != nil {
			a.fail(i, err)
		} else if p, ok := own(a.ops[i]); ok {
			delete(a.missing, p)
		}
	}
	f.reset()
	a.spare = f
}

// fail notes an op's error, and that its class is missing, unless it exists already.
func (a *applier) fail(i int, err error) {
	a.results[i].Err = err
	if p, ok := own(a.ops[i]); ok && !errors.Is(err, tc.ErrExists) {
		a.missing[p] = i
	}
}
