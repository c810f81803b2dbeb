package bakery

import (
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
	if o.Qdisc.Parent != tc.Root {
		n, _ := t.Note(link, o.Qdisc.Handle|capacityNode)
		return n.Seq, ""
	}
	var first eventlog.Seq
	if notes := t.notes[link]; notes != nil {
		notes.Scan(func(_ tc.Handle, n Note) bool {
			first = n.Seq
			return false
		})
	}
	return first, ""
}

// choseHandle reports whether the handle of the qdisc at slot was assigned by Fold: no
// client cares which one it is.
func (t *Tree) choseHandle(link string, slot, handle tc.Handle) bool {
	h := t.handles[link]
	if h == nil {
		return false
	}
	major, ok := h.bySlot.Get(slot)
	return ok && major == handle.Major()
}
