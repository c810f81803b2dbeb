package report

import (
	"fmt"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/tree"
)

type structure struct {
	Links []link
	Seq   string
}

type link struct {
	Name       string
	Directions []direction
	Root       string // its root qdisc
	Queues     []*node
}

type direction struct {
	Words, Capacity            string
	Sites, Circuits            string
	Rates, Guaranteed          string
	Ceils, Oversubscribed      string
	Beyond, IsOver, HasAnybody bool
}

// node is a queue or a class.
type node struct {
	ID, Name     string
	Role         string
	Below        string // how many sites and circuits are below it
	Rate, Ceil   string
	Rates, Ceils string // how much of it is sold
	Beyond, Over bool   // more than there is: of the rate, of the ceil
	Leaf         string
	Depth        int
	Kids         []*node
	Rest         *rest
	Open         bool
}

// rest is what isn't listed below a node from the beginning.
type rest struct {
	Key   string // in data.Rest; "" where the page hasn't got it
	Depth int
	Text  string
}

// restRow is a class of it: depth, id, name, role, rate, ceil, Σ rates, Σ ceils, leaf.
type restRow [9]any

func (p *page) newTree(t *bakery.Tree) structure {
	b := treeBuilder{t: t, page: p, choice: fitting(t, p.limits.rows)}
	v := structure{Seq: fmt.Sprint(t.Seq)}
	for _, name := range t.State().Links() {
		v.Links = append(v.Links, b.link(name))
	}
	if b.collapsed > 0 {
		p.leaveOut("Of the tree %s classes are listed when a button or the filter asks for them.", thousands(b.collapsed))
	}
	if b.lost > 0 {
		p.leaveOut("%s classes of the tree aren't in this file: bakery-replay tree --all lists them.", thousands(b.lost))
	}
	return v
}

type treeBuilder struct {
	t               *bakery.Tree
	page            *page
	choice          choice
	collapsed, lost int
}

// choice is which children of a class are listed.
type choice struct {
	most   int  // that nothing is below
	parent bool // and all those that something is below; or else they count with the others
}

// fitting is the choice that lists most, and keeps the page small.
func fitting(t *bakery.Tree, rows int) choice {
	parents, leaves := 0, []int{} // leaves are counted below each parent
	for _, link := range t.State().Links() {
		for q := range t.State().Qdiscs(link) {
			if isQueue(q) {
				parents += 1 + countBelow(t, link, q.Handle, &leaves)
			}
		}
	}
	for _, most := range []int{50, 20, 10, 5, 3, 1} {
		n := parents
		for _, l := range leaves {
			if l > most+1 {
				l = most
			}
			n += l
		}
		if n <= rows {
			return choice{most, true}
		}
	}
	for _, most := range []int{20, 5, 1} {
		if c := (choice{most, false}); c.count(t) <= rows {
			return c
		}
	}
	return choice{}
}

// countBelow counts the classes below one that others are below, and notes how many there are of the others.
func countBelow(t *bakery.Tree, link string, parent tc.Handle, leaves *[]int) (parents int) {
	n := 0
	for kid := range t.State().Children(link, parent) {
		if hasChildren(t, kid) {
			parents += 1 + countBelow(t, link, kid.ID, leaves)
		} else {
			n++
		}
	}
	*leaves = append(*leaves, n)
	return parents
}

// split gives the children that are listed, and the others.
func (c choice) split(t *bakery.Tree, link string, parent tc.Handle) (listed, others []tc.Class) {
	counting := 0
	for kid := range t.State().Children(link, parent) {
		switch {
		case c.parent && hasChildren(t, kid):
			listed = append(listed, kid)
			continue
		case counting < c.most:
			listed = append(listed, kid)
		default:
			others = append(others, kid)
		}
		counting++
	}
	if len(others) == 1 && c.most > 0 { // it takes no more room than a sum
		return slices.Collect(t.State().Children(link, parent)), nil
	}
	return listed, others
}

func hasChildren(t *bakery.Tree, c tc.Class) bool {
	for range t.State().Children(c.Link, c.ID) {
		return true
	}
	return false
}

// count is how many rows a choice makes.
func (c choice) count(t *bakery.Tree) int {
	var below func(link string, parent tc.Handle) int
	below = func(link string, parent tc.Handle) int {
		n := 0
		listed, _ := c.split(t, link, parent)
		for _, kid := range listed {
			n += 1 + below(link, kid.ID)
		}
		return n
	}
	n := 0
	for _, link := range t.State().Links() {
		for q := range t.State().Qdiscs(link) {
			if isQueue(q) {
				n += 1 + below(link, q.Handle)
			}
		}
	}
	return n
}

// isQueue reports the HTB of a queue, or of the link itself.
func isQueue(q tc.Qdisc) bool { return q.Options.Kind() == "htb" }

func (b *treeBuilder) link(name string) link {
	v := link{Name: name}
	directions := tree.DirectionLoads(b.t, name)
	for _, d := range directions {
		v.Directions = append(v.Directions, direction{Words: d.Words(), Capacity: d.Capacity.String(), Sites: thousands(d.Sites), Circuits: thousands(d.Circuits),
			Rates: tree.RoundRate(d.Load.Rates), Guaranteed: tree.RatioText(d.Load.Guaranteed), Ceils: tree.RoundRate(d.Load.Ceils),
			Oversubscribed: tree.RatioText(d.Load.Oversubscribed), Beyond: d.Load.Guaranteed > 1, IsOver: d.Load.Oversubscribed > 1, HasAnybody: d.Circuits > 0})
	}
	var queues []tc.Qdisc
	for q := range b.t.State().Qdiscs(name) {
		if q.Parent == tc.Root {
			v.Root = q.Options.Kind()
		}
		if isQueue(q) {
			queues = append(queues, q)
		}
	}
	slices.SortFunc(queues, func(x, y tc.Qdisc) int { return int(x.Handle) - int(y.Handle) })
	for _, q := range queues {
		n := &node{ID: q.Handle.String(), Name: "queue", Leaf: text(q)}
		for _, d := range directions {
			if len(directions) > 1 && d.Has(q.Handle) {
				n.Name += " " + d.Words()
			}
		}
		n.load(tree.LoadOfQueue(b.t, name, q.Handle))
		n.Below = below(b.t, name, q.Handle)
		b.children(n, name, q.Handle)
		v.Queues = append(v.Queues, n)
	}
	return v
}

// text is a qdisc as tc(8) writes it.
func text(q tc.Qdisc) string {
	return strings.TrimRight(q.Options.Kind()+" "+q.Options.String(), " ")
}

func (n *node) load(l *tree.Load) {
	if l != nil {
		n.Rates, n.Ceils = tree.RatioText(l.Guaranteed), tree.RatioText(l.Oversubscribed)
		n.Beyond, n.Over = l.Guaranteed > 1, l.Oversubscribed > 1
	}
}

func (b *treeBuilder) class(c tc.Class, depth int) *node {
	note, _ := b.t.Note(c.Link, c.ID)
	name, role := label(note, c.ID)
	n := &node{ID: c.ID.String(), Name: name, Role: role, Rate: c.HTB.Rate.String(), Ceil: c.HTB.Ceil.String(), Depth: depth}
	if q, ok := b.t.State().Qdisc(c.Link, c.ID); ok {
		n.Leaf = text(q)
	}
	n.load(tree.LoadOf(b.t, c))
	n.Below = below(b.t, c.Link, c.ID)
	return n
}

// below is "2 sites, 40 circuits"; "" for none.
func below(t *bakery.Tree, link string, parent tc.Handle) string {
	counts := map[bakery.Role]int{}
	count(t, link, parent, counts)
	var words []string
	for _, r := range []bakery.Role{bakery.RoleSite, bakery.RoleCircuit} {
		switch n := counts[r]; n {
		case 0:
		case 1:
			words = append(words, "1 "+r.String())
		default:
			words = append(words, thousands(n)+" "+r.String()+"s")
		}
	}
	return strings.Join(words, ", ")
}

func count(t *bakery.Tree, link string, parent tc.Handle, counts map[bakery.Role]int) {
	for c := range t.State().Children(link, parent) {
		n, _ := t.Note(link, c.ID)
		counts[n.Role]++
		count(t, link, c.ID, counts)
	}
}

// label is a class's name, and what it is the name of.
func label(n bakery.Note, id tc.Handle) (name, role string) {
	switch {
	case n.Role != bakery.RoleSite && n.Role != bakery.RoleCircuit:
		return n.Name(id), ""
	case n.Comment != "":
		return clip(n.Comment), n.Role.String()
	}
	return fmt.Sprint(n.Hash), n.Role.String()
}

func (b *treeBuilder) children(n *node, link string, parent tc.Handle) {
	listed, others := b.choice.split(b.t, link, parent)
	for _, c := range listed {
		k := b.class(c, n.Depth+1)
		b.children(k, link, c.ID)
		n.Kids = append(n.Kids, k)
	}
	if len(others) > 0 {
		n.Rest = b.rest(others, n.Depth+1, len(listed) > 0)
	}
}

func (b *treeBuilder) rest(classes []tc.Class, depth int, more bool) *rest {
	r := &rest{Depth: depth, Text: tree.Rest(b.t, classes, more)}
	var rows []restRow
	for _, c := range classes {
		rows = b.flat(rows, c, depth)
	}
	if b.collapsed+len(rows) > b.page.limits.rest {
		b.lost += len(rows)
		return r
	}
	b.collapsed += len(rows)
	r.Key = fmt.Sprintf("r%d", len(b.page.Data.Rest))
	b.page.Data.Rest[r.Key] = rows
	return r
}

func (b *treeBuilder) flat(rows []restRow, c tc.Class, depth int) []restRow {
	n := b.class(c, depth)
	rows = append(rows, restRow{depth, n.ID, n.Name, n.Role, n.Rate, n.Ceil, n.Rates, n.Ceils, n.Leaf})
	for child := range b.t.State().Children(c.Link, c.ID) {
		rows = b.flat(rows, child, depth+1)
	}
	return rows
}
