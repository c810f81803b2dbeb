package sim

import (
	"errors"
	"fmt"
	"iter"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// archive is all that was ever durable, and what it folds to.
type archive struct {
	records []bakery.Record // the first has Seq 1
	tree    *bakery.Tree
	of      map[int32][]eventlog.Seq // by submission
	keys    map[string]int32         // the submission that has it
	open    bool                     // the last transaction isn't complete
}

func newArchive() *archive {
	return &archive{tree: bakery.NewTree(), of: map[int32][]eventlog.Seq{}, keys: map[string]int32{}}
}

func (a *archive) last() eventlog.Seq { return eventlog.Seq(len(a.records)) }

// extend reads on in a log, whose records have to follow.
func (a *archive) extend(records iter.Seq2[eventlog.Record, error]) error {
	for raw, err := range records {
		if err != nil {
			return err
		}
		if err := a.add(raw); err != nil {
			return err
		}
	}
	if a.open {
		return fmt.Errorf("the log ends with record %d, in the middle of a transaction", a.last())
	}
	return nil
}

func (a *archive) add(raw eventlog.Record) error {
	if raw.Seq != a.last()+1 {
		return fmt.Errorf("record %d comes after %d", raw.Seq, a.last())
	}
	r, err := bakery.DecodeRecord(raw.Seq, raw.Data)
	if err != nil {
		return err
	}
	if err := bakery.Fold(a.tree, r); err != nil {
		return fmt.Errorf("record %d can't be folded: %w", raw.Seq, err)
	}
	id := r.Sender.PID
	before := int32(0)
	if n := len(a.records); n > 0 {
		before = a.records[n-1].Sender.PID
	}
	switch {
	case a.open && id != before:
		return fmt.Errorf("record %d is of submission %d, in the middle of %d's transaction", raw.Seq, id, before)
	case !a.open && id <= before:
		return fmt.Errorf("record %d is of submission %d, and comes after %d's", raw.Seq, id, before)
	}
	if raw.Key != "" {
		if other, known := a.keys[raw.Key]; known {
			return fmt.Errorf("record %d has key %s, as submission %d has", raw.Seq, raw.Key, other)
		}
		a.keys[raw.Key] = id
	}
	a.records, a.of[id], a.open = append(a.records, r), append(a.of[id], raw.Seq), !raw.TxEnd
	return nil
}

// readLive takes up what became durable in the log that is open, and compares what was
// answered with it.
func (w *world) readLive() {
	log := w.life.openLog()
	if log == nil || w.life.dead.Load() {
		return
	}
	err := w.archive.extend(log.Records(w.archive.last() + 1))
	switch {
	case errors.Is(err, eventlog.ErrClosed): // it is being opened again
	case err != nil:
		w.broke("reading the log: %v", err)
	default:
		w.checkAnswers()
	}
}

// readImage looks at what a crash left: all that was durable before is there, and is the
// same.
func (w *world) readImage(dir string) {
	r, err := eventlog.OpenReader(dir)
	if err != nil {
		w.broke("reading what the crash left: %v", err)
		return
	}
	defer r.Close()
	if r.Last() < w.archive.last() {
		w.broke("record %d was durable, and the crash left %d", w.archive.last(), r.Last())
		return
	}
	if err := w.archive.extend(r.Records(w.archive.last() + 1)); err != nil {
		w.broke("reading what the crash left: %v", err)
	}
	w.checkAnswers()
}
