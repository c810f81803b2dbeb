package tc

// Canonical is s in the form in which wanted and observed are compared and
// written: what tc(8) and the kernel fill in is filled in, what they round is
// rounded. Rates are whole bytes per second, a ceil that was not given is the
// rate, bursts are the fewest bytes of the same duration as tc(8) would send, a
// quantum that was not given is the kernel's, and the options of qdiscs have
// their kind's defaults. Each source is named at the canonical method of its type.
//
// Canonical changes nothing the second time. The result shares with s what did
// not change.
func Canonical(s *State, h Host) *State {
	c := s.Clone()
	for _, l := range c.links.All() {
		l.canonicalClasses(h)
		l.canonicalQdiscs(h)
		l.trail = newTrail()
	}
	return c
}

func (l *link) canonicalQdiscs(h Host) {
	var changed []*Qdisc
	l.qdiscs.Scan(func(_ Handle, q *Qdisc) bool {
		if o := q.Options.canonical(h, l.name); o != q.Options {
			changed = append(room(changed, l.qdiscs.Len()), &Qdisc{Link: q.Link, Handle: q.Handle, Parent: q.Parent, Options: o})
		}
		return true
	})
	for _, q := range changed {
		l.qdiscs.Set(q.Parent, q)
	}
}

func (l *link) canonicalClasses(h Host) {
	var changed []*Class
	l.classes.Scan(func(id Handle, c *Class) bool {
		htb := l.qdiscByMajor(id.Major()).Options.(HTB)
		if p := c.HTB.canonical(h, htb.R2Q); p != c.HTB {
			changed = append(room(changed, l.classes.Len()), &Class{Link: c.Link, ID: id, Parent: c.Parent, HTB: p})
		}
		return true
	})
	for _, c := range changed {
		l.classes.Set(c.ID, c)
	}
}

// room makes a list that is empty one that can take all of n: where one object changes most do.
func room[T any](list []T, n int) []T {
	if list == nil {
		return make([]T, 0, n)
	}
	return list
}
