package kerneltest

import (
	"context"
	"errors"
	"fmt"

	"lqosd/bakery/tc"
)

// place names a class of a link.
type place struct {
	link string
	id   tc.Handle
}

// Apply does ops one by one. A class below one that couldn't be made isn't tried: the
// kernel would hang it at the root. When ctx ends, what remains isn't done, and gets its
// error.
func (f *Fake) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	f.mu.Lock()
	f.record.counts.Applies++
	f.mu.Unlock()
	results := make([]tc.Result, len(ops))
	unmade := map[place]bool{}
	for i, op := range ops {
		f.faults.pass(ctx, op)
		if err := ctx.Err(); err != nil {
			results[i].Err = fmt.Errorf("%s: %w: %w", op.Line(), tc.ErrNotTried, err)
			continue
		}
		results[i] = f.applyOne(op, unmade)
	}
	return results
}

func (f *Fake) applyOne(op tc.Op, unmade map[place]bool) tc.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := op.Class
	if c != nil && op.Verb != tc.Delete && unmade[place{c.Link, c.Parent}] && f.links[c.Link] != nil {
		unmade[place{c.Link, c.ID}] = true
		return tc.Result{Err: fmt.Errorf("%s: %w", op.Line(), tc.ErrNotTried)}
	}
	r := f.faulty(op)
	f.record.add(op, r)
	for _, d := range f.planes {
		d.guard.did(d, op)
	}
	if r.Err != nil {
		r.Err = fmt.Errorf("%s: %w", op.Line(), r.Err)
	}
	if c != nil && op.Verb != tc.Delete {
		unmade[place{c.Link, c.ID}] = r.Err != nil && !errors.Is(r.Err, tc.ErrExists)
	}
	return r
}

// faulty does op, unless a fault says otherwise.
func (f *Fake) faulty(op tc.Op) tc.Result {
	fault := f.faults.take(op)
	if fault != nil && !fault.lost {
		return tc.Result{Err: fault.err}
	}
	warning, err := f.do(op)
	if fault != nil {
		return tc.Result{Err: tc.ErrUnknownOutcome}
	}
	return tc.Result{Warning: warning, Err: err}
}

// do is the kernel without faults.
func (f *Fake) do(op tc.Op) (warning string, err error) {
	if (op.Qdisc == nil) == (op.Class == nil) {
		return "", invalid("")
	}
	w := f.links[op.Link()]
	switch {
	case w == nil:
		return "", ENODEV
	case op.Class != nil:
		return w.doClass(op.Verb, *op.Class)
	}
	return "", w.doQdisc(op.Verb, *op.Qdisc)
}
