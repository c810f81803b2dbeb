package bakery

import "lqosd/bakery/tc"

// adoptHandles is desired with the handles that leaves of the same kind have already,
// where no client chose another: who takes over a tree that tc(8) built, or that
// somebody mended, needs to write nothing. A leaf whose handle is then another's gets
// one from the kernel.
func (t *Tree) adoptHandles(link string, desired, has *tc.State) *tc.State {
	a := adoption{holder: map[tc.Handle]tc.Handle{}, leaves: map[tc.Handle]tc.Qdisc{}}
	for q := range desired.Qdiscs(link) {
		old, there := has.Qdisc(link, q.Parent)
		if there && q.Handle != 0 && old.Handle != q.Handle && old.Options.Kind() == q.Options.Kind() &&
			t.choseHandle(link, q.Parent, q.Handle) {
			a.take(q, old.Handle)
		}
	}
	if len(a.leaves) == 0 {
		return desired
	}
	for q := range desired.Qdiscs(link) {
		if _, adopts := a.leaves[q.Parent]; !adopts {
			a.giveWay(q, t.choseHandle(link, q.Parent, q.Handle))
		}
	}
	return a.in(desired)
}

// adoption collects the leaves that get another handle than the Tree gave them.
type adoption struct {
	leaves map[tc.Handle]tc.Qdisc  // by slot
	holder map[tc.Handle]tc.Handle // the slot of each adopted handle
}

func (a *adoption) take(q tc.Qdisc, handle tc.Handle) {
	a.holder[handle] = q.Parent
	q.Handle = handle
	a.leaves[q.Parent] = q
}

// giveWay settles who has the handle of a qdisc that adopts none: a handle that a
// client chose stays its own.
func (a *adoption) giveWay(q tc.Qdisc, chosen bool) {
	slot, taken := a.holder[q.Handle]
	if !taken {
		return
	}
	if !chosen {
		delete(a.leaves, slot)
		delete(a.holder, q.Handle)
		return
	}
	q.Handle = 0
	a.leaves[q.Parent] = q
}

// in is desired with the leaves of a.
func (a *adoption) in(desired *tc.State) *tc.State {
	next := desired.Clone()
	for _, q := range a.leaves {
		mustApply(next, tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: q.Link, Parent: q.Parent}})
	}
	for _, q := range a.leaves {
		mustApply(next, tc.Op{Verb: tc.Add, Qdisc: &q})
	}
	return next
}

// mustApply does what can't be refused: the place is there, and free.
func mustApply(s *tc.State, op tc.Op) {
	if err := s.Apply(op); err != nil {
		panic("bakery: " + err.Error())
	}
}
