package report

import (
	"cmp"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/diff"
)

type comparison struct {
	From, To string
	Totals   diff.Totals
	Same     bool
	Groups   []group
}

// group is what differs at one site, or at none.
type group struct {
	Name   string
	Totals diff.Totals
	Lines  []line
	More   int
	Open   bool
	order  int
}

// newDiff groups a comparison by sites, which the trees before and after it tell.
func (p *page) newDiff(r diff.Report, before, after *bakery.Tree) comparison {
	d := comparison{From: r.From, To: r.To, Totals: r.Totals, Same: r.Same()}
	at := map[string]*group{}
	for _, one := range r.Differences {
		name, order := placeOf(one, after)
		if order == nowhere {
			name, order = placeOf(one, before)
		}
		g := at[name]
		if g == nil {
			g = &group{Name: name, order: order}
			at[name] = g
		}
		g.add(one)
	}
	left, all := p.limits.lines, 0
	for _, name := range slices.SortedFunc(keys(at), func(a, b string) int {
		return cmp.Or(cmp.Compare(at[a].order, at[b].order), cmp.Compare(a, b))
	}) {
		g := at[name]
		all += len(g.Lines)
		slices.SortStableFunc(g.Lines, compareLines)
		if n := min(left, p.limits.group); len(g.Lines) > n {
			g.More = len(g.Lines) - n
			g.Lines = g.Lines[:n]
		}
		left -= len(g.Lines)
		g.Open = len(at) <= 3
		d.Groups = append(d.Groups, *g)
	}
	if shown := p.limits.lines - left; shown < all {
		p.leaveOut("Of %s differences between %s and %s %s are listed: bakery-replay diff lists all.", thousands(all), r.From, r.To, thousands(shown))
	}
	return d
}

// siteName is what people call a site.
func siteName(n bakery.Note, id tc.Handle) string {
	if n.Comment != "" {
		return n.Comment
	}
	return n.Name(id)
}

// compareLines puts what belongs to one class together, the class before its leaf.
func compareLines(a, b line) int {
	x, _ := tc.ParseHandle(a.ID)
	y, _ := tc.ParseHandle(b.ID)
	return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(x, y), cmp.Compare(a.Object, b.Object))
}

func keys(m map[string]*group) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (g *group) add(d diff.Difference) {
	l := newLine(d)
	switch l.Class {
	case "added":
		g.Totals.Added++
	case "removed":
		g.Totals.Removed++
	default:
		g.Totals.Changed++
	}
	g.Lines = append(g.Lines, l)
}

// The order of groups.
const (
	atSite = iota
	atQueue
	ofAddresses
	ofLines
	nowhere
)

// rootMajor is that of the mq that a setup makes: 7fff:2 is the place of the second queue's HTB.
const rootMajor = 0x7fff

// placeOf is where a difference belongs: its site, the queue, or what it is.
func placeOf(d diff.Difference, t *bakery.Tree) (name string, order int) {
	switch d.Object {
	case "mapping":
		return "Addresses", ofAddresses
	case "line":
		return "Lines of tc", ofLines
	case "link":
		return "Links", atQueue
	}
	id, err := tc.ParseHandle(d.ID)
	if err != nil {
		return "Links and queues", atQueue // the root
	}
	c, ok := t.State().Class(d.Link, id)
	if !ok {
		if d.Object == "qdisc" && id.Major() == rootMajor {
			return "Links and queues", atQueue
		}
		return "Elsewhere", nowhere
	}
	for ok {
		n, _ := t.Note(c.Link, c.ID)
		switch n.Role {
		case bakery.RoleSite:
			return clip(siteName(n, c.ID)), atSite
		case bakery.RoleSkeleton:
			return "Links and queues", atQueue
		}
		c, ok = t.State().Class(c.Link, c.Parent)
	}
	return "Without a site", atQueue
}
