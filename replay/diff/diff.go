package diff

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/listing"
)

// Difference is one thing that differs between two trees.
type Difference struct {
	Change string        `json:"change"` // added, removed, changed, moved, replaced
	Object string        `json:"object"` // class, qdisc, mapping, line, link
	Link   string        `json:"link,omitempty"`
	ID     string        `json:"id"`             // classid, a qdisc's parent, a prefix
	Name   string        `json:"name,omitempty"` // of the site or circuit
	From   string        `json:"from,omitempty"` // as a tc line; "" for what was added
	To     string        `json:"to,omitempty"`   // as a tc line; "" for what was removed
	Fields []FieldChange `json:"fields"`

	// What Compare, CompareFiles and CompareKernel add.

	Role   string    `json:"role,omitempty"`   // of the class: site, circuit, skeleton, tc
	Hash   int64     `json:"hash,omitempty"`   // the client's name for the site or circuit
	Site   []string  `json:"site,omitempty"`   // the sites that it is in, from the outermost; a site is in itself
	Was    []string  `json:"was_in,omitempty"` // the sites that what has moved was in
	WasID  string    `json:"was_id,omitempty"` // the class that it had
	Upload bool      `json:"upload,omitempty"` // of a mapping
	Class  tc.Handle `json:"-"`                // that it is about
}

// FieldChange is a field that differs.
type FieldChange struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Report is what Compare found.
type Report struct {
	From        string        `json:"from"` // what was compared, in words
	To          string        `json:"to"`
	Live        bool          `json:"live"` // From is a kernel, and every difference drift
	Differences []Difference  `json:"differences"`
	Totals      Totals        `json:"totals"`
	Network     NetworkTotals `json:"network"`

	// Took is how long the comparison took, for reports of CI systems.
	Took time.Duration `json:"-"`
	// Files are what was compared with, where that were files.
	Files []ComparedFile `json:"-"`

	trees []*bakery.Tree // that were compared
}

// Same reports no difference.
func (r Report) Same() bool { return len(r.Differences) == 0 }

// OnLink leaves out what is on other links, or on none.
func (r Report) OnLink(link string) Report {
	return r.filter(func(d Difference) (Difference, bool) { return d, d.Link == link })
}

// filter makes a report of what keep keeps.
func (r Report) filter(keep func(Difference) (Difference, bool)) Report {
	all := r.Differences
	r.Differences, r.Totals, r.Network = []Difference{}, Totals{}, NetworkTotals{}
	for _, d := range all {
		if d, kept := keep(d); kept {
			r.add(d)
		}
	}
	r.Network = countNetwork(r.Differences)
	return r
}

// Side is one side of a comparison.
type Side struct {
	Label string
	Tree  *bakery.Tree
}

// Compare tells what has to happen to turn from into to: kernel state, address
// mappings and opaque lines. A site or circuit that both have is the same one whatever its class
// is, and another one that has its class now is another one.
func Compare(from, to Side) Report {
	r := Report{From: from.Label, To: to.Label, Differences: []Difference{}, trees: []*bakery.Tree{from.Tree, to.Tree}}
	p := newPairs(from.Tree, to.Tree)
	r.states(from.Tree.State(), to.Tree.State(), NameOf(from.Tree, to.Tree), p.claims)
	p.add(&r)
	was, is := treeView(from.Tree, to.Tree), treeView(to.Tree, from.Tree)
	p.addSurrounded(&r, was, is)
	r.mappings(from.Tree.Mappings, to.Tree.Mappings)
	r.opaque(LineTexts(from.Tree), LineTexts(to.Tree))
	r.place(was, is)
	return r
}

// NameOf names classes as the newer of two Trees does, or else the older.
func NameOf(from, to *bakery.Tree) func(link string, id tc.Handle) string {
	return func(link string, id tc.Handle) string {
		for _, t := range []*bakery.Tree{to, from} {
			if n, ok := t.Note(link, id); ok && n.Name(id) != "" {
				return n.Name(id)
			}
		}
		return ""
	}
}

// LineTexts are the lines of a Tree that aren't modelled.
func LineTexts(t *bakery.Tree) []string {
	var texts []string
	for _, o := range t.Opaque() {
		texts = append(texts, o.Text)
	}
	return texts
}

func (r *Report) add(d Difference) {
	switch {
	case d.From == "":
		d.Change = "added"
		r.Totals.Added++
	case d.To == "":
		d.Change = "removed"
		r.Totals.Removed++
	default:
		d.Change = cmp.Or(d.Change, "changed") // or moved, replaced
		r.Totals.Changed++
	}
	if d.Fields == nil {
		d.Fields = []FieldChange{}
	}
	r.Differences = append(r.Differences, d)
}

// states adds the differences of two States, but those at classes that are left out.
func (r *Report) states(from, to *tc.State, name func(string, tc.Handle) string, without func(bakery.ClassRef) bool) {
	for _, c := range tc.Diff(from, to) {
		d := newDifference(c, name)
		if without == nil || !without(bakery.ClassRef{Link: d.Link, ID: d.Class}) {
			r.add(d)
		}
	}
}

// CompareStates is what differs between two States, without a place; name is what classes are called.
func CompareStates(from, to *tc.State, name func(link string, id tc.Handle) string) []Difference {
	var r Report
	r.states(from, to, name, nil)
	return r.Differences
}

// CompareMappings is the same of mappings.
func CompareMappings(from, to iter.Seq[bakery.Mapping]) []Difference {
	var r Report
	r.mappings(from, to)
	return r.Differences
}

func newDifference(c tc.Difference, name func(string, tc.Handle) string) Difference {
	d := Difference{Change: c.Kind.String(), Object: "qdisc", Link: c.Link, From: ObjectLine(c.From), To: ObjectLine(c.To)}
	shown := c.To
	if c.Kind == tc.Removed {
		shown = c.From
	}
	if shown.Class != nil {
		d.Object, d.Class = "class", shown.Class.ID
	} else {
		d.Class = shown.Qdisc.Parent
	}
	d.ID, d.Name = d.Class.String(), name(c.Link, d.Class)
	for _, f := range c.Fields {
		d.Fields = append(d.Fields, FieldChange(f))
	}
	return d
}

// ObjectLine is the line that adds the object; "" for none.
func ObjectLine(o tc.Object) string {
	if o.Qdisc == nil && o.Class == nil {
		return ""
	}
	return tc.Op{Verb: tc.Add, Qdisc: o.Qdisc, Class: o.Class}.Line()
}

type mappingKey struct {
	prefix string
	upload bool
}

func (r *Report) mappings(from, to iter.Seq[bakery.Mapping]) {
	was := map[mappingKey]bakery.Mapping{}
	for m := range from {
		was[mappingKey{m.Prefix.String(), m.Upload}] = m
	}
	for m := range to {
		k := mappingKey{m.Prefix.String(), m.Upload}
		old, there := was[k]
		delete(was, k)
		if old.Generation = m.Generation; there && old == m { // mapped again is no difference
			continue
		}
		d := newMappingDifference(m)
		d.To = listing.Mapping(m)
		if there {
			d.From = listing.Mapping(old)
			d.addField("tc_handle", old.Handle, m.Handle)
			d.addField("cpu", old.CPU, m.CPU)
			d.addField("circuit_id", old.CircuitID, m.CircuitID)
			d.addField("device_id", old.DeviceID, m.DeviceID)
			if len(d.Fields) == 0 { // who owns the class has changed, or whether a batch stated it
				d.addField("circuit", old.Circuit, m.Circuit)
				d.addField("stated", old.Stated, m.Stated)
			}
		}
		r.add(d)
	}
	for m := range from {
		if _, gone := was[mappingKey{m.Prefix.String(), m.Upload}]; gone {
			d := newMappingDifference(m)
			d.From = listing.Mapping(m)
			r.add(d)
		}
	}
}

func newMappingDifference(m bakery.Mapping) Difference {
	return Difference{Object: "mapping", ID: m.Prefix.String(), Upload: m.Upload, Class: m.Handle}
}

// opaque adds the lines that one side alone has.
func (r *Report) opaque(from, to []string) {
	for _, l := range without(to, from) {
		r.add(Difference{Object: "line", ID: l, To: l})
	}
	for _, l := range without(from, to) {
		r.add(Difference{Object: "line", ID: l, From: l})
	}
}

func without(list, others []string) []string {
	there := map[string]bool{}
	for _, l := range others {
		there[l] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(l string) bool { return there[l] })
}
