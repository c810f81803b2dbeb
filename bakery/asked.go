package bakery

import (
	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// asked tells which record last asked for an object, 0 if none can be named, and what
// the site or circuit is called.
func (t *Tree) asked(link string, o tc.Object) (eventlog.Seq, string) {
	if o.Class != nil {
		n, _ := t.Note(link, o.Class.ID)
		return n.Seq, n.Name(o.Class.ID)
	}
	if n, ok := t.Note(link, o.Qdisc.Parent); ok { // a leaf
		return max(n.LeafSeq, n.Seq), n.Name(o.Qdisc.Parent)
	}
	if placed, ok := t.placed.Get(link); ok {
		seq, _ := placed.Get(o.Qdisc.Parent)
		return seq, ""
	}
	return 0, ""
}

// place notes which record set the qdisc at a slot that isn't a class.
func (t *Tree) place(link string, slot tc.Handle, seq eventlog.Seq) {
	m, _ := t.placed.Get(link)
	if m == nil {
		m = &radix.Map[tc.Handle, eventlog.Seq]{}
		t.placed.Set(link, m)
	}
	m.Set(slot, seq)
}

// assignedHandle reports whether the handle of the qdisc at slot was assigned by Fold: no
// client cares which one it is.
func (t *Tree) assignedHandle(link string, slot, handle tc.Handle) bool {
	h, _ := t.handles.Get(link)
	if h == nil {
		return false
	}
	major, ok := h.bySlot.Get(slot)
	return ok && major == handle.Major()
}

// HandleMatters reports a qdisc of the Tree that has to have its handle: a client chose it, or
// something sits in the qdisc. Of other leaves any will do.
func (t *Tree) HandleMatters(q tc.Qdisc) bool { return t.claimed(q.Link, t.state, q.Handle) }
