package eventlog

import (
	"context"
	"iter"
)

// progressStep is how many records are read between two reports of progress.
const progressStep = 4096

type progressKey struct{}

// WithProgress has report called while something reads a log with this ctx: with how many records are done, of how many, each
// few thousand records and when it ends. What reads twice begins twice. The total may grow. Any goroutine may call it.
func WithProgress(ctx context.Context, report func(done, total uint64)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// progress gives what WithProgress set; it may be called in any case.
func progress(ctx context.Context) func(done, total uint64) {
	if report, ok := ctx.Value(progressKey{}).(func(done, total uint64)); ok {
		return report
	}
	return func(uint64, uint64) {}
}

// PartOf makes what is read with the context it gives count as a part: after done of total records.
func PartOf(ctx context.Context, done, total uint64) context.Context {
	if ctx.Value(progressKey{}) == nil {
		return ctx
	}
	report := progress(ctx)
	return WithProgress(ctx, func(n, _ uint64) { report(done+n, total) })
}

// Watched are records, which go from one seq to another, with reports to whom WithProgress named.
func Watched(ctx context.Context, records iter.Seq2[Record, error], from, to Seq) iter.Seq2[Record, error] {
	if ctx.Value(progressKey{}) == nil || to < from {
		return records
	}
	report, total := progress(ctx), uint64(to-from)+1
	return func(yield func(Record, error) bool) {
		defer report(total, total)
		for r, err := range records {
			if done := uint64(r.Seq - from); err == nil && done%progressStep == 0 && done < total {
				report(done, total)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
