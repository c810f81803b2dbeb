package replay

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Difference is one thing that differs between two trees.
type Difference struct {
	Change string        `json:"change"` // added, removed, changed, moved, replaced
	Object string        `json:"object"` // class, qdisc, mapping, line
	Link   string        `json:"link,omitempty"`
	ID     string        `json:"id"`             // classid, a qdisc's parent, a prefix
	Name   string        `json:"name,omitempty"` // of the site or circuit
	From   string        `json:"from,omitempty"` // as a tc line; "" for what was added
	To     string        `json:"to,omitempty"`   // as a tc line; "" for what was removed
	Fields []FieldChange `json:"fields"`
}

// FieldChange is a field that differs.
type FieldChange struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Totals counts differences by what happened.
type Totals struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

// DiffReport is what Compare found.
type DiffReport struct {
	From        string       `json:"from"` // what was compared, in words
	To          string       `json:"to"`
	Differences []Difference `json:"differences"`
	Totals      Totals       `json:"totals"`
}

// Same reports no difference.
func (r DiffReport) Same() bool { return len(r.Differences) == 0 }

// OnLink leaves out what is on other links, or on none.
func (r DiffReport) OnLink(link string) DiffReport {
	on := DiffReport{From: r.From, To: r.To, Differences: []Difference{}}
	for _, d := range r.Differences {
		if d.Link == link {
			on.add(d)
		}
	}
	return on
}

// Side is one side of a comparison.
type Side struct {
	Label string
	Tree  *bakery.Tree
}

// Compare tells what has to happen to turn from into to: kernel state, address
// mappings and opaque lines.
func Compare(from, to Side) DiffReport {
	r := DiffReport{From: from.Label, To: to.Label, Differences: []Difference{}}
	names := nameOf(from.Tree, to.Tree)
	r.states(from.Tree.State(), to.Tree.State(), names)
	r.mappings(from.Tree.Mappings, to.Tree.Mappings)
	r.opaque(lineTexts(from.Tree), lineTexts(to.Tree))
	return r
}

// nameOf names classes as the newer of two Trees does, or else the older.
func nameOf(from, to *bakery.Tree) func(link string, id tc.Handle) string {
	return func(link string, id tc.Handle) string {
		for _, t := range []*bakery.Tree{to, from} {
			if n, ok := t.Note(link, id); ok && n.Name(id) != "" {
				return n.Name(id)
			}
		}
		return ""
	}
}

func lineTexts(t *bakery.Tree) []string {
	var texts []string
	for _, o := range t.Opaque() {
		texts = append(texts, o.Text)
	}
	return texts
}

func (r *DiffReport) add(d Difference) {
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

// states adds the differences of two States.
func (r *DiffReport) states(from, to *tc.State, name func(string, tc.Handle) string) {
	for _, c := range tc.Diff(from, to) {
		r.add(newDifference(c, name))
	}
}

func newDifference(c tc.Difference, name func(string, tc.Handle) string) Difference {
	d := Difference{Change: c.Kind.String(), Object: "qdisc", Link: c.Link, From: objectLine(c.From), To: objectLine(c.To)}
	shown := c.To
	if c.Kind == tc.Removed {
		shown = c.From
	}
	var id tc.Handle
	if shown.Class != nil {
		d.Object, id = "class", shown.Class.ID
	} else {
		id = shown.Qdisc.Parent
	}
	d.ID, d.Name = id.String(), name(c.Link, id)
	for _, f := range c.Fields {
		d.Fields = append(d.Fields, FieldChange(f))
	}
	return d
}

// objectLine is the line that adds the object; "" for none.
func objectLine(o tc.Object) string {
	if o.Qdisc == nil && o.Class == nil {
		return ""
	}
	return tc.Op{Verb: tc.Add, Qdisc: o.Qdisc, Class: o.Class}.Line()
}

type mappingKey struct {
	prefix string
	upload bool
}

func (r *DiffReport) mappings(from, to iter.Seq[bakery.Mapping]) {
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
		d := Difference{Object: "mapping", ID: k.prefix, To: mappingText(m)}
		if there {
			d.From = mappingText(old)
			d.addField("tc_handle", old.Handle, m.Handle)
			d.addField("cpu", old.CPU, m.CPU)
			d.addField("circuit_id", old.CircuitID, m.CircuitID)
			d.addField("device_id", old.DeviceID, m.DeviceID)
		}
		r.add(d)
	}
	for m := range from {
		if _, gone := was[mappingKey{m.Prefix.String(), m.Upload}]; gone {
			r.add(Difference{Object: "mapping", ID: m.Prefix.String(), From: mappingText(m)})
		}
	}
}

func mappingText(m bakery.Mapping) string {
	return fmt.Sprintf("%s → %s cpu %d%s", m.Prefix, m.Handle, m.CPU, direction(m.Upload))
}

func (r *DiffReport) opaque(from, to []string) {
	for _, l := range to {
		if !slices.Contains(from, l) {
			r.add(Difference{Object: "line", ID: l, To: l})
		}
	}
	for _, l := range from {
		if !slices.Contains(to, l) {
			r.add(Difference{Object: "line", ID: l, From: l})
		}
	}
}
