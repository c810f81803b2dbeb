package replay

import (
	"context"
	"fmt"
	"io"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// Report is what Verify found.
type Report struct {
	Log  eventlog.Report `json:"log"`
	Fold string          `json:"fold"` // why not every record can be folded; ""
	Seq  eventlog.Seq    `json:"seq"`  // of the tree that all records give
	Hash string          `json:"hash"` // of that tree; ""
	// Snapshots that don't hold what the records before them give.
	Snapshots []string `json:"snapshots"`
}

// Clean reports a whole log.
func (r Report) Clean() bool { return r.Log.Clean() && r.Fold == "" && len(r.Snapshots) == 0 }

// Verify checks the bytes of a log, then folds all its records, and compares each
// snapshot on the way with the Tree that the records before it give.
func Verify(ctx context.Context, dir string) (Report, error) {
	log, err := eventlog.Verify(ctx, dir)
	if log.Problems == nil {
		log.Problems = []eventlog.Problem{}
	}
	r := Report{Log: log, Snapshots: []string{}}
	if err != nil || !log.Clean() {
		return r, err
	}
	s, err := Open(dir)
	if err != nil {
		return r, err
	}
	defer func() { _ = s.Close() }()
	return r, s.verifyFold(ctx, &r)
}

func (s *Source) verifyFold(ctx context.Context, r *Report) error {
	stats, err := s.r.Stats(ctx)
	if err != nil {
		return err
	}
	var t *bakery.Tree
	first := s.First()
	total := uint64(s.Last()-first) + 1
	for _, seg := range stats.Segments {
		kept, err := s.base(seg.First - 1)
		switch {
		case err != nil:
			r.Snapshots = append(r.Snapshots, fmt.Sprintf("%s: %v", seg.Name, err))
			continue
		case t == nil:
			t = kept
		case kept.Seq == t.Seq && !kept.Equal(t):
			r.Snapshots = append(r.Snapshots, seg.Name+": the snapshot isn't what the records before it give")
		}
		if err := s.Fold(eventlog.PartOf(ctx, uint64(seg.First-first), total), t, seg.Last); err != nil {
			if ctx.Err() == nil {
				r.Fold = err.Error()
			}
			return ctx.Err()
		}
	}
	if t != nil {
		r.Seq, r.Hash = t.Seq, t.Hash()
	}
	return nil
}

// Span is how many records there are, and which: "15 records (1 to 15)".
func Span(n uint64, first, last eventlog.Seq) string {
	if n == 0 {
		return "no records"
	}
	return fmt.Sprintf("%d records (%d to %d)", n, first, last)
}

// Write prints the report for people.
func (r Report) Write(w io.Writer) error {
	for _, p := range r.Log.Problems {
		if _, err := fmt.Fprintf(w, "DAMAGED %s\n", p); err != nil {
			return err
		}
	}
	for _, p := range r.Snapshots {
		if _, err := fmt.Fprintf(w, "DAMAGED %s\n", p); err != nil {
			return err
		}
	}
	if r.Fold != "" {
		if _, err := fmt.Fprintf(w, "DAMAGED %s\n", r.Fold); err != nil {
			return err
		}
	}
	verdict := "whole"
	if !r.Clean() {
		verdict = fmt.Sprintf("damaged: good up to record %d", r.Log.LastGood)
	}
	_, err := fmt.Fprintf(w, "%s: %s in %d segments, %d bytes\n", verdict, Span(r.Log.Records, r.Log.First, r.Log.Last), r.Log.Segments, r.Log.Bytes)
	if err == nil && r.Hash != "" {
		_, err = fmt.Fprintf(w, "tree after record %d: sha256 %s\n", r.Seq, r.Hash)
	}
	if err == nil && !r.Clean() {
		_, err = fmt.Fprintln(w, "bakery-replay salvage makes a whole log of what is good")
	}
	return err
}
