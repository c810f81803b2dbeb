package bakery

import "lqosd/bakery/tc"

// adoptHandles is desired with the handles that leaves of the same kind have already,
// where no client chose another: who takes over a tree that tc(8) built, or that
// somebody mended, needs to write nothing. A leaf whose handle is then another's gets
// one from the kernel. A handle that a client chose stays where he wants it.
func (t *Tree) adoptHandles(link string, desired, has *tc.State) *tc.State {
	adopted := map[tc.Handle]tc.Qdisc{} // by slot
	for q := range desired.Qdiscs(link) {
		old, there := has.Qdisc(link, q.Parent)
		if there && q.Handle != 0 && old.Handle != q.Handle && old.Options.Kind() == q.Options.Kind() &&
			t.assignedHandle(link, q.Parent, q.Handle) && !desired.Holds(link, q.Handle) && !t.claimed(link, desired, old.Handle) {
			q.Handle = old.Handle
			adopted[q.Parent] = q
		}
	}
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
