package history

import (
	"context"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
)

// Follower makes entries of records that come one after the other.
type Follower struct {
	filter Filter
	tree   *bakery.Tree // nil where the Filter needs none
	seq    eventlog.Seq
	old    *bakery.Tree // before the record, if its changes are wanted
	track  *tracker
}

// Follow begins after the last record: what comes then shall be shown as Entries would.
func Follow(ctx context.Context, s *replay.Source, f Filter) (*Follower, error) {
	if !f.Target.Folds() && !f.Changes {
		return &Follower{filter: f, seq: s.Last()}, nil
	}
	t, err := s.Tree(ctx, s.Last())
	if err != nil {
		return nil, err
	}
	return newFollower(f, t), nil
}

func newFollower(f Filter, t *bakery.Tree) *Follower {
	return &Follower{filter: f, tree: t, seq: t.Seq, old: t, track: newTracker(f.Target, t)}
}

// Seq is the record that was seen last.
func (w *Follower) Seq() eventlog.Seq { return w.seq }

// See takes the next record; ok is false if the Filter doesn't take it.
func (w *Follower) See(r bakery.Record) (e Entry, ok bool, err error) {
	if w.tree == nil {
		w.seq = r.Seq
		if ok = r.Seq >= w.filter.From && w.filter.takes(r); ok {
			e = newEntry(r)
		}
		return e, ok, nil
	}
	if w.filter.Changes {
		w.before(r)
	}
	if err := bakery.Fold(w.tree, r); err != nil {
		return e, false, err
	}
	w.seq = r.Seq
	e, ok = w.after(r)
	return e, ok && r.Seq >= w.filter.From, nil
}

// before looks at the Tree that a record is about to be folded into.
func (w *Follower) before(r bakery.Record) {
	if w.filter.takes(r) {
		w.old = w.tree.Clone()
	}
}

// after makes the entry of a record that was folded.
func (w *Follower) after(r bakery.Record) (e Entry, ok bool) {
	ok = w.filter.takes(r)
	if w.filter.Target.Folds() {
		c := w.track.look(w.tree, r.Command)
		w.track.follow(w.tree, c)
		ok = ok && !c.isNone()
	}
	if !ok {
		return e, false
	}
	e = newEntry(r)
	if w.filter.Changes {
		e.Changes = diff.Changes(w.old, w.tree, r.Command)
	}
	return e, true
}
