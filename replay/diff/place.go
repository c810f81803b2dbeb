package diff

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// view is a side of a comparison, as people see it: where each class is, and who it is.
type view struct {
	states map[string]*tc.State // by link
	names  []*bakery.Tree       // the first that knows a class names it
	paths  map[bakery.ClassRef][]string
	sites  map[int64]string // by hash, where any side has a name for one; nil: not looked for yet
}

func newView(states map[string]*tc.State, names ...*bakery.Tree) *view {
	return &view{states: states, names: names, paths: map[bakery.ClassRef][]string{}}
}

func treeView(t, other *bakery.Tree) *view { return newView(byLink(t.State()), t, other) }

func byLink(s *tc.State) map[string]*tc.State {
	states := map[string]*tc.State{}
	for _, link := range s.Links() {
		states[link] = s
	}
	return states
}

func (v *view) class(link string, id tc.Handle) (tc.Class, bool) {
	s, there := v.states[link]
	if !there {
		return tc.Class{}, false
	}
	return s.Class(link, id)
}

func (v *view) note(link string, id tc.Handle) bakery.Note {
	for _, t := range v.names {
		if n, ok := t.Note(link, id); ok {
			return n
		}
	}
	return bakery.Note{}
}

// path names the sites that a class is in, from the outermost, and itself if it is one.
func (v *view) path(link string, id tc.Handle) []string {
	at := bakery.ClassRef{Link: link, ID: id}
	if p, known := v.paths[at]; known {
		return p
	}
	v.paths[at] = nil // where classes go round in a circle
	var path []string
	class, there := v.class(link, id)
	if there && class.Parent.Minor() != 0 {
		path = v.path(link, class.Parent)
	}
	if n := v.note(link, id); n.Role == bakery.RoleSite {
		path = append(slices.Clone(path), v.siteName(n, id))
	}
	v.paths[at] = path
	return path
}

// above is path without the class itself.
func (v *view) above(link string, id tc.Handle) []string {
	class, there := v.class(link, id)
	if !there || class.Parent.Minor() == 0 {
		return nil
	}
	return v.path(link, class.Parent)
}

// siteName is the name that people gave a site, or else what listings call it. A site has a name
// only where a circuit says it; so the other side may know it.
func (v *view) siteName(n bakery.Note, id tc.Handle) string {
	if n.Comment == "" && n.Hash != 0 {
		n.Comment = v.namedSites()[n.Hash]
	}
	return siteName(n, id)
}

func siteName(n bakery.Note, id tc.Handle) string {
	if n.Comment == "" {
		return n.Name(id)
	}
	return printable(n.Comment)
}

func (v *view) namedSites() map[int64]string {
	if v.sites == nil {
		v.sites = map[int64]string{}
		for _, t := range slices.Backward(v.names) {
			for _, n := range t.Notes {
				if n.Role == bakery.RoleSite && n.Comment != "" {
					v.sites[n.Hash] = n.Comment
				}
			}
		}
	}
	return v.sites
}

// printable is text without what would spoil a line: control characters are written as in Go.
func printable(s string) string {
	q := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(q[1 : len(q)-1])
}

// place tells of each difference in which sites it is and whose, and puts them in order.
func (r *Report) place(from, to *view) {
	for i := range r.Differences {
		d := &r.Differences[i]
		switch d.Object {
		case "class", "qdisc":
			d.placeClass(from, to)
		case "mapping":
			d.placeMapping(from, to)
		}
	}
	r.sort()
	r.Network = countNetwork(r.Differences)
}

func (d *Difference) placeClass(from, to *view) {
	v := to
	if d.To == "" {
		v = from
	}
	n := v.note(d.Link, d.Class)
	d.Site = v.path(d.Link, d.Class)
	if d.Name == "" {
		d.Name = n.Name(d.Class)
	}
	if v.has(d.Link, d.Class) {
		d.Role, d.Hash = n.Role.String(), n.Hash
	}
	if d.Object != "class" || d.From == "" || d.To == "" {
		return
	}
	was := d.Class
	if d.WasID != "" {
		was, _ = tc.ParseHandle(d.WasID)
	}
	switch before, now := from.siteOf(d.Link, was), to.siteOf(d.Link, d.Class); {
	case before != now:
		d.Change, d.Was = "moved", from.path(d.Link, was)
		d.Fields = slices.Insert(d.Fields, 0, FieldChange{"site", pathText(from.above(d.Link, was)), pathText(to.above(d.Link, d.Class))})
	case d.Change == "moved" && before.next && now.next:
		d.Change = "changed" // it is its site that has another handle
	}
}

// nearestSite is who the site is that a class is in; zero where it is in none.
type nearestSite struct {
	hash int64
	id   tc.Handle // where there is no hash
	next bool      // the class is directly below
}

// siteOf is the site around a class. HTB's classes lie no deeper than deepest.
func (v *view) siteOf(link string, id tc.Handle) nearestSite {
	const deepest = 8
	for depth := range deepest {
		class, there := v.class(link, id)
		if !there {
			break
		}
		if id = class.Parent; id.Minor() == 0 {
			break
		}
		switch n := v.note(link, id); {
		case n.Role != bakery.RoleSite:
		case n.Hash != 0:
			return nearestSite{hash: n.Hash, next: depth == 0}
		default:
			return nearestSite{id: id, next: depth == 0}
		}
	}
	return nearestSite{}
}

// pathText is the names of sites in one line; "" for none.
func pathText(path []string) string { return strings.Join(path, " › ") }

func (d *Difference) placeMapping(from, to *view) {
	v, other, was := to, from, d.Class
	if d.To == "" {
		v, other = from, to
	}
	for _, f := range d.Fields {
		if f.Name == "tc_handle" {
			was, _ = tc.ParseHandle(f.From)
		}
	}
	link, n := v.steered(d.Link, d.Upload, d.Class)
	d.Site, d.Name = v.path(link, d.Class), n.Name(d.Class)
	if n.Role == bakery.RoleCircuit || n.Role == bakery.RoleSite {
		d.Role, d.Hash = n.Role.String(), n.Hash
	}
	if d.From == "" || d.To == "" || d.Link != "" {
		return // the maps of a kernel know no names
	}
	_, before := other.steered(d.Link, d.Upload, was)
	if old := before.Name(was); old != d.Name {
		d.Fields = slices.DeleteFunc(d.Fields, func(f FieldChange) bool { return f.Name == "circuit" })
		d.Fields = slices.Insert(d.Fields, 0, FieldChange{"owner", old, d.Name})
	}
}

// steered is the link and the note of the class that a mapping steers to; link is "" where the mapping doesn't say.
func (v *view) steered(link string, upload bool, class tc.Handle) (string, bakery.Note) {
	if link == "" {
		link = v.linkOf(upload, class)
	}
	return link, v.note(link, class)
}

// linkOf is the link of the class that a mapping steers to.
func (v *view) linkOf(upload bool, class tc.Handle) string {
	if t := v.names[0]; t.Setup != nil {
		if link := t.Setup.Roles().Link(upload); v.has(link, class) {
			return link
		}
	}
	for _, link := range slices.Sorted(maps.Keys(v.states)) {
		if v.has(link, class) {
			return link
		}
	}
	return ""
}

func (v *view) has(link string, id tc.Handle) bool {
	_, there := v.class(link, id)
	return there
}
