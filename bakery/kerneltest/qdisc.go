package kerneltest

import (
	"syscall"

	"lqosd/bakery/tc"
)

// What the kernel says, as tc(8) prints it (sch_api.c).
const (
	textNoQdisc     = "Failed to find specified qdisc."
	textNoClass     = "Specified class not found."
	textNotClassful = "Parent qdisc is not classful."
	textNoMove      = "Cannot move an existing qdisc to a different parent."
	textOverride    = "NLM_F_REPLACE needed to override."
	textExclusive   = "Exclusivity flag on, cannot modify."
	textKind        = "Invalid qdisc name: must match existing qdisc."
	textNoCreate    = "Qdisc not found. To create specify NLM_F_CREATE flag."
	textNoChange    = "Change operation not supported by specified qdisc."
	textNoKind      = "Specified qdisc kind is unknown."
)

// doQdisc does what __tc_modify_qdisc (sch_api.c) does with the flags that tc(8) sets for
// the verb: CREATE and EXCL for add, CREATE and REPLACE for replace, none for change.
func (w *wire) doQdisc(v tc.Verb, q tc.Qdisc) error {
	if q.Parent == tc.Ingress && q.Handle == 0 {
		q.Handle = ingressHandle // as tc(8) says it
	}
	if v == tc.Delete {
		return w.deleteQdisc(q)
	}
	old, err := w.modified(v, q)
	if err != nil {
		return err
	}
	if q.Options == nil {
		return invalid("")
	}
	sameKind := old != nil && old.Options.Kind() == q.Options.Kind()
	if q.Parent != tc.Unspec {
		switch {
		case q.Handle == 0 && (old == nil || v == tc.Replace && !sameKind):
			return w.create(v, q, old)
		case q.Handle == 0 || old != nil && old.Handle == q.Handle:
		case old != nil && v != tc.Replace:
			return exists(textOverride)
		case w.taken(q.Handle):
			return invalid(textNoMove)
		default:
			return w.create(v, q, old)
		}
	}
	switch {
	case old == nil:
		return missing(v, "Specified qdisc not found.")
	case v == tc.Add:
		return exists(textExclusive)
	case !sameKind:
		return invalid(textKind)
	}
	return w.change(*old, q)
}

func (w *wire) taken(handle tc.Handle) bool { return w.state.HandleInUse(w.Name, handle.Major()) }

// modified is the qdisc that an op other than Delete is about, nil for none that has a
// handle.
func (w *wire) modified(v tc.Verb, q tc.Qdisc) (*tc.Qdisc, error) {
	if q.Parent == tc.Unspec {
		if q.Handle == 0 {
			return nil, invalid("Handle cannot be zero.")
		}
		return found(w.state.QdiscByHandle(w.Name, q.Handle)), nil
	}
	if q.Parent != tc.Root && q.Parent != tc.Ingress {
		if err := w.checkPlace(v, q.Parent); err != nil {
			return nil, err
		}
	}
	return found(w.state.Qdisc(w.Name, q.Parent)), nil
}

func found(q tc.Qdisc, ok bool) *tc.Qdisc {
	if !ok {
		return nil
	}
	return &q
}

// checkPlace makes sure that what place names can hold a qdisc, like qdisc_leaf
// (sch_api.c): a class of an HTB, with children or not, a queue of an mq, the inside of a
// tbf or netem.
func (w *wire) checkPlace(v tc.Verb, place tc.Handle) error {
	above := found(w.state.QdiscByHandle(w.Name, tc.NewHandle(place.Major(), 0)))
	switch {
	case above == nil && v == tc.Delete:
		return missing(v, "Failed to find qdisc with specified classid.")
	case above == nil:
		return missing(v, textNoQdisc)
	}
	there := false
	switch above.Options.(type) {
	case tc.HTB:
		_, there = w.state.Class(w.Name, place)
	case tc.MQ:
		there = place.Minor() != 0 && int(place.Minor()) <= w.TxQueues
	case tc.Tbf, tc.Netem:
		there = true
	case tc.Clsact, tc.IngressQdisc:
		return notSupported("Cannot add children to ingress/clsact qdisc.")
	case tc.Cake, tc.FqCodel, tc.Sfq: // have classes to look at only
	default:
		return notSupported(textNotClassful)
	}
	if !there {
		return missing(v, textNoClass)
	}
	return nil
}

// create makes a qdisc and puts it in its place, from where old goes, with all that is in
// it.
func (w *wire) create(v tc.Verb, q tc.Qdisc, old *tc.Qdisc) error {
	if v == tc.Change {
		return missing(v, textNoCreate)
	}
	if err := w.checkKind(q); err != nil {
		return err
	}
	if q.Handle == 0 {
		major := w.next()
		if major == 0 {
			return refuse(syscall.ENOSPC, nil, "Failed to allocate qdisc handle")
		}
		q.Handle = tc.NewHandle(major, 0)
	}
	if w.hasChildren(q.Parent) {
		return invalid("") // htb_graft (sch_htb.c)
	}
	q.Link = w.Name
	q.Options = w.canonical(q)
	if htb, ok := q.Options.(tc.HTB); ok && !htb.DirectQlen.Given { // htb_init takes what the link has now
		htb.DirectQlen = tc.Some(w.TxQueueLen)
		q.Options = htb
	}
	s := w.state.Clone()
	if old != nil {
		_ = s.Apply(tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: w.Name, Parent: old.Parent}})
	}
	if err := s.Apply(tc.Op{Verb: tc.Add, Qdisc: &q}); err != nil {
		return invalid(err.Error())
	}
	w.state = s
	w.ingressQueue = w.ingressQueue || q.Parent == tc.Ingress
	return nil
}

// checkKind makes sure that a qdisc of the kind can be there.
func (w *wire) checkKind(q tc.Qdisc) error {
	kind := q.Options.Kind()
	ingress := kind == "clsact" || kind == "ingress"
	htb, _ := q.Options.(tc.HTB)
	switch {
	case w.lacks[kind]:
		return refuse(syscall.ENOENT, tc.ErrNotSupported, textNoKind)
	case q.Parent == tc.Ingress && !ingress:
		return invalid("Specified parent ID is reserved for ingress and clsact Qdiscs.")
	case ingress && q.Parent != tc.Ingress:
		return notSupported("") // ingress_init, clsact_init (sch_ingress.c)
	case kind == "mq" && (q.Parent != tc.Root || w.TxQueues < 2):
		return notSupported("") // mq_init (sch_mq.c)
	case htb.Offload && q.Parent != tc.Root:
		return notSupported("HTB must be the root qdisc to use offload.")
	case htb.Offload:
		return notSupported("hw-tc-offload ethtool feature flag must be on.")
	}
	return nil
}

// change gives a qdisc other options. mq, clsact and ingress have none: what has nothing to
// say to them changes nothing. HTB can't change, even to what it has.
func (w *wire) change(old, q tc.Qdisc) error {
	if q.Options.Kind() == "htb" {
		return invalid(textNoChange)
	}
	q.Link, q.Parent, q.Handle = w.Name, old.Parent, old.Handle
	merged, ok := w.merged(old, q)
	if !ok {
		return invalid("")
	}
	op := tc.Op{Verb: tc.Change, Qdisc: &tc.Qdisc{Link: w.Name, Parent: old.Parent, Options: merged}}
	if err := w.state.Apply(op); err != nil {
		return invalid(err.Error())
	}
	if tbf, ok := merged.(tc.Tbf); ok {
		w.limitInside(old.Handle, tbf.Limit)
	}
	return nil
}

// limitInside does what a change of a tbf does: the fifo inside, whoever put it there, gets
// the tbf's limit, a pfifo as many packets as bytes (fifo_set_limit in sch_fifo.c).
func (w *wire) limitInside(tbf tc.Handle, limit uint32) {
	inside, ok := w.state.Qdisc(w.Name, tbf|1)
	if !ok {
		return
	}
	switch inside.Options.(type) {
	case tc.Pfifo:
		inside.Options = tc.Pfifo{Limit: tc.Some(limit)}
	case tc.Bfifo:
		inside.Options = tc.Bfifo{Limit: tc.Some(limit)}
	default:
		return
	}
	_ = w.state.Apply(tc.Op{Verb: tc.Change, Qdisc: &inside})
}

// deleteQdisc is __tc_get_qdisc (sch_api.c) for RTM_DELQDISC.
func (w *wire) deleteQdisc(q tc.Qdisc) error {
	if q.Parent == tc.Unspec {
		if _, ok := w.state.QdiscByHandle(w.Name, q.Handle); !ok {
			return missing(tc.Delete, "Failed to find qdisc with specified handle.")
		}
		return invalid("Classid cannot be zero.")
	}
	if q.Parent != tc.Root && q.Parent != tc.Ingress {
		if err := w.checkPlace(tc.Delete, q.Parent); err != nil {
			return err
		}
	}
	old := found(w.state.Qdisc(w.Name, q.Parent))
	switch {
	case q.Parent == tc.Ingress && !w.ingressQueue, w.hasChildren(q.Parent):
		return missing(tc.Delete, "Cannot find specified qdisc on specified device.")
	case old == nil && q.Handle == 0:
		return missing(tc.Delete, "Cannot delete qdisc with handle of zero.") // the kernel's own one
	case old == nil, q.Handle != 0 && q.Handle != old.Handle:
		return invalid("Invalid handle.")
	case q.Options != nil && q.Options.Kind() != old.Options.Kind():
		return invalid(textKind)
	}
	return w.state.Apply(tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: w.Name, Parent: q.Parent}})
}
