package diff

import (
	"cmp"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// pairs tell which classes of two Trees are the same site or circuit, where their handles don't:
// a client numbers its network anew when something moves.
type pairs struct {
	from, to *bakery.Tree
	moved    map[bakery.ClassRef]tc.Handle // from's class: the handle that it has in to
	arrived  map[bakery.ClassRef]bool      // to's classes of those
	claimed  map[bakery.ClassRef]bool      // classes that aren't the same one on both sides
	resited  bool                          // one of claimed is a site on both sides
}

// identity is who a class is.
type identity struct {
	link   string
	upload bool // on a stick, where both directions share the link
	role   bakery.Role
	hash   int64
}

func identityOf(t *bakery.Tree, at bakery.ClassRef, n bakery.Note) (identity, bool) {
	named := (n.Role == bakery.RoleSite || n.Role == bakery.RoleCircuit) && n.Hash != 0
	if _, there := t.State().Class(at.Link, at.ID); !named || !there {
		return identity{}, false
	}
	up := t.Setup != nil && t.Setup.Stick() && at.ID.Major() >= t.Setup.Up.FirstMajor
	return identity{at.Link, up, n.Role, n.Hash}, true
}

// identities finds the class of each; 0 where several have one.
func identities(t *bakery.Tree) map[identity]tc.Handle {
	list := map[identity]tc.Handle{}
	for at, n := range t.Notes {
		if who, ok := identityOf(t, at, n); ok {
			id := at.ID
			if _, another := list[who]; another {
				id = 0
			}
			list[who] = id
		}
	}
	return list
}

func newPairs(from, to *bakery.Tree) *pairs {
	p := &pairs{from: from, to: to, moved: map[bakery.ClassRef]tc.Handle{}, arrived: map[bakery.ClassRef]bool{}, claimed: map[bakery.ClassRef]bool{}}
	now := identities(to)
	for who, was := range identities(from) {
		id, there := now[who]
		if !there || was == 0 || id == 0 || was == id {
			continue
		}
		a, b := bakery.ClassRef{Link: who.link, ID: was}, bakery.ClassRef{Link: who.link, ID: id}
		p.moved[a] = id
		p.arrived[b], p.claimed[a], p.claimed[b] = true, true, true
	}
	for at, n := range from.Notes {
		was, named := identityOf(from, at, n)
		if !named {
			continue
		}
		m, _ := to.Note(at.Link, at.ID)
		if is, named := identityOf(to, at, m); named && is != was {
			p.claimed[at] = true
			p.resited = p.resited || was.role == bakery.RoleSite && is.role == bakery.RoleSite
		}
	}
	return p
}

// claims reports a class that add looks after.
func (p *pairs) claims(at bakery.ClassRef) bool { return p.claimed[at] }

// add adds the differences at the classes that the pairs claim.
func (p *pairs) add(r *Report) {
	list := make([]bakery.ClassRef, 0, len(p.claimed))
	for at := range p.claimed {
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b bakery.ClassRef) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.ID, b.ID))
	})
	for _, at := range list {
		if id, moved := p.moved[at]; moved {
			p.addMoved(r, at, id)
		} else if class, there := p.from.State().Class(at.Link, at.ID); there {
			p.addOne(r, p.from, class, tc.Removed)
		}
		if class, there := p.to.State().Class(at.Link, at.ID); there && !p.arrived[at] {
			p.addOne(r, p.to, class, tc.Added)
		}
	}
}

// addSurrounded adds what stays where it is while another site takes the place of the one around it: the
// kernel keeps its class as it is, and it is in another site.
func (p *pairs) addSurrounded(r *Report, from, to *view) {
	if !p.resited {
		return
	}
	told := map[bakery.ClassRef]bool{}
	for _, d := range r.Differences {
		if d.Object == "class" {
			told[bakery.ClassRef{Link: d.Link, ID: d.Class}] = true
		}
	}
	for at, n := range p.from.Notes {
		was, named := identityOf(p.from, at, n)
		if !named || p.claimed[at] || told[at] {
			continue
		}
		m, _ := p.to.Note(at.Link, at.ID)
		if is, _ := identityOf(p.to, at, m); is != was || from.siteOf(at.Link, at.ID) == to.siteOf(at.Link, at.ID) {
			continue
		}
		a, _ := p.from.State().Class(at.Link, at.ID)
		b, _ := p.to.State().Class(at.Link, at.ID)
		r.add(newDifference(tc.Difference{Kind: tc.Changed, Link: at.Link, From: tc.Object{Class: &a}, To: tc.Object{Class: &b}}, NameOf(p.from, p.to)))
	}
}

// addOne adds a class that is gone, or new, with its leaf.
func (p *pairs) addOne(r *Report, t *bakery.Tree, class tc.Class, kind tc.DifferenceKind) {
	objects := []tc.Object{{Class: &class}}
	if leaf, ok := t.State().Qdisc(class.Link, class.ID); ok {
		objects = append(objects, tc.Object{Qdisc: &leaf})
	}
	for _, o := range objects {
		d := tc.Difference{Kind: kind, Link: class.Link, To: o}
		if kind == tc.Removed {
			d.From, d.To = o, tc.Object{}
		}
		r.add(newDifference(d, NameOf(t, t)))
	}
}

// addMoved adds what differs between a class and what it is now, under another handle.
func (p *pairs) addMoved(r *Report, at bakery.ClassRef, id tc.Handle) {
	was, _ := p.from.State().Class(at.Link, at.ID)
	is, _ := p.to.State().Class(at.Link, id)
	fields := []tc.FieldChange{{Name: "class", From: was.ID.String(), To: is.ID.String()}}
	if was.Parent != is.Parent {
		fields = append(fields, tc.FieldChange{Name: "parent", From: was.Parent.String(), To: is.Parent.String()})
	}
	inner := hasChildren(p.from, at.Link, at.ID) && hasChildren(p.to, at.Link, id)
	fields = append(fields, tc.ClassFields(was, is, inner)...)
	add := func(c tc.Difference) {
		c.Link = at.Link
		d := newDifference(c, NameOf(p.to, p.to))
		if c.From.Class != nil || c.From.Qdisc != nil {
			d.WasID = at.ID.String()
		}
		r.add(d)
	}
	add(tc.Difference{Kind: tc.Changed, From: tc.Object{Class: &was}, To: tc.Object{Class: &is}, Fields: fields})
	oldLeaf, had := p.from.State().Qdisc(at.Link, at.ID)
	leaf, has := p.to.State().Qdisc(at.Link, id)
	switch {
	case had && has:
		fields := tc.QdiscFields(oldLeaf, leaf)
		if len(fields) == 0 {
			return // it moves with its class
		}
		kind := tc.Changed
		if oldLeaf.Options.Kind() != leaf.Options.Kind() {
			kind = tc.Replaced
		}
		add(tc.Difference{Kind: kind, From: tc.Object{Qdisc: &oldLeaf}, To: tc.Object{Qdisc: &leaf}, Fields: fields})
	case had:
		add(tc.Difference{Kind: tc.Removed, From: tc.Object{Qdisc: &oldLeaf}})
	case has:
		add(tc.Difference{Kind: tc.Added, To: tc.Object{Qdisc: &leaf}})
	}
}

func hasChildren(t *bakery.Tree, link string, id tc.Handle) bool {
	for range t.State().Children(link, id) {
		return true
	}
	return false
}
