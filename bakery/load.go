package bakery

import (
	"context"
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
func Load(s Source) (*Tree, error) { return loadUpTo(s, math.MaxUint64) }

// loadUpTo is the Tree after record last, nil if the snapshot is newer.
func loadUpTo(s Source, last eventlog.Seq) (*Tree, error) {
	data, at, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	t := NewTree()
	if at > 0 {
		if t, err = DecodeSnapshot(data); err != nil {
			return nil, err
		}
	}
	if t.Seq > last {
		return nil, nil
	}
	if err := Play(context.Background(), t, s.Records(t.Seq+1), last); err != nil {
		return nil, err
	}
	return t, nil
}
