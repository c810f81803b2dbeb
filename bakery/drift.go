package bakery

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"lqosd/bakery/tc"
)

// DriftPolicy says what becomes of a difference that no record explains.
type DriftPolicy uint8

// The policies.
const (
	DriftRepair DriftPolicy = iota
	DriftReport
)

// Drift is a difference between what the applied records made of a link or of the dataplane
// and what it has. Who made it can't be known.
type Drift struct {
	Seen   time.Time    `json:"seen"`
	Link   string       `json:"link"`
	Change string       `json:"change"`         // added, removed, changed, moved, replaced; gone and back of a link
	Object string       `json:"object"`         // "class 1:5", "qdisc 8001: at 1:5", "link eth0", "mapping"
	Name   string       `json:"name,omitempty"` // of the site or circuit
	Text   string       `json:"text"`           // all of it in a sentence
	Inside int          `json:"inside"`         // further differences of what sits in the object
	Fate   Fate         `json:"fate"`
	Fields []DriftField `json:"fields"`
	Ended  *time.Time   `json:"ended"` // when it was repaired, or had gone by itself

	at key
}

// DriftField is an option that differs, in tc(8)'s words.
type DriftField struct {
	Name   string `json:"name"`
	Wanted string `json:"wanted"`
	Has    string `json:"has"`
}

// Fate is what became of a Drift.
type Fate string

// The fates.
const (
	FateOpen     Fate = "open"     // it is there; with DriftRepair it is about to be repaired
	FateRepaired Fate = "repaired" // undone by us
	FateGone     Fate = "gone"     // undone by somebody else, or explained by a later record
	FateKept     Fate = "kept"     // harmless: a leaf of the same kind and options under another handle
)

// maxDrift is how many entries of the past are kept, and how many open ones are listed.
const maxDrift = 200

// driftBook keeps what drifted. One goroutine uses it.
type driftBook struct {
	past  []Drift       // ended, oldest first
	open  map[key]Drift // by object
	total uint64        // since the start
}

// key names an object of a link, or what else can be wrong with it.
type key struct {
	link  string
	class bool
	at    tc.Handle // the class's id, the qdisc's parent
	text  string    // not an object: what it is about
}

func keyOf(link string, o tc.Object) key {
	if o.Class != nil {
		return key{link: link, class: true, at: o.Class.ID}
	}
	return key{link: link, at: o.Qdisc.Parent}
}

// ofLink is the key of a qdisc or class of a link that is known, in few bytes: of a link that is built there are tens of thousands.
type ofLink uint64

const classBit ofLink = 1 << 32

func (k key) ofLink() ofLink {
	if k.class {
		return classBit | ofLink(k.at)
	}
	return ofLink(k.at)
}

func (o ofLink) key(link string) key {
	return key{link: link, class: o&classBit != 0, at: tc.Handle(o &^ classBit)}
}

// object reports a key of a qdisc or class.
func (k key) object() bool { return k.text == "" }

// see takes up what differs on a link at a moment, and gives what is new of it. What was
// open and isn't among it has gone, unless still says that it is there.
func (b *driftBook) see(link string, now time.Time, seen []Drift, still func(key) bool) (fresh []Drift) {
	if b.open == nil {
		b.open = map[key]Drift{}
	}
	there := map[key]bool{}
	for _, d := range seen {
		there[d.at] = true
		if old, known := b.open[d.at]; known {
			if old.Text == d.Text && old.Inside == d.Inside {
				continue
			}
			d.Seen = old.Seen
		}
		b.total++
		fresh = append(fresh, d)
		b.open[d.at] = d
	}
	b.end(link, now, FateGone, func(k key) bool { return !there[k] && !still(k) })
	return fresh
}

// end closes the open entries of a link that match, and counts them.
func (b *driftBook) end(link string, now time.Time, fate Fate, match func(key) bool) (n int) {
	for k, d := range b.open {
		if k.link == link && match(k) {
			delete(b.open, k)
			d.Fate, d.Ended = fate, &now
			b.keep(d)
			n++
		}
	}
	return n
}

// note takes up something that is over already.
func (b *driftBook) note(d Drift) {
	b.total++
	b.keep(d)
}

func (b *driftBook) keep(d Drift) {
	if len(b.past) >= maxDrift {
		b.past = append(b.past[:0], b.past[len(b.past)-maxDrift+1:]...)
	}
	b.past = append(b.past, d)
}

// list is what is open, at most maxDrift, and the past, oldest first.
func (b *driftBook) list() []Drift {
	byTime := func(a, b Drift) int {
		return cmp.Or(a.Seen.Compare(b.Seen), cmp.Compare(a.Link, b.Link), cmp.Compare(a.at.at, b.at.at), cmp.Compare(a.at.text, b.at.text))
	}
	open := slices.SortedFunc(maps.Values(b.open), byTime)
	all := append(open[:min(len(open), maxDrift)], b.past...)
	slices.SortStableFunc(all, byTime)
	return all
}
