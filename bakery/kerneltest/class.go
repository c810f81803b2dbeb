package kerneltest

import (
	"fmt"
	"syscall"

	"lqosd/bakery/tc"
)

// The kernel clamps a quantum that it computes to these, and says so.
const minQuantum, maxQuantum = 1000, 200000

// doClass is tc_ctl_tclass (sch_api.c) with htb_change_class and htb_delete (sch_htb.c).
// What the kernel says of an op that it did is the warning.
func (w *wire) doClass(v tc.Verb, c tc.Class) (warning string, err error) {
	if c.Parent != tc.Unspec && c.Parent != tc.Root && c.Parent.Major() != 0 && c.Parent.Major() != c.ID.Major() {
		return "", invalid("")
	}
	q := found(w.state.QdiscByHandle(w.Name, tc.NewHandle(c.ID.Major(), 0)))
	if q == nil {
		return "", missing(v, "")
	}
	htb, isHTB := q.Options.(tc.HTB)
	if !isHTB {
		return "", w.otherClass(v, *q, c.ID)
	}
	old, there := w.state.Class(w.Name, c.ID)
	switch {
	case !there && (v == tc.Change || v == tc.Delete):
		return "", missing(v, "")
	case there && v == tc.Add:
		return "", exists("")
	case v == tc.Delete:
		if w.hasChildren(c.ID) {
			return "", refuse(syscall.EBUSY, tc.ErrBusy, "HTB class in use.")
		}
		return "", w.state.Apply(tc.Op{Verb: tc.Delete, Class: &tc.Class{Link: w.Name, ID: c.ID}})
	case c.HTB.Rate.BytesPerSecond() == 0 || c.HTB.Ceil != 0 && c.HTB.Ceil.BytesPerSecond() == 0:
		return "", invalid("")
	}
	inner := there && w.hasChildren(c.ID)
	next := tc.Class{Link: w.Name, ID: c.ID, HTB: w.canonicalClass(htb, c.HTB)}
	next.Parent = w.parentOf(c, q.Handle, old, there)
	if !there && next.Parent.Minor() != 0 && w.depth(next.Parent) >= tc.MaxHTBDepth {
		return "", invalid("sch_htb: tree is too deep.")
	}
	if inner {
		next.HTB.Quantum, next.HTB.Prio = old.HTB.Quantum, old.HTB.Prio
	}
	if err := w.state.Apply(tc.Op{Verb: tc.Replace, Class: &next}); err != nil {
		return "", invalid(err.Error())
	}
	if inner || c.HTB.Quantum != 0 {
		return "", nil
	}
	return quantumWarning(next, htb), nil
}

// parentOf is where the kernel hangs a class: where it is if it is there, whatever the op
// says; at the root of the HTB if the parent isn't there, or none is named.
func (w *wire) parentOf(c tc.Class, htb tc.Handle, old tc.Class, there bool) tc.Handle {
	if there {
		return old.Parent
	}
	if c.Parent.Major() == 0 && c.Parent != tc.Unspec {
		c.Parent |= htb
	}
	if _, ok := w.state.Class(w.Name, c.Parent); ok {
		return c.Parent
	}
	return htb
}

// depth is how many classes stand one below the other down to id.
func (w *wire) depth(id tc.Handle) int {
	n := 0
	for id.Minor() != 0 {
		c, ok := w.state.Class(w.Name, id)
		if !ok {
			break
		}
		n, id = n+1, c.Parent
	}
	return n
}

func (w *wire) hasChildren(id tc.Handle) bool {
	if id == tc.Root || id == tc.Ingress {
		return false
	}
	return w.state.HasChildren(w.Name, id)
}

// quantumWarning is what the kernel says of a quantum that it computed and clamped.
func quantumWarning(c tc.Class, htb tc.HTB) string {
	var size string
	switch q := c.HTB.Rate.BytesPerSecond() / uint64(htb.R2Q); {
	case q < minQuantum:
		size = "small"
	case q > maxQuantum:
		size = "big"
	default:
		return ""
	}
	return fmt.Sprintf("sch_htb: quantum of class %X is %s. Consider r2q change.", uint32(c.ID), size)
}

// otherClass is the answer for a class of a qdisc that isn't an HTB: its classes are there
// on their own.
func (w *wire) otherClass(v tc.Verb, q tc.Qdisc, id tc.Handle) error {
	there := false
	switch q.Options.(type) {
	case tc.MQ:
		there = id.Minor() != 0 && int(id.Minor()) <= w.TxQueues
	case tc.Tbf, tc.Netem:
		there = true
	case tc.Clsact, tc.IngressQdisc, tc.Cake, tc.FqCodel, tc.Sfq:
	default:
		return invalid("")
	}
	switch {
	case !there && (v == tc.Change || v == tc.Delete):
		return missing(v, "")
	case there && v == tc.Add:
		return exists("")
	}
	return notSupported("")
}
