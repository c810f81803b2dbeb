package replay

import (
	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// TreeJSON is a Tree as `bakery-replay tree --json` prints it.
type TreeJSON struct {
	Seq        eventlog.Seq        `json:"seq"`
	Generation uint64              `json:"generation"`
	Hash       string              `json:"hash"` // SHA-256 of the canonical encoding: equal trees have equal hashes
	Links      []LinkJSON          `json:"links"`
	Mappings   []bakery.Mapping    `json:"mappings"`
	Opaque     []bakery.OpaqueLine `json:"opaque"`
}

// LinkJSON is one link of it.
type LinkJSON struct {
	Link    string      `json:"link"`
	Qdiscs  []QdiscJSON `json:"qdiscs"`
	Classes []ClassJSON `json:"classes"`
}

// QdiscJSON is a qdisc; its options are words of tc(8).
type QdiscJSON struct {
	Handle  tc.Handle `json:"handle"`
	Parent  tc.Handle `json:"parent"`
	Kind    string    `json:"kind"`
	Options string    `json:"options"`
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
}

// NewTreeJSON describes t; link chooses one of its links, "" takes all.
func NewTreeJSON(t *bakery.Tree, link string) TreeJSON {
	j := TreeJSON{Seq: t.Seq, Generation: t.Generation, Hash: t.Hash(), Links: []LinkJSON{},
		Mappings: []bakery.Mapping{}, Opaque: append([]bakery.OpaqueLine{}, t.Opaque()...)}
	for _, l := range t.State().Links() {
		if link == "" || l == link {
			j.Links = append(j.Links, newLinkJSON(t, l))
		}
	}
	for m := range t.Mappings {
		j.Mappings = append(j.Mappings, m)
	}
	return j
}

func newLinkJSON(t *bakery.Tree, link string) LinkJSON {
	l := LinkJSON{Link: link, Qdiscs: []QdiscJSON{}, Classes: []ClassJSON{}}
	for q := range t.State().Qdiscs(link) {
		l.Qdiscs = append(l.Qdiscs, QdiscJSON{q.Handle, q.Parent, q.Options.Kind(), q.Options.String()})
	}
	for c := range t.State().Classes(link) {
		j := ClassJSON{ID: c.ID, Parent: c.Parent, Rate: c.HTB.Rate, Ceil: c.HTB.Ceil, Prio: c.HTB.Prio, Quantum: c.HTB.Quantum}
		if n, ok := t.Note(link, c.ID); ok {
			j.Note = &n
		}
		l.Classes = append(l.Classes, j)
	}
	return l
}
