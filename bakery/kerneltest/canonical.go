package kerneltest

import "lqosd/bakery/tc"

// ingressHandle is the handle of every clsact and ingress qdisc.
const ingressHandle tc.Handle = 0xFFFF0000

// alone is a State with one qdisc. Where it sits doesn't matter to its options.
func (w *wire) alone(o tc.Options) *tc.State {
	place := tc.Root
	if o.Kind() == "clsact" || o.Kind() == "ingress" {
		place = tc.Ingress
	}
	s, err := tc.NewState(w.Name, []tc.Qdisc{{Handle: tc.NewHandle(1, 0), Parent: place, Options: o}}, nil)
	if err != nil {
		panic(err) // one qdisc is always possible
	}
	return s
}

func (w *wire) only(s *tc.State) tc.Options {
	for q := range tc.Canonical(s, w.host).Qdiscs(w.Name) {
		return q.Options
	}
	return nil
}

// canonical are the options of q as the kernel reports them.
func (w *wire) canonical(q tc.Qdisc) tc.Options { return w.only(w.alone(q.Options)) }

// merged are the options after a change, as the kernel reports them; ok is false if it
// can't get there without making the qdisc anew.
func (w *wire) merged(old, q tc.Qdisc) (o tc.Options, ok bool) {
	from := w.alone(old.Options)
	to := from.Clone()
	for at := range from.Qdiscs(w.Name) {
		at.Options = q.Options
		if to.Apply(tc.Op{Verb: tc.Change, Qdisc: &at}) != nil {
			return nil, false
		}
	}
	to = tc.Canonical(to, w.host)
	for _, op := range tc.Plan(from, to) {
		if op.Verb != tc.Change {
			return nil, false
		}
	}
	return w.only(to), true
}

// canonicalClass are a class's parameters as the kernel reports them.
func (w *wire) canonicalClass(htb tc.HTB, p tc.HTBClass) tc.HTBClass {
	top, id := tc.NewHandle(1, 0), tc.NewHandle(1, 1)
	s, err := tc.NewState(w.Name, []tc.Qdisc{{Handle: top, Parent: tc.Root, Options: htb}},
		[]tc.Class{{ID: id, Parent: top, HTB: p}})
	if err != nil {
		panic(err) // an HTB with one class is always possible
	}
	c, _ := tc.Canonical(s, w.host).Class(w.Name, id)
	return c.HTB
}
