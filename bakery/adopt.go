package bakery

import "lqosd/bakery/tc"

// adoptHandles is desired with the handles that leaves of the same kind have already,
// where no client chose another: who takes over a tree that tc(8) built, or that
// somebody mended, needs to write nothing. A leaf whose handle is then another's gets
// one from the kernel. A handle that a client chose stays where he wants it.
func (t *Tree) adoptHandles(link string, desired, has *tc.State) *tc.State {
	adopted := t.adoptable(link, desired, has)
	if len(adopted) == 0 {
		return desired
	}
	taken := map[tc.Handle]bool{}
	for _, q := range adopted {
		taken[q.Handle] = true
	}
	for q := range desired.Qdiscs(link) {
		if _, adopts := adopted[q.Parent]; !adopts && taken[q.Handle] {
			q.Handle = 0
			adopted[q.Parent] = q
		}
	}
	next := desired.Clone()
	for _, q := range adopted {
		mustApply(next, tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: q.Link, Parent: q.Parent}})
	}
	for _, q := range adopted {
		mustApply(next, tc.Op{Verb: tc.Add, Qdisc: &q})
	}
	return next
}

// adoptable are the leaves of desired that can have the handle of the one that is there,
// by slot, with that handle.
func (t *Tree) adoptable(link string, desired, has *tc.State) map[tc.Handle]tc.Qdisc {
	leaves := map[tc.Handle]tc.Qdisc{}
	own := map[tc.Handle]tc.Handle{} // what each would have otherwise
	for q := range desired.Qdiscs(link) {
		old, there := has.Qdisc(link, q.Parent)
		if there && q.Handle != 0 && old.Handle != q.Handle && old.Options.Kind() == q.Options.Kind() &&
			t.assignedHandle(link, q.Parent, q.Handle) && !desired.Holds(link, q.Handle) {
			own[q.Parent] = q.Handle
			q.Handle = old.Handle
			leaves[q.Parent] = q
		}
	}
	// Whose handle is claimed has to take its own, and then nobody else can have that.
	claimed := func(h tc.Handle) bool { return t.claimed(link, desired, h) }
	for more := true; more; {
		back := map[tc.Handle]bool{}
		for slot, q := range leaves {
			if claimed(q.Handle) {
				delete(leaves, slot)
				back[own[slot]] = true
			}
		}
		more = len(back) > 0
		claimed = func(h tc.Handle) bool { return back[h] }
	}
	return leaves
}

// claimed reports a handle that desired has where it must stay: a client chose it, or
// something sits in its qdisc.
func (t *Tree) claimed(link string, desired *tc.State, handle tc.Handle) bool {
	q, ok := desired.QdiscByHandle(link, handle)
	return ok && (desired.Holds(link, handle) || !t.assignedHandle(link, q.Parent, handle))
}

// mustApply does what can't be refused: the place is there, and free.
func mustApply(s *tc.State, op tc.Op) {
	if err := s.Apply(op); err != nil {
		panic("bakery: " + err.Error())
	}
}
