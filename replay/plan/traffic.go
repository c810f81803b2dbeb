package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"lqosd/bakery"
)

// Traffic sums up what traffic notices, each circuit by the worst that happens to it in either direction. What isn't
// a circuit is named by its class.
type Traffic struct {
	Interrupted []string `json:"interrupted"` // links: everything on them
	Absent      []Hit    `json:"absent"`      // without their class for a while; what they have queued is lost
	Queue       []Hit    `json:"queue"`       // what they have queued is lost
	New         []Hit    `json:"new"`
	Gone        []Hit    `json:"gone"`
	Unharmed    []Hit    `json:"unharmed"` // changed in place: nothing is lost
}

// Hit is a circuit, or another class that takes packets, and what happens to it.
type Hit struct {
	Name    string `json:"name"`
	Circuit bool   `json:"circuit"`
	// Steps is how long it is without a class of its own, or without its mapping: from the step with which it goes to
	// the one with which it is back, both counted.
	Steps int `json:"steps,omitempty"`
	// AtMost is what each of its queues can have, in words.
	AtMost string `json:"at_most,omitempty"`
}

// customer is what a Hit is made of: the classes of a circuit.
type customer struct {
	name    string
	circuit bool
	fates   map[string][]*fate // by link
}

func (b *planner) sumUp() {
	t := Traffic{Interrupted: []string{}, Absent: []Hit{}, Queue: []Hit{}, New: []Hit{}, Gone: []Hit{}, Unharmed: []Hit{}}
	t.Interrupted = append(t.Interrupted, b.cut...)
	list := b.customers()
	for _, c := range list {
		hit := Hit{Name: c.name, Circuit: c.circuit}
		effect := Effect("")
		for _, link := range slices.Sorted(maps.Keys(c.fates)) {
			e, steps, limit := together(c.fates[link])
			if worse(e, effect) {
				effect = e
			}
			hit.Steps = max(hit.Steps, steps)
			hit.AtMost = cmp.Or(hit.AtMost, limit)
		}
		switch effect {
		case EffectAbsent:
			t.Absent = append(t.Absent, hit)
		case EffectQueue:
			t.Queue = append(t.Queue, hit)
		case EffectNew:
			t.New = append(t.New, hit)
		case EffectGone:
			t.Gone = append(t.Gone, hit)
		case EffectNone:
			t.Unharmed = append(t.Unharmed, hit)
		}
	}
	b.plan.Traffic = t
}

// worse orders effects; "" is that nothing happens.
func worse(a, b Effect) bool {
	order := []Effect{"", EffectNone, EffectNew, EffectGone, EffectQueue, EffectAbsent}
	return slices.Index(order, a) > slices.Index(order, b)
}

// together is what becomes of somebody who has all these classes on a link. Where one goes and another comes
// he moves.
func together(fates []*fate) (e Effect, steps int, limit string) {
	first, last := never, never
	earliest := func(n int) {
		if n != never && (first == never || n < first) {
			first = n
		}
	}
	from, to := false, false
	for _, f := range fates {
		from, to = from || f.from, to || f.to
		if own := f.effect(); worse(own, e) {
			e = own
		}
		if f.from && (f.lost != never || f.queue != never) {
			limit = cmp.Or(limit, f.limit)
			earliest(f.lost)
		}
		for _, n := range f.unmapped {
			earliest(n)
		}
		for _, n := range append(f.mapped, f.made) {
			last = max(last, n)
		}
	}
	if from && to && first != never && last > first {
		return EffectAbsent, last - first + 1, limit
	}
	return e, 0, limit
}

// effect is that of what happens to one class.
func (f *fate) effect() Effect {
	switch {
	case f.from && f.lost != never && !f.to:
		return EffectGone
	case f.from && f.lost != never:
		return EffectAbsent
	case f.queue != never:
		return EffectQueue
	case !f.from && f.made != never:
		return EffectNew
	case f.changed:
		return EffectNone
	}
	return ""
}

// customers are the circuits and other classes to which something happens and that take packets, in the order of their classes.
func (b *planner) customers() []*customer {
	refs := slices.SortedFunc(maps.Keys(b.fates), func(a, b bakery.ClassRef) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.ID, b.ID))
	})
	var list []*customer
	known := map[string]*customer{}
	for _, ref := range refs {
		f := b.fates[ref]
		if f.effect() == "" || !b.takesPackets(ref, f) {
			continue
		}
		key, c := b.customerOf(ref)
		if at, there := known[key]; there {
			c = at
		} else {
			known[key] = c
			list = append(list, c)
		}
		c.fates[ref.Link] = append(c.fates[ref.Link], f)
	}
	return list
}

// takesPackets reports a class with no others below it, before or after, but for a site to which no address
// leads: nothing is sent there.
func (b *planner) takesPackets(ref bakery.ClassRef, f *fate) bool {
	n, noted := b.p.After.Note(ref.Link, ref.ID)
	if !noted {
		n, _ = b.p.Before.Note(ref.Link, ref.ID)
	}
	if n.Role == bakery.RoleSite && !b.mapped[ref] {
		return false
	}
	return f.from && !inner(b.has[ref.Link], ref.Link, ref.ID) || f.to && !inner(b.to[ref.Link], ref.Link, ref.ID)
}

// customerOf tells whose a class is; the key is the same for all classes of a circuit.
func (b *planner) customerOf(ref bakery.ClassRef) (key string, c *customer) {
	c = &customer{name: b.name(ref.Link, ref.ID), fates: map[string][]*fate{}}
	for _, t := range []*bakery.Tree{b.p.After, b.p.Before} {
		if n, ok := t.Note(ref.Link, ref.ID); ok && n.Role == bakery.RoleCircuit {
			c.circuit = true
			return fmt.Sprintf("%d %s", n.Hash, n.Comment), c
		}
	}
	at := "class " + ref.ID.String() + " on " + ref.Link
	if c.name == "" {
		c.name = at
	} else {
		c.name += ", " + at
	}
	return at, c
}
