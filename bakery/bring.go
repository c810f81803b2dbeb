package bakery

import (
	"context"
	"errors"
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// bring does what is missing on a link, but for what failed a moment ago. It is true when
// the link has to be read again.
func (r *reconciler) bring(ctx context.Context, l *managedLink, tree *Tree, w work) (again bool) {
	a := attempt{r: r, l: l, tree: tree, w: w, differs: map[key]bool{}, failed: map[key]bool{}}
	a.target = a.aim()
	target := a.target
	var plan []tc.Op
	diff := tc.Diff(w.has, target)
	if len(diff) > 0 {
		plan = tc.Plan(w.has, target)
	}
	if l.asked != tree.shaped {
		l.asked, l.read, l.repaired = tree.shaped, nil, map[ofLink]repeat{} // records make things necessary again
	}
	a.confirm(plan, diff)
	ops := a.ready(plan)
	r.problems.keepOnly(l.name, a.differs)
	if len(ops) > 0 {
		if l.own(w.wanted); l.ours != r.applied.Links[l.name] {
			r.noteOwned() // before there is anything to own
		}
		r.retreat(ctx, l, tree, ops)
		r.publish(PhaseApplying)
		results := r.k.Apply(ctx, ops)
		l.makeRoom(ops)
		for i, res := range results {
			a.take(ops[i], res)
		}
		if ctx.Err() != nil {
			return false
		}
		r.o.Logger.Debug("applied", "link", l.name, "ops", len(ops), "refused", a.refused, "seq", tree.Seq)
	}
	a.settle(target)
	if l.ordered = 0; len(a.failed) == 0 && l.fresh && !r.problems.on(l.name) {
		l.putInOrder(tree)
	}
	return !l.fresh
}

// attempt is one try to bring a link to what is wanted.
type attempt struct {
	r    *reconciler
	l    *managedLink
	tree *Tree
	w    work

	differs map[key]bool // objects that differ from the target
	failed  map[key]bool // those of them that still do
	target  *tc.State    // what the link is to have
	refused int
}

// aim is what the link is to have: what is wanted or, if drift is only reported, what
// it has with what newer records change.
func (a *attempt) aim() *tc.State {
	if a.r.o.Drift == DriftRepair || a.w.expected == nil {
		return a.w.wanted
	}
	target := a.w.has.Clone()
	was, wanted := a.newer()
	for _, op := range tc.Plan(was, wanted) {
		if err := overlay(target, op); err != nil {
			k := opKey(a.l.name, op)
			a.differs[k], a.failed[k] = true, true
			if a.r.problems.waits(k, a.r.o.Now()) {
				continue
			}
			a.problem(op, fmt.Errorf("what drifted, and is only reported, is in the way: %w", err))
		}
	}
	return target
}

// newer gives what is expected and what is wanted, which newer records alone tell apart: a leaf
// that had another handle than the tree's keeps that on both sides, also when it is gone.
func (a *attempt) newer() (was, wanted *tc.State) {
	was = a.tree.adoptHandles(a.l.name, a.w.expected, a.w.has)
	return was, a.tree.adoptHandles(a.l.name, a.w.wanted, was)
}

// overlay does op to a state that may have drifted.
func overlay(s *tc.State, op tc.Op) error {
	err := s.Apply(op)
	switch {
	case op.Verb == tc.Delete && errors.Is(err, tc.ErrNotFound):
		return nil
	case op.Verb == tc.Add && errors.Is(err, tc.ErrExists), op.Verb == tc.Change && errors.Is(err, tc.ErrNotFound):
		op.Verb = tc.Replace
		return s.Apply(op)
	}
	return err
}

func opObject(op tc.Op) tc.Object { return tc.Object{Qdisc: op.Qdisc, Class: op.Class} }

func opKey(link string, op tc.Op) key { return keyOf(link, opObject(op)) }

// confirm finds the ops that the kernel answered with success, and that are needed again though what they made is not as they
// made it. What is only made anew because what it sits in is, is as it was made.
func (a *attempt) confirm(plan []tc.Op, diff []tc.Difference) {
	differs := map[key]bool{}
	if len(a.l.read) == 0 && len(a.l.repaired) == 0 { // nothing was done before
		diff = nil
	}
	for _, d := range diff {
		for _, o := range []tc.Object{d.From, d.To} {
			if o != (tc.Object{}) {
				differs[keyOf(a.l.name, o)] = true
			}
		}
	}
	for _, op := range plan {
		k := opKey(a.l.name, op)
		a.differs[k] = true
		if differs[k] && !a.r.problems.waits(k, a.r.o.Now()) && a.l.stuck(op) {
			a.problem(op, errors.New("the kernel took it, and yet it isn't so: somebody undoes it, or the kernel means something else"))
		}
	}
	a.l.read = nil
}

// ready leaves out what failed a moment ago, and what sits in it.
func (a *attempt) ready(plan []tc.Op) []tc.Op {
	now := a.r.o.Now()
	a.dropOutdated(plan)
	ops := plan[:0:0]
	for _, op := range plan {
		k := opKey(a.l.name, op)
		if a.r.problems.waits(k, now) {
			a.failed[k] = true
			continue
		}
		if in, failed := a.inFailed(opObject(op)); failed && op.Verb != tc.Delete {
			a.failed[k] = true
			a.problem(op, fmt.Errorf("%w: %s couldn't be made", tc.ErrNotTried, in))
			a.r.problems.waitFor(k, keyOf(a.l.name, in))
			continue
		}
		ops = append(ops, op)
	}
	return ops
}

// dropOutdated forgets the problems of objects of which another op is needed now: newer
// records ask for something else.
func (a *attempt) dropOutdated(plan []tc.Op) {
	same := map[key]bool{}
	for _, op := range plan {
		k := opKey(a.l.name, op)
		if p, failed := a.r.problems[k]; failed && p.Op == op.Line() {
			same[k] = true
		}
	}
	for _, op := range plan {
		if k := opKey(a.l.name, op); !same[k] {
			delete(a.r.problems, k)
		}
	}
}

// inFailed reports an object in one that couldn't be made, and which that is.
func (a *attempt) inFailed(o tc.Object) (in tc.Object, failed bool) {
	if a.target == nil {
		return in, false
	}
	in, ok := a.target.Container(a.l.name, o)
	return in, ok && a.failed[keyOf(a.l.name, in)]
}

// take takes up what became of an op.
func (a *attempt) take(op tc.Op, res tc.Result) {
	if res.Err == nil {
		a.r.writes++
		a.l.done(op)
		if op.Verb != tc.Change {
			a.r.steering.classesChanged()
		}
		if HoldsFilters(op) {
			a.r.forgetLines(a.tree, a.l.name)
		}
		if res.Warning != "" {
			a.r.warn(op, res.Warning)
		}
		return
	}
	a.l.fresh, a.l.unsure = false, true
	a.r.refused++
	a.refused++
	k := opKey(a.l.name, op)
	if !a.failed[k] { // of two ops for one object the first tells why
		a.failed[k] = true
		a.problem(op, res.Err)
	}
}

// problem notes what the kernel refuses. What fails for the first time is logged.
func (a *attempt) problem(op tc.Op, err error) {
	object := opObject(op)
	p := Problem{Link: a.l.name, Object: object.String(), Op: op.Line(), Error: err.Error(), at: opKey(a.l.name, op)}
	if p.Seq, p.Name = a.tree.asked(a.l.name, object); op.Verb == tc.Delete {
		p.Seq = a.removedBy(object)
	}
	if op.Verb == tc.Delete && op.Class != nil && errors.Is(err, tc.ErrBusy) {
		p.Error += fmt.Sprintf(" (a filter may point to it: tc filter show dev %s parent %x:)", a.l.name, op.Class.ID.Major())
	}
	_, p.follows = a.inFailed(object)
	p.follows = p.follows || errors.Is(err, tc.ErrNotTried)
	if _, again := a.r.problems[p.at]; !again && a.refused <= maxListed && !p.follows {
		a.r.o.Logger.Warn("the kernel refused", "link", p.Link, "op", p.Op, "why", p.Error, "record", p.Seq, "name", p.Name)
	}
	a.r.problems.add(a.r.o.Now(), p)
}

// removedBy is the record that an object went with: the newest when its removal is first
// tried. What no record has put there no record removes.
func (a *attempt) removedBy(object tc.Object) eventlog.Seq {
	if p, again := a.r.problems[keyOf(a.l.name, object)]; again {
		return p.Seq
	}
	if a.l.expected == nil || !contains(a.l.expected, a.l.name, object) {
		return 0
	}
	return a.tree.shaped
}

func contains(s *tc.State, link string, o tc.Object) (ok bool) {
	if o.Class != nil {
		_, ok = s.Class(link, o.Class.ID)
		return ok
	}
	_, ok = s.Qdisc(link, o.Qdisc.Parent)
	return ok
}

// settle notes what the link is expected to have from now on.
func (a *attempt) settle(target *tc.State) {
	l := a.l
	switch {
	case a.r.o.Drift == DriftRepair || l.expected == nil:
		now := a.r.o.Now()
		if n := a.r.drift.end(l.name, now, FateRepaired, func(k key) bool { return a.differs[k] && !a.failed[k] }); n > 0 {
			a.r.o.Logger.Info("drift repaired", "link", l.name, "entries", n)
		}
		l.expected = l.scope(l.seen.State, target).Clone()
	case a.w.at != nil:
		l.expected.Take(l.name, a.expectedOf(a.newer()), a.w.at)
	default:
		l.expected = a.expectedOf(a.newer())
	}
	l.own(a.w.wanted)
	l.ours.Failed, l.ours.Clean = encodeKeys(a.failed)
}

// expectedOf leads from what was expected to what is wanted, but for what failed.
func (a *attempt) expectedOf(was, wanted *tc.State) *tc.State {
	expected := was.Clone()
	for _, op := range tc.Plan(was, wanted) {
		if !a.failed[opKey(a.l.name, op)] {
			_ = expected.Apply(asTaken(expected, op)) // what can't be done is among the failed
		}
	}
	return expected
}

// holdsFilters reports a qdisc at which filters can hang, and with which they go.
func holdsFilters(q *tc.Qdisc) bool {
	if q.Parent == tc.Root || q.Parent == tc.Ingress || q.Options == nil {
		return true
	}
	_, htb := q.Options.(tc.HTB)
	return htb
}

// warn keeps what the kernel said about an op that it did.
func (r *reconciler) warn(op tc.Op, text string) {
	if len(r.warned) >= maxListed {
		r.warned = append(r.warned[:0], r.warned[1:]...)
	}
	r.warned = append(r.warned, KernelNotice{Op: op.Line(), Text: text})
}
