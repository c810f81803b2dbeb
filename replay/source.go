package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// Source is an open log, at rest.
type Source struct {
	r     *eventlog.Reader
	sites SiteNames
}

// Open opens the log in dir: the daemon's STATE/eventlog, or a copy of it. While a
// daemon holds the live segment, everything before it can be read: Held tells.
func Open(dir string) (*Source, error) {
	r, err := eventlog.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	return &Source{r: r}, nil
}

// Close closes the log.
func (s *Source) Close() error { return s.r.Close() }

// First is the oldest record that is left, Last the newest; Last is First-1 for an
// empty log.
func (s *Source) First() eventlog.Seq { return s.r.First() }

// Last is the newest record.
func (s *Source) Last() eventlog.Seq { return s.r.Last() }

// ErrOutside says that a moment isn't covered by the log.
var ErrOutside = errors.New("outside the log")

// Records decodes the records from..to, both included; from 0 is the oldest that is
// left, until ctx ends. It doesn't touch what comes after, which a daemon may hold.
func (s *Source) Records(ctx context.Context, from, to eventlog.Seq) func(yield func(bakery.Record, error) bool) {
	return func(yield func(bakery.Record, error) bool) {
		switch {
		case from > 0 && from < s.First() && from <= to:
			yield(bakery.Record{}, s.dropped(from))
			return
		case max(from, s.First()) > to:
			return
		}
		first := max(from, s.First())
		for raw, err := range eventlog.Watched(ctx, s.r.Records(first), first, to) {
			var r bakery.Record
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				r, err = bakery.DecodeRecord(raw.Seq, raw.Data)
			}
			if !yield(r, err) || err != nil || r.Seq >= to {
				return
			}
		}
	}
}

// dropped is why a record can't be read.
func (s *Source) dropped(seq eventlog.Seq) error {
	return fmt.Errorf("record %d: %w, which begins at %d: older segments were dropped", seq, ErrOutside, s.First())
}

// Tree is the Tree after record at; 0 gives the empty one. It starts from the
// snapshot before. Where the fold ends early it gives an error, and the Tree so far.
func (s *Source) Tree(ctx context.Context, at eventlog.Seq) (*bakery.Tree, error) {
	if at > s.Last() {
		return nil, fmt.Errorf("record %d: %w, which ends at %d", at, ErrOutside, s.Last())
	}
	t, err := s.base(at)
	if err != nil {
		return nil, err
	}
	if err := s.Fold(ctx, t, at); err != nil {
		return t, err
	}
	t.NameSites(s.sites)
	return t, nil
}

// NameSites gives sites names where the log has none, in Trees that Tree and a Traveller make from now on.
func (s *Source) NameSites(names SiteNames) { s.sites = names }

// SiteNames are those that NameSites gave.
func (s *Source) SiteNames() SiteNames { return s.sites }

// base is the Tree of the newest snapshot that isn't after at.
func (s *Source) base(at eventlog.Seq) (*bakery.Tree, error) {
	if at == 0 {
		return bakery.NewTree(), nil
	}
	data, seq, err := s.r.SnapshotBefore(at)
	switch {
	case errors.Is(err, eventlog.ErrPruned):
		return nil, s.dropped(at)
	case err != nil:
		return nil, err
	case seq > 0:
		return bakery.DecodeSnapshot(data)
	}
	return bakery.NewTree(), nil
}

// Fold folds the records after t into it, up to to.
func (s *Source) Fold(ctx context.Context, t *bakery.Tree, to eventlog.Seq) error {
	switch {
	case t.Seq >= to:
		return nil
	case t.Seq+1 < s.First():
		return s.dropped(t.Seq + 1)
	}
	return bakery.Play(ctx, t, eventlog.Watched(ctx, s.r.Records(t.Seq+1), t.Seq+1, to), to)
}

// Walk folds the records after t into it, up to to. It calls before with each before that is
// folded, and after when it is.
func (s *Source) Walk(ctx context.Context, t *bakery.Tree, to eventlog.Seq, before func(bakery.Record), after func(bakery.Record) error) error {
	if t.Seq >= to {
		return nil
	}
	records := eventlog.Watched(ctx, s.r.Records(t.Seq+1), t.Seq+1, to)
	return bakery.PlayBeside(ctx, t, records, to, bakery.Visitor{Before: before, After: after})
}

// SeqAt is the last record that was accepted at or before when; 0 if when is before the
// first. Where older segments were dropped, such a moment is ErrOutside.
func (s *Source) SeqAt(ctx context.Context, when time.Time) (eventlog.Seq, error) {
	last := s.First() - 1
	for r, err := range s.Records(ctx, s.First(), s.Last()) {
		if err != nil {
			return 0, err
		}
		if r.Time.After(when) {
			break
		}
		last = r.Seq
	}
	if last < s.First() && s.First() > 1 {
		return 0, fmt.Errorf("%s: %w, which begins at record %d: older segments were dropped", when.Format(time.RFC3339), ErrOutside, s.First())
	}
	return last, nil
}

// Stats tells what the log takes on disk.
func (s *Source) Stats(ctx context.Context) (eventlog.Stats, error) { return s.r.Stats(ctx) }

// Held tells who holds the live segment, when a daemon does: then the log can be
// read up to Last, and goes on.
func (s *Source) Held() error {
	if h := s.r.Held(); h != nil {
		return h
	}
	return nil
}
