package tree

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/listing"
)

// Write prints a Tree for people: each link's queues and classes, indented, with names,
// rates, how much of each is sold, and leaves.
func Write(w io.Writer, t *bakery.Tree, v View) error {
	p := printer{t: t, view: v, selected: v.selection(t)}
	out := bufio.NewWriter(w)
	for _, l := range t.State().Links() {
		if (v.Link == "" || l == v.Link) && p.selected.onLink(l) {
			p.link(l)
			p.rows.write(out, v.Colour)
			p.rows = nil
		}
	}
	if v.Link == "" || p.selected != nil {
		p.mappings(out)
	}
	if v.Link == "" && p.selected == nil {
		for _, o := range t.Opaque() {
			fmt.Fprintf(out, "opaque, record %d: %s\n", o.Seq, o.Text)
		}
	}
	return out.Flush()
}

type printer struct {
	t        *bakery.Tree
	view     View
	selected *selection
	rows     treeRows
}

func (p *printer) link(link string) {
	p.rows = append(p.rows, treeRow{label: link, cells: [...]string{"rate", "ceil", "Σ rates", "Σ ceils", "leaf"}, heading: true})
	s := p.t.State()
	directions := DirectionLoads(p.t, link)
	for _, d := range directions {
		p.rows.text("  %s: %s", d.Words(), d)
	}
	var queues []tc.Qdisc
	for q := range s.Qdiscs(link) {
		switch {
		case q.Parent == tc.Root || q.Parent == tc.Ingress:
			p.rows.text("  %s", qdiscText(q))
		case q.Options.Kind() == "htb" && p.selected.hasQdisc(p.t, q):
			queues = append(queues, q)
		}
	}
	slices.SortFunc(queues, func(a, b tc.Qdisc) int { return int(a.Handle) - int(b.Handle) })
	for _, q := range queues {
		p.queue(link, q, directions)
	}
}

func (p *printer) queue(link string, q tc.Qdisc, directions []DirectionLoad) {
	row := treeRow{label: fmt.Sprintf("  %s %s", q.Handle, qdiscText(q)), load: LoadOfQueue(p.t, link, q.Handle)}
	for _, d := range directions {
		if len(directions) > 1 && d.Has(q.Handle) {
			row.label += "  " + d.Words()
		}
	}
	p.rows = append(p.rows, row)
	p.children(link, q.Handle, "  ", 1, p.selected == nil)
}

// children lists the classes below parent; whole says that all of them are chosen.
func (p *printer) children(link string, parent tc.Handle, indent string, depth int, whole bool) {
	var kids []tc.Class
	for c := range p.t.State().Children(link, parent) {
		if whole || p.selected.path[bakery.ClassRef{Link: link, ID: c.ID}] {
			kids = append(kids, c)
		}
	}
	shown := len(kids)
	switch most := p.view.Most; {
	case !whole: // it leads to what is looked for
	case p.view.Depth > 0 && depth > p.view.Depth:
		shown = 0
	case most > 0 && shown > most+1: // one more takes no more room than the line that sums it up
		shown = most
	}
	for i, c := range kids[:shown] {
		branch, below := "├─ ", "│  "
		if i == len(kids)-1 {
			branch, below = "└─ ", "   "
		}
		p.class(indent+branch, c)
		p.children(link, c.ID, indent+below, depth+1, whole || p.selected.targets[bakery.ClassRef{Link: link, ID: c.ID}])
	}
	if shown < len(kids) {
		p.rows.text("%s└─ … %s", indent, Rest(p.t, kids[shown:], shown > 0))
	}
}

func (p *printer) class(branch string, c tc.Class) {
	row := treeRow{branch: branch, label: c.ID.String(), load: LoadOf(p.t, c)}
	if n, ok := p.t.Note(c.Link, c.ID); ok {
		row.label = strings.TrimRight(row.label+"  "+n.Name(c.ID), " ")
	}
	row.cells[0], row.cells[1] = c.HTB.Rate.String(), c.HTB.Ceil.String()
	if leaf, ok := p.t.State().Qdisc(c.Link, c.ID); ok {
		row.cells[4] = leaf.Handle.String() + " " + qdiscText(leaf)
	}
	p.rows = append(p.rows, row)
}

// Rest sums up classes that aren't listed: "312 more circuits, sum of ceils 4.1gbit".
func Rest(t *bakery.Tree, classes []tc.Class, more bool) string {
	var l Load
	counts := map[bakery.Role]int{}
	below := 0
	for _, c := range classes {
		l.add(c)
		n, _ := t.Note(c.Link, c.ID)
		counts[n.Role]++
		below += descendants(t, c)
	}
	var words []string
	word := ""
	if more {
		word = "more "
	}
	for _, noun := range []struct {
		one, many string
		n         int
	}{{"circuit", "circuits", counts[bakery.RoleCircuit]}, {"site", "sites", counts[bakery.RoleSite]},
		{"class", "classes", counts[bakery.RoleTC] + counts[bakery.RoleSkeleton]}} {
		if noun.n > 0 {
			words = append(words, listing.Amount(noun.n, word, noun.one, noun.many))
		}
	}
	text := strings.Join(words, ", ")
	if below > 0 {
		text += " with " + listing.Count(below, "class") + " below"
	}
	return fmt.Sprintf("%s, sum of ceils %s", text, RoundRate(l.Ceils))
}

// descendants are how many classes are below one, at any depth.
func descendants(t *bakery.Tree, c tc.Class) int {
	n := 0
	for child := range t.State().Children(c.Link, c.ID) {
		n += 1 + descendants(t, child)
	}
	return n
}

// String is the DirectionLoad without its direction: "1gbit, 12 sites, 300 circuits; …".
func (l DirectionLoad) String() string {
	text := fmt.Sprintf("%s, %s, %s", l.Capacity, listing.Count(l.Sites, "site"), listing.Count(l.Circuits, "circuit"))
	if l.Circuits == 0 {
		return text
	}
	text += fmt.Sprintf("; rates %s, %s; ceils %s, %s", RoundRate(l.Load.Rates), RatioText(l.Load.Guaranteed),
		RoundRate(l.Load.Ceils), RatioText(l.Load.Oversubscribed))
	if l.Load.Oversubscribed > 1 {
		text += " oversubscribed"
	}
	return text
}

// qdiscText is kind and options as tc(8) writes them.
func qdiscText(q tc.Qdisc) string {
	return strings.TrimRight(q.Options.Kind()+" "+q.Options.String(), " ")
}

// mappings lists the address mappings: as many as the view takes children of a class, or all.
func (p *printer) mappings(w io.Writer) {
	var list []bakery.Mapping
	for m := range p.t.Mappings {
		if p.selected.hasMapping(p.t, m) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		return
	}
	fmt.Fprintln(w, listing.Count(len(list), "address mapping"))
	shown := list
	if most := p.view.Most; most > 0 && len(list) > most+1 {
		shown = list[:most]
	}
	for _, m := range shown {
		fmt.Fprintf(w, "  %s\n", listing.Mapping(m))
	}
	if n := len(list) - len(shown); n > 0 {
		fmt.Fprintf(w, "  … %d more\n", n)
	}
}
