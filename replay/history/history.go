package history

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/listing"
)

// History is all that happened to a Target.
type History struct {
	Target   string   `json:"target"`
	Entries  []Entry  `json:"entries"`  // the records that changed it, with Changes
	Restated int      `json:"restated"` // refreshes, and records beside them, that said again what was there
	Now      []Object `json:"now"`      // what is left of it at the end
}

// Object is something of the Target's that is there, and the record that it comes from.
type Object struct {
	Object string       `json:"object"` // class, qdisc, mapping
	Link   string       `json:"link,omitempty"`
	Line   string       `json:"line"`
	Seq    eventlog.Seq `json:"seq,omitempty"` // 0 where that isn't known
}

// refreshTime is how long a class may be gone after a reset and come back unchanged as if nothing
// had been: for so long the daemon lets a refresh settle before it touches the kernel (settle_max_ms).
const refreshTime = 10 * time.Second

// Of collects what the records from..to, both included, made of a Target; from 0 is the
// oldest that is left. What a refresh takes away and sets again in one go counts as what differs
// in the end, at the record that set it.
func Of(ctx context.Context, s *replay.Source, g replay.Target, from, to eventlog.Seq) (History, error) {
	t, err := s.Tree(ctx, max(from, s.First())-1)
	if err != nil {
		return History{}, err
	}
	h := historian{k: newTracker(g, t), t: t, limbo: map[bakery.ClassRef]*absence{}, entries: map[eventlog.Seq]*Entry{}}
	err = s.Walk(ctx, t, to, nil, func(r bakery.Record) error {
		h.see(r)
		return nil
	})
	if err != nil {
		return History{}, err
	}
	h.settleAll(func(*absence) bool { return true })
	out := History{Target: g.String(), Entries: []Entry{}, Restated: h.restated, Now: h.now()}
	for _, seq := range slices.Sorted(maps.Keys(h.entries)) {
		if e := h.entries[seq]; len(e.Changes) > 0 {
			out.Entries = append(out.Entries, *e)
		}
	}
	return out, nil
}

// historian writes a History.
type historian struct {
	k        *tracker
	t        *bakery.Tree
	limbo    map[bakery.ClassRef]*absence
	entries  map[eventlog.Seq]*Entry
	restated int
}

// absence is a class that a reset took away, and that may come back.
type absence struct {
	was  *tc.State
	gone bakery.Record
	back map[eventlog.Seq]bakery.Record // those that set something of it since
}

// see takes in a record, after which the Tree is h.t.
func (h *historian) see(r bakery.Record) {
	h.settleAll(func(a *absence) bool { return r.Time.Sub(a.gone.Time) > refreshTime })
	reset := h.t.Generation != h.k.generation
	c := h.k.look(h.t, r.Command)
	if c.isNone() {
		h.k.follow(h.t, c)
		return
	}
	was, mapped := maps.Clone(h.k.classes), h.k.mapped
	h.k.follow(h.t, c)
	changed := false
	for _, at := range c.classes {
		now := h.k.classes[at]
		if reset && now == nil && was[at] != nil && h.limbo[at] == nil {
			h.limbo[at] = &absence{was: was[at], gone: r, back: map[eventlog.Seq]bakery.Record{}}
			changed = true
			continue
		}
		if a := h.limbo[at]; a != nil {
			changed = true
			if a.back[r.Seq] = r; now != nil && whole(now, a.was, at) {
				h.settle(at)
			}
			continue
		}
		changed = h.add(r, was[at], now) || changed
	}
	if !maps.Equal(mapped, h.k.mapped) {
		changed = h.note(r, diff.CompareMappings(inOrder(mapped), inOrder(h.k.mapped))) || changed
	}
	if !changed {
		h.restated++
	}
}

// whole reports a class that has a leaf, if it had one.
func whole(now, was *tc.State, at bakery.ClassRef) bool {
	_, had := was.Qdisc(at.Link, at.ID)
	_, has := now.Qdisc(at.Link, at.ID)
	return has || !had
}

// settleAll ends those absences that are due.
func (h *historian) settleAll(due func(*absence) bool) {
	for _, at := range sortedRefs(maps.Keys(h.limbo)) {
		if due(h.limbo[at]) {
			h.settle(at)
		}
	}
}

// settle ends an absence: with what is there now, or as a removal.
func (h *historian) settle(at bakery.ClassRef) {
	a := h.limbo[at]
	delete(h.limbo, at)
	now := h.k.classes[at]
	if now == nil {
		h.add(a.gone, a.was, nil)
		return
	}
	list := h.differences(a.was, now)
	if len(list) == 0 {
		h.restated++
	}
	n, _ := h.t.Note(at.Link, at.ID)
	for _, d := range list {
		seq := n.Seq
		if d.Object == "qdisc" {
			seq = n.LeafSeq
		}
		by, ok := a.back[seq]
		if !ok || d.Change == "removed" {
			by = a.gone
		}
		h.note(by, []diff.Difference{d})
	}
}

// add notes what a record made of a class: nil is none.
func (h *historian) add(r bakery.Record, was, now *tc.State) bool {
	return h.note(r, h.differences(was, now))
}

func (h *historian) differences(was, now *tc.State) []diff.Difference {
	return diff.CompareStates(orEmpty(was), orEmpty(now), h.k.name)
}

func orEmpty(s *tc.State) *tc.State {
	if s == nil {
		return &tc.State{}
	}
	return s
}

func (h *historian) note(r bakery.Record, list []diff.Difference) bool {
	if len(list) == 0 {
		return false
	}
	e := h.entries[r.Seq]
	if e == nil {
		made := newEntry(r)
		e = &made
		h.entries[r.Seq] = e
	}
	e.Changes = append(e.Changes, list...)
	return true
}

// now is what is there at the end.
func (h *historian) now() []Object {
	list := []Object{}
	for at, s := range h.k.classes {
		n, _ := h.t.Note(at.Link, at.ID)
		c, _ := s.Class(at.Link, at.ID)
		list = append(list, Object{"class", at.Link, diff.ObjectLine(tc.Object{Class: &c}), n.Seq})
		if q, ok := s.Qdisc(at.Link, at.ID); ok {
			list = append(list, Object{"qdisc", at.Link, diff.ObjectLine(tc.Object{Qdisc: &q}), n.LeafSeq})
		}
	}
	for _, m := range h.k.mapped {
		list = append(list, Object{Object: "mapping", Line: listing.Mapping(m)})
	}
	slices.SortFunc(list, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Link, b.Link), cmp.Compare(a.Line, b.Line))
	})
	return list
}

// Write prints the History for people.
func (h History) Write(w io.Writer, colour bool) error {
	for _, e := range h.Entries {
		if err := e.WriteChanges(w, false, colour); err != nil {
			return err
		}
	}
	if len(h.Now) == 0 {
		_, err := fmt.Fprintf(w, "now: no %s\n", h.Target)
		return err
	}
	again := ""
	if h.Restated > 0 {
		again = fmt.Sprintf(", which was said again %d times", h.Restated)
	}
	if _, err := fmt.Fprintf(w, "now%s:\n", again); err != nil {
		return err
	}
	for _, o := range h.Now {
		by := ""
		if o.Seq != 0 {
			by = fmt.Sprintf("  (record %d)", o.Seq)
		}
		if _, err := fmt.Fprintf(w, "          %s%s\n", o.Line, by); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are mappings as a Tree gives them.
func inOrder(m map[mappedKey]bakery.Mapping) iter.Seq[bakery.Mapping] {
	return slices.Values(slices.SortedFunc(maps.Values(m), func(a, b bakery.Mapping) int {
		if a.Upload != b.Upload {
			return map[bool]int{false: -1, true: 1}[a.Upload]
		}
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	}))
}
