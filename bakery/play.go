package bakery

import (
	"context"
	"iter"
	"sync"

	"lqosd/eventlog"
)

// batchRecords and batchBytes are how much is handed to the fold at once, batchesAhead how far decoding runs ahead of it.
const (
	batchRecords = 256
	batchBytes   = 256 << 10
	batchesAhead = 8
)

// batch is what reading hands to the fold.
type batch struct {
	records []prepared
	err     error // why nothing follows; nil: more may
}

// Play folds records into t, which is at the one before, up to the record last or their end. Reading and decoding run in
// another goroutine, ahead of the fold; it has ended when Play returns. After an error t holds what came before.
func Play(ctx context.Context, t *Tree, records iter.Seq2[eventlog.Record, error], last eventlog.Seq) error {
	return PlayBeside(ctx, t, records, last, Visitor{})
}

// Visitor looks on while a log is played. A record's Command is shared with others, and not to be written. What is nil isn't called.
type Visitor struct {
	Before func(Record)       // that is about to be folded
	After  func(Record) error // that was folded; an error ends the play
}

// PlayBeside is Play with somebody who looks on.
func PlayBeside(ctx context.Context, t *Tree, records iter.Seq2[eventlog.Record, error], last eventlog.Seq, v Visitor) error {
	r := reading{
		full: make(chan batch, batchesAhead), empty: make(chan []prepared, batchesAhead+2), stop: make(chan struct{}),
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(r.stop)
	wg.Go(func() { r.run(records, last) })
	for b := range r.full {
		for i := range b.records {
			if err := v.fold(t, b.records[i]); err != nil {
				return err
			}
		}
		if b.err == nil {
			b.err = ctx.Err()
		}
		if b.err != nil {
			return b.err
		}
		r.empty <- b.records
	}
	return nil
}

func (v Visitor) fold(t *Tree, p prepared) error {
	if v.Before != nil {
		v.Before(p.record())
	}
	if err := foldPrepared(t, p); err != nil {
		return err
	}
	if v.After != nil {
		return v.After(p.record())
	}
	return nil
}

// reading is the goroutine that decodes.
type reading struct {
	full  chan batch      // closed at the end; capacity batchesAhead, blocks when full
	empty chan []prepared // batches to be used again; capacity for all there are
	stop  chan struct{}   // closed when nobody takes any more
}

func (r *reading) run(records iter.Seq2[eventlog.Record, error], last eventlog.Seq) {
	defer close(r.full)
	p, list, bytes := newPreparer(), []prepared(nil), 0
	for raw, err := range records {
		if err == nil && raw.Seq > last {
			break
		}
		var next prepared
		if err == nil {
			next, err = p.prepare(raw)
		}
		if err != nil {
			r.send(batch{list, err})
			return
		}
		list = append(list, next)
		bytes += len(raw.Data)
		if len(list) < batchRecords && bytes < batchBytes && raw.Seq != last {
			continue
		}
		if !r.send(batch{records: list}) || raw.Seq == last {
			return
		}
		list, bytes = r.next(), 0
	}
	r.send(batch{records: list})
}

// send hands a batch on; false when nobody takes it.
func (r *reading) send(b batch) bool {
	select {
	case r.full <- b:
		return true
	case <-r.stop:
		return false
	}
}

// next is room for a batch.
func (r *reading) next() []prepared {
	select {
	case list := <-r.empty:
		return list[:0]
	default:
		return make([]prepared, 0, batchRecords)
	}
}
