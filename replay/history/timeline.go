package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/listing"
)

// Event is one record, or consecutive ones that belong together: a refresh, or many of one
// sort that one sender sent in one go.
type Event struct {
	From, To   eventlog.Seq
	Begin, End time.Time
	Sender     bakery.Sender
	Refresh    bool // it begins a new generation
	Kinds      []KindCount
	Summary    string // in one line
	// Totals counts all that it changed, Changes are the first of them.
	Totals  diff.Totals
	Changes []diff.Difference
	// Compared is false where Limits left the comparison out; then Totals and Changes are empty.
	Compared bool

	first     bakery.Command // of its records
	firstKind bakery.Kind
	lastKind  bakery.Kind
}

// KindCount is how many records of an Event are of a kind.
type KindCount struct {
	Kind bakery.Kind
	N    int
}

// Records is how many records the Event has.
func (e Event) Records() int { return int(e.To-e.From) + 1 }

// Bucket is a stretch of time, and what happened in it.
type Bucket struct {
	Begin   time.Time
	Records int
	Refresh bool // a refresh began in it
}

// Limits bound what a Timeline holds.
type Limits struct {
	Events    int // the newest are kept
	Refreshes int // of those kept: for so many, the newest, it is worked out what they changed
	Changes   int // in all: those of the newest Events are kept
	Each      int // of one Event
	Buckets   int
}

// Timeline is what happened between two moments.
type Timeline struct {
	Events  []Event // oldest first
	Skipped int     // older events, that Limits left out
	Records uint64
	Buckets []Bucket
	// Before and After are the Trees at its ends.
	Before, After *bakery.Tree
}

// NewTimeline collects what the records after from, up to to, changed.
func NewTimeline(ctx context.Context, s *replay.Source, from, to eventlog.Seq, limits Limits) (Timeline, error) {
	var l Timeline
	tree, err := s.Tree(ctx, from)
	if err != nil {
		return l, err
	}
	l.Before = tree.Clone()
	if err := l.group(ctx, s, from, to, limits); err != nil {
		return l, err
	}
	if n := len(l.Events) - limits.Events; n > 0 {
		l.Events, l.Skipped = slices.Clone(l.Events[n:]), n
	}
	if len(l.Events) > 0 {
		if err := s.Fold(ctx, tree, l.Events[0].From-1); err != nil {
			return l, err
		}
	}
	l.After = tree
	if err := l.compare(ctx, s, to, limits); err != nil {
		return l, err
	}
	l.After.NameSites(s.SiteNames())
	return l, nil
}

// group makes Events of the records, without folding them.
func (l *Timeline) group(ctx context.Context, s *replay.Source, from, to eventlog.Seq, limits Limits) error {
	if from >= to {
		return nil
	}
	var end time.Time
	for r, err := range s.Records(ctx, to, to) {
		if err != nil {
			return err
		}
		end = r.Time
	}
	for r, err := range s.Records(ctx, from+1, to) {
		if err != nil {
			return err
		}
		l.Records++
		n := len(l.Events)
		if n == 0 || !l.Events[n-1].takes(r) {
			l.Events = append(l.Events, Event{From: r.Seq, Begin: r.Time, Sender: r.Sender,
				Refresh: resets(r.Command), first: r.Command, firstKind: r.Command.Kind()})
			n++
		}
		l.Events[n-1].add(r)
		l.mark(r, end, l.Events[n-1].From == r.Seq && l.Events[n-1].Refresh, limits.Buckets)
	}
	for i := range l.Events {
		l.Events[i].summarize()
	}
	return nil
}

// mark counts a record in its Bucket.
func (l *Timeline) mark(r bakery.Record, end time.Time, refresh bool, buckets int) {
	if len(l.Buckets) == 0 {
		width := max(end.Sub(r.Time)/time.Duration(buckets)+1, time.Second)
		for i := range buckets {
			l.Buckets = append(l.Buckets, Bucket{Begin: r.Time.Add(time.Duration(i) * width)})
		}
	}
	width := l.Buckets[1].Begin.Sub(l.Buckets[0].Begin)
	i := int(r.Time.Sub(l.Buckets[0].Begin) / width)
	b := &l.Buckets[min(max(i, 0), len(l.Buckets)-1)]
	b.Records++
	b.Refresh = b.Refresh || refresh
}

// resets reports a command that begins a generation.
func resets(c bakery.Command) bool {
	switch c.(type) {
	case bakery.MqSetup, bakery.ClearPriorSettings, bakery.Commit:
		return true
	}
	return false
}

// family is the same for kinds that clients send together.
func family(c bakery.Kind) bakery.Kind {
	switch c {
	case bakery.KindAddCircuitHTBClass, bakery.KindAddCircuitQdisc:
		return bakery.KindAddStructuralHTBClass
	case bakery.KindDelIPFlow, bakery.KindClearIPFlow:
		return bakery.KindMapIPToFlow
	}
	return c
}

// takes reports a record that belongs to the Event before it.
func (e *Event) takes(r bakery.Record) bool {
	kind := r.Command.Kind()
	if r.Sender != e.Sender || r.Time.Sub(e.End) > refreshTime || e.firstKind == bakery.KindCommit {
		return false
	}
	switch {
	case resets(r.Command):
		return kind == bakery.KindMqSetup && e.lastKind == bakery.KindClearPriorSettings
	case e.Refresh:
		f := family(kind)
		return f == bakery.KindAddStructuralHTBClass || f == bakery.KindMapIPToFlow
	}
	return family(kind) == family(e.firstKind)
}

func (e *Event) add(r bakery.Record) {
	e.To, e.End, e.lastKind = r.Seq, r.Time, r.Command.Kind()
	for i := range e.Kinds {
		if e.Kinds[i].Kind == e.lastKind {
			e.Kinds[i].N++
			return
		}
	}
	e.Kinds = append(e.Kinds, KindCount{e.lastKind, 1})
}

// nouns are what records of a kind make, for a sum of many.
var nouns = map[bakery.Kind][2]string{
	bakery.KindAddStructuralHTBClass: {"site class", "site classes"},
	bakery.KindAddCircuitHTBClass:    {"circuit class", "circuit classes"},
	bakery.KindAddCircuitQdisc:       {"leaf", "leaves"},
	bakery.KindMapIPToFlow:           {"address mapped", "addresses mapped"},
	bakery.KindDelIPFlow:             {"address unmapped", "addresses unmapped"},
	bakery.KindClearIPFlow:           {"time all addresses unmapped", "times all addresses unmapped"},
	bakery.KindChangeSiteSpeedLive:   {"change of speed", "changes of speed"},
}

func (e *Event) summarize() {
	if e.Records() == 1 {
		e.Summary = newEntry(bakery.Record{Command: e.first}).Summary()
	}
	var words []string
	for _, k := range e.Kinds {
		noun, ok := nouns[k.Kind]
		switch {
		case ok:
			words = append(words, listing.Amount(k.N, "", noun[0], noun[1]))
		case e.Refresh: // what makes it one
		default:
			words = append(words, fmt.Sprintf("%d × %s", k.N, k.Kind))
		}
	}
	if e.Records() > 1 {
		e.Summary = strings.Join(words, ", ")
	}
	e.first = nil
}

// compare folds the Events' records into l.After, and works out what each Event changed.
func (l *Timeline) compare(ctx context.Context, s *replay.Source, to eventlog.Seq, limits Limits) error {
	refreshes := 0
	for _, e := range l.Events {
		if e.Refresh {
			refreshes++
		}
	}
	uncompared := max(0, refreshes-limits.Refreshes) // the oldest
	at := 0
	t := l.After
	before := t
	err := s.Walk(ctx, t, to, func(r bakery.Record) {
		if at+1 < len(l.Events) && r.Seq >= l.Events[at+1].From {
			at++
		}
		e := &l.Events[at]
		if r.Seq == e.From && e.Refresh {
			e.Compared = uncompared == 0
			uncompared = max(0, uncompared-1)
			before = t.Clone()
		}
		if !e.Refresh {
			e.Compared = true
			before = t.Clone()
		}
	}, func(r bakery.Record) error {
		e := &l.Events[at]
		var d diff.Report
		switch {
		case !e.Compared:
			return nil
		case !e.Refresh:
			d.Differences = diff.Changes(before, t, r.Command)
		case r.Seq == e.To || r.Seq == to:
			d = diff.Compare(diff.Side{Tree: before}, diff.Side{Tree: t})
		}
		e.note(d.Differences, limits.Each)
		return nil
	})
	left := limits.Changes
	for i, e := range slices.Backward(l.Events) {
		kept := min(left, len(e.Changes))
		left -= kept
		l.Events[i].Changes = e.Changes[:kept]
	}
	return err
}

// note counts differences, and keeps the first of them.
func (e *Event) note(list []diff.Difference, most int) {
	for _, d := range list {
		switch d.Change {
		case "added":
			e.Totals.Added++
		case "removed":
			e.Totals.Removed++
		default:
			e.Totals.Changed++
		}
	}
	e.Changes = append(e.Changes, list[:min(len(list), most-len(e.Changes))]...)
}
