package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// beginning is the first line of the export of a log that doesn't begin at record 1: what its records are folded into.
type beginning struct {
	Begin *begun `json:"begin"`
}

type begun struct {
	Seq        eventlog.Seq `json:"seq"`        // of the first record
	Generation uint64       `json:"generation"` // of the snapshot's segment
	Snapshot   []byte       `json:"snapshot"`   // the Tree through the record before, as docs/format.md has it
	Keys       []byte       `json:"keys"`       // the idempotency keys known so far, likewise
}

// Export writes the records from..to as lines of JSON, from which Import makes a log that has the same: each record's payload byte
// for byte, and the Tree at every moment. from 0 is the oldest that is left, to 0 the newest. Where that isn't record 1 a line comes
// first that holds the snapshot before. It calls progress, unless that is nil, with how many records it wrote. Where it can't go on it
// writes a last line that says so, which Import refuses: who reads a pipe doesn't see errors.
func (s *Source) Export(ctx context.Context, w io.Writer, from, to eventlog.Seq, progress func(records int)) error {
	err := s.export(ctx, w, from, to, progress)
	if err != nil {
		_ = json.NewEncoder(w).Encode(ending{err.Error()}) // it can't be told better
	}
	return err
}

// ending is the last line of an export that failed.
type ending struct {
	Error string `json:"error"`
}

// endOf is the error of an export that failed, if a line is one's last.
func endOf(text []byte) error {
	var e ending
	if json.Unmarshal(text, &e) == nil && e.Error != "" {
		return fmt.Errorf("the export ended before its end: %s", e.Error)
	}
	return nil
}

func (s *Source) export(ctx context.Context, w io.Writer, from, to eventlog.Seq, progress func(records int)) error {
	if from == 0 {
		from = s.First()
	}
	if to == 0 || to > s.Last() {
		to = s.Last()
	}
	if from < s.First() {
		return s.dropped(from)
	}
	if err := s.exportBeginning(ctx, w, from); err != nil || from > to {
		return err
	}
	for raw, err := range s.r.Records(from) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		last := raw.Seq >= to
		raw.TxEnd = raw.TxEnd || last
		line, err := bakery.LineOf(raw)
		if err != nil {
			return err
		}
		text, err := line.JSON()
		if err != nil {
			return fmt.Errorf("exporting record %d: %w", raw.Seq, err)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		if progress != nil {
			progress(1)
		}
		if last {
			break
		}
	}
	return nil
}

func (s *Source) exportBeginning(ctx context.Context, w io.Writer, from eventlog.Seq) error {
	switch {
	case from == 1:
		return nil
	case from > s.Last()+1:
		return fmt.Errorf("record %d: %w, which ends at %d", from, ErrOutside, s.Last())
	}
	b := begun{Seq: from, Snapshot: []byte{}, Keys: []byte{}}
	if from == s.First() {
		kept, err := s.r.Beginning()
		if err != nil {
			return err
		}
		b.Generation, b.Snapshot, b.Keys = kept.Mark, kept.Snapshot, kept.Keys
	} else {
		t, err := s.Tree(ctx, from-1)
		if err != nil {
			return err
		}
		b.Generation, b.Snapshot = t.Generation, t.AppendSnapshot(nil)
	}
	return json.NewEncoder(w).Encode(beginning{&b})
}

func hasBegin(text []byte) bool {
	var probe struct {
		Begin json.RawMessage `json:"begin"`
	}
	err := json.Unmarshal(text, &probe)
	return err == nil && probe.Begin != nil
}

// parseBeginning reads a first line; ok is false where it is a record's.
func parseBeginning(text []byte) (b eventlog.Beginning, tree *bakery.Tree, ok bool, err error) {
	if !hasBegin(text) {
		return b, bakery.NewTree(), false, nil
	}
	var line beginning
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&line); err != nil {
		return b, nil, true, err
	}
	head := line.Begin
	if head == nil || head.Seq < 2 || head.Snapshot == nil || head.Keys == nil {
		return b, nil, true, errors.New("the beginning needs seq (2 or more), generation, snapshot and keys")
	}
	if tree, err = bakery.DecodeSnapshot(head.Snapshot); err != nil {
		return b, nil, true, err
	}
	if tree.Seq != head.Seq-1 {
		return b, nil, true, fmt.Errorf("the snapshot is of record %d, want %d", tree.Seq, head.Seq-1)
	}
	return eventlog.Beginning{First: head.Seq, Mark: head.Generation, Snapshot: head.Snapshot, Keys: head.Keys}, tree, true, nil
}
