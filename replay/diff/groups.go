package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// rank is the order of a report's groups.
type rank int

const (
	rankSkeleton rank = iota
	rankSite
	rankNoSite
	rankLines
)

// groupTitles are those of groups that aren't of a site.
var groupTitles = map[rank]string{rankSkeleton: "Links and queues", rankNoSite: "In no site", rankLines: "Opaque lines"}

func (d Difference) rank() rank {
	switch {
	case d.Object == "line":
		return rankLines
	case len(d.Site) > 0:
		return rankSite
	case d.Object == "mapping", d.Role == bakery.RoleCircuit.String(), d.Role == bakery.RoleTC.String():
		return rankNoSite
	}
	return rankSkeleton
}

// group are the differences of a site, or of what is in none.
type group struct {
	title string
	list  []Difference
}

// groups splits the report by sites. The differences are in order.
func (r Report) groups() []group {
	var list []group
	for i, d := range r.Differences {
		if i == 0 || compareGroups(r.Differences[i-1], d) != 0 {
			list = append(list, group{title: d.group()})
		}
		g := &list[len(list)-1]
		g.list = append(g.list, d)
	}
	return list
}

// group is the title of the group that the difference belongs to.
func (d Difference) group() string {
	if t, ok := groupTitles[d.rank()]; ok {
		return t
	}
	return pathText(d.Site)
}

// section is the part of its group that a difference belongs to: a link, or the addresses.
func (d Difference) section() string {
	switch d.Object {
	case "mapping":
		return "addresses"
	case "line":
		return ""
	}
	return d.Link
}

func compareGroups(a, b Difference) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), slices.Compare(a.Site, b.Site))
}

// sort orders the differences by sites, then links, then classes, each with its leaf; addresses follow the classes.
func (r *Report) sort() {
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		mapped := func(d Difference) int {
			if d.Object == "mapping" {
				return 1
			}
			return 0
		}
		if c := cmp.Or(compareGroups(a, b), cmp.Compare(mapped(a), mapped(b))); c != 0 {
			return c
		}
		if mapped(a) == 1 {
			return 0 // as the Tree has them
		}
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.order(), b.order()), cmp.Compare(a.Object, b.Object))
	})
}

// order puts what is on a link into order: the link, its root, then class by class.
func (d Difference) order() tc.Handle {
	if d.Object == "link" || d.Class == tc.Root {
		return 0
	}
	return d.Class
}

// Totals counts differences by what happened.
type Totals struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

// String is "1 to add, 0 to change, 2 to remove".
func (t Totals) String() string {
	if t == (Totals{}) {
		return "no difference"
	}
	return fmt.Sprintf("%d to add, %d to change, %d to remove", t.Added, t.Changed, t.Removed)
}

// NetworkTotals counts the sites and circuits that differ, each once, whatever it has on how many links.
type NetworkTotals struct {
	Sites    RoleTotals `json:"sites"`
	Circuits RoleTotals `json:"circuits"`
}

// RoleTotals counts sites or circuits: one that differs in several ways counts as removed, added or moved rather than changed.
type RoleTotals struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
	Moved   int `json:"moved"`
}

func countNetwork(list []Difference) NetworkTotals {
	type owner struct {
		role string
		hash int64
		name string
	}
	changed := map[owner]string{}
	var order []owner
	for _, d := range list {
		if d.Role != bakery.RoleSite.String() && d.Role != bakery.RoleCircuit.String() {
			continue
		}
		who, change := owner{d.Role, d.Hash, ""}, "changed"
		if d.Hash == 0 {
			who.name = d.Name
		}
		if d.Object == "class" && d.Change != "replaced" {
			change = d.Change
		}
		old, known := changed[who]
		if !known {
			order = append(order, who)
		}
		if !known || old == "changed" {
			changed[who] = change
		}
	}
	var n NetworkTotals
	for _, who := range order {
		t := &n.Circuits
		if who.role == bakery.RoleSite.String() {
			t = &n.Sites
		}
		t.count(changed[who])
	}
	return n
}

func (t *RoleTotals) count(change string) {
	switch change {
	case "added":
		t.Added++
	case "removed":
		t.Removed++
	case "moved":
		t.Moved++
	default:
		t.Changed++
	}
}

// String is "sites: 1 added; circuits: 1 moved, 2 removed"; "" for none.
func (n NetworkTotals) String() string {
	var parts []string
	for _, p := range []struct {
		name string
		t    RoleTotals
	}{{"sites", n.Sites}, {"circuits", n.Circuits}} {
		var words []string
		for _, w := range []struct {
			n    int
			word string
		}{{p.t.Added, "added"}, {p.t.Changed, "changed"}, {p.t.Moved, "moved"}, {p.t.Removed, "removed"}} {
			if w.n > 0 {
				words = append(words, fmt.Sprintf("%d %s", w.n, w.word))
			}
		}
		if len(words) > 0 {
			parts = append(parts, p.name+": "+strings.Join(words, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

// summary is both totals in one line.
func (r Report) summary() string {
	text := r.Totals.String()
	if n := r.Network.String(); n != "" {
		text += " (" + n + ")"
	}
	return text
}
