package tree

import (
	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// JSON is a Tree as `bakery-replay tree --json` prints it.
type JSON struct {
	Seq        eventlog.Seq        `json:"seq"`
	Generation uint64              `json:"generation"`
	Hash       string              `json:"hash"` // SHA-256 of the canonical encoding: equal trees have equal hashes
	Links      []LinkJSON          `json:"links"`
	Mappings   []bakery.Mapping    `json:"mappings"`
	Opaque     []bakery.OpaqueLine `json:"opaque"`
}

// LinkJSON is one link of it.
type LinkJSON struct {
	Link string `json:"link"`
	// Directions are what it carries, by the last setup: one, two on a stick, none without a setup.
	Directions []DirectionLoad `json:"directions"`
	Qdiscs     []QdiscJSON     `json:"qdiscs"`
	Classes    []ClassJSON     `json:"classes"`
}

// QdiscJSON is a qdisc; its options are words of tc(8).
type QdiscJSON struct {
	Handle  tc.Handle `json:"handle"`
	Parent  tc.Handle `json:"parent"`
	Kind    string    `json:"kind"`
	Options string    `json:"options"`
	Load    *Load     `json:"load,omitempty"` // of a queue's HTB: LoadOfQueue
}

// ClassJSON is an HTB class; rates are in bits per second.
type ClassJSON struct {
	ID      tc.Handle    `json:"classid"`
	Parent  tc.Handle    `json:"parent"`
	Rate    tc.Rate      `json:"rate_bps"`
	Ceil    tc.Rate      `json:"ceil_bps"`
	Prio    uint32       `json:"prio"`
	Quantum uint32       `json:"quantum"`
	Note    *bakery.Note `json:"note,omitempty"`
	Load    *Load        `json:"load,omitempty"` // of a class that has others below it: LoadOf
}

// NewJSON describes what a view chooses of t; Most and Depth leave nothing out here.
func NewJSON(t *bakery.Tree, v View) JSON {
	j := JSON{Seq: t.Seq, Generation: t.Generation, Hash: t.Hash(), Links: []LinkJSON{},
		Mappings: []bakery.Mapping{}, Opaque: append([]bakery.OpaqueLine{}, t.Opaque()...)}
	selected := v.selection(t)
	for _, l := range t.State().Links() {
		if (v.Link == "" || l == v.Link) && selected.onLink(l) {
			j.Links = append(j.Links, newLinkJSON(t, l, selected))
		}
	}
	for m := range t.Mappings {
		if selected.hasMapping(t, m) {
			j.Mappings = append(j.Mappings, m)
		}
	}
	return j
}

func newLinkJSON(t *bakery.Tree, link string, selected *selection) LinkJSON {
	l := LinkJSON{Link: link, Directions: append([]DirectionLoad{}, DirectionLoads(t, link)...), Qdiscs: []QdiscJSON{}, Classes: []ClassJSON{}}
	for q := range t.State().Qdiscs(link) {
		if selected.hasQdisc(t, q) {
			l.Qdiscs = append(l.Qdiscs, QdiscJSON{q.Handle, q.Parent, q.Options.Kind(), q.Options.String(), LoadOfQueue(t, link, q.Handle)})
		}
	}
	for c := range t.State().Classes(link) {
		if !selected.has(t, c) {
			continue
		}
		j := ClassJSON{ID: c.ID, Parent: c.Parent, Rate: c.HTB.Rate, Ceil: c.HTB.Ceil, Prio: c.HTB.Prio, Quantum: c.HTB.Quantum, Load: LoadOf(t, c)}
		if n, ok := t.Note(link, c.ID); ok {
			j.Note = &n
		}
		l.Classes = append(l.Classes, j)
	}
	return l
}
