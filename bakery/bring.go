package bakery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// bring does what is missing on a link, but for what failed a moment ago. It is true when
// the link has to be read again.
func (r *reconciler) bring(ctx context.Context, l *managedLink, tree *Tree, w work) (again bool) {
	a := attempt{r: r, l: l, tree: tree, w: w, failed: map[key]bool{}}
	a.target = a.aim()
	target := a.target
	if tc.Differ(w.has, target) {
		a.plan.addAll(tc.Plan(w.has, target))
	}
	plan := a.plan.list
	if l.asked != tree.shaped {
		l.asked, l.read, l.repaired, l.once = tree.shaped, deeds{}, nil, deeds{} // records make things necessary again
	}
	a.confirm(plan)
	ops := a.ready(plan)
	r.problems.keepOnly(l.name, a.differs)
	if len(ops) > 0 {
		if l.own(w.wanted); l.ours != r.applied.Links[l.name] {
			r.noteOwned() // before there is anything to own
		}
		r.retreat(ctx, l, tree, ops)
		r.publish(PhaseApplying)
		a.take(ops, r.apply(ctx, ops))
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

// buildOps is from how many ops on a link is built. Before and after that what isn't used any more is collected, beside the
// kernel's work and the reading that follows: Go's collector would wait until there is twice as much.
const buildOps = 4096

func (r *reconciler) apply(ctx context.Context, ops []tc.Op) []tc.Result {
	if len(ops) > buildOps {
		r.collecting.Go(runtime.GC)
		defer r.collecting.Go(runtime.GC)
	}
	return r.k.Apply(ctx, ops)
}

// attempt is one try to bring a link to what is wanted.
type attempt struct {
	r    *reconciler
	l    *managedLink
	tree *Tree
	w    work

	plan    deeds        // what leads to the target
	blocked map[key]bool // what differs from the target and nothing leads to
	failed  map[key]bool // objects that differ, and still do
	target  *tc.State    // what the link is to have
	refused int
}

// differs reports an object that differs from the target.
func (a *attempt) differs(k key) bool {
	if a.blocked[k] {
		return true
	}
	_, planned := a.plan.of(k.ofLink())
	return planned && k.link == a.l.name && k.object()
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
			a.block(k)
			if a.r.problems.waits(k, a.r.o.Now()) {
				continue
			}
			a.problem(op, fmt.Errorf("what drifted, and is only reported, is in the way: %w", err))
		}
	}
	return target
}

func (a *attempt) block(k key) {
	if a.blocked == nil {
		a.blocked = map[key]bool{}
	}
	a.blocked[k], a.failed[k] = true, true
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
func (a *attempt) confirm(plan []tc.Op) {
	before := !a.l.read.none() || !a.l.once.none() || len(a.l.repaired) > 0
	if len(plan) > 0 && before {
		a.confirmAll(plan)
	}
	a.l.read = deeds{}
}

func (a *attempt) confirmAll(plan []tc.Op) {
	differs := map[key]bool{}
	for _, d := range tc.Diff(a.w.has, a.target) {
		for _, o := range []tc.Object{d.From, d.To} {
			if o != (tc.Object{}) {
				differs[keyOf(a.l.name, o)] = true
			}
		}
	}
	for _, op := range plan {
		k := opKey(a.l.name, op)
		if differs[k] && !a.r.problems.waits(k, a.r.o.Now()) && a.l.stuck(op) {
			a.problem(op, errors.New("the kernel took it, and yet it isn't so: somebody undoes it, or the kernel means something else"))
		}
	}
}

// ready leaves out what failed a moment ago, and what sits in it.
func (a *attempt) ready(plan []tc.Op) []tc.Op {
	now := a.r.o.Now()
	a.dropOutdated(plan)
	if len(a.failed) == 0 && !a.r.problems.on(a.l.name) {
		return plan
	}
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
	if !a.r.problems.on(a.l.name) {
		return
	}
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

// take takes up what became of ops.
func (a *attempt) take(ops []tc.Op, results []tc.Result) {
	did := ops
	if slices.ContainsFunc(results, func(r tc.Result) bool { return r.Err != nil }) {
		did = nil
	}
	for i, res := range results {
		switch {
		case res.Err != nil:
			a.fail(ops[i], res.Err)
			continue
		case len(did) < len(ops):
			did = append(did, ops[i])
		}
		a.done(ops[i], res.Warning)
	}
	if a.w.has.Len() == 0 && a.l.seen.State.Len() == 0 && a.w.at == nil && len(did) == len(a.plan.list) && len(a.blocked) == 0 {
		a.l.built(a.target)
		return
	}
	a.l.take(did)
	a.l.did(did)
}

// done takes up an op that the kernel did.
func (a *attempt) done(op tc.Op, warning string) {
	a.r.writes++
	if op.Verb != tc.Change {
		a.r.steering.classesChanged()
	}
	if op.Qdisc != nil && op.Verb != tc.Change && holdsFilters(op.Qdisc) {
		a.r.forgetLines(a.tree, a.l.name)
	}
	if warning != "" {
		a.r.warn(op, warning)
	}
}

// fail takes up an op that the kernel didn't do.
func (a *attempt) fail(op tc.Op, err error) {
	a.l.fresh, a.l.unsure = false, true
	a.r.refused++
	a.refused++
	k := opKey(a.l.name, op)
	if !a.failed[k] { // of two ops for one object the first tells why
		a.failed[k] = true
		a.problem(op, err)
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
		if n := a.r.drift.end(l.name, now, FateRepaired, func(k key) bool { return a.differs(k) && !a.failed[k] }); n > 0 {
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
