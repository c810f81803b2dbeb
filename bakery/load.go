package bakery

import (
	"context"
	"errors"
	"iter"
	"math"

	"lqosd/eventlog"
)

// Source is where the records of a log come from.
type Source interface {
	// Snapshot is the encoding of the Tree at Seq at; nil at 0 for none.
	Snapshot() (data []byte, at eventlog.Seq, err error)
	Records(from eventlog.Seq) iter.Seq2[eventlog.Record, error]
}

// Load folds all that a log holds, from its snapshot on.
func Load(s Source) (*Tree, error) {
	data, at, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	return fromSnapshot(s, data, at, math.MaxUint64)
}

// loadAt is the Tree after record last, nil if that can't be known any more.
func loadAt(l Log, last eventlog.Seq) (*Tree, error) {
	data, at, err := l.SnapshotBefore(last)
	switch {
	case errors.Is(err, eventlog.ErrPruned):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return fromSnapshot(l, data, at, last)
}

// fromSnapshot folds the records after a snapshot up to last.
func fromSnapshot(s Source, data []byte, at, last eventlog.Seq) (t *Tree, err error) {
	t = NewTree()
	if at > 0 {
		if t, err = DecodeSnapshot(data); err != nil {
			return nil, err
		}
	}
	if err := Play(context.Background(), t, s.Records(t.Seq+1), last); err != nil {
		return nil, err
	}
	return t, nil
}
