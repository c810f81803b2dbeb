package bakery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"lqosd/eventlog"
)

// folder is the goroutine that owns the Tree.
type folder struct {
	o     Options
	h     *Handle
	log   Log
	tree  *Tree
	setup Setup
	out   chan *Ticket  // to the acker; capacity waiting, blocks when full
	torn  chan struct{} // from the acker: a commit failed; capacity 1, coalesces
	// roll is the new segment in the making; noRollBefore keeps a failing one from
	// being tried at every submission.
	roll         *eventlog.Pending
	noRollBefore time.Time
}

// open opens the log and folds it.
func (f *folder) open() error {
	log, err := f.o.OpenLog()
	if err != nil {
		return err
	}
	tree, err := Load(log)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	f.log, f.tree, f.roll = log, tree, nil
	return nil
}

func (f *folder) close() error {
	if f.log == nil {
		return nil
	}
	return f.log.Close()
}

func (f *folder) run(ctx context.Context) {
	for {
		select {
		case t := <-f.h.in:
			f.take(t)
		case <-f.torn:
			f.reopen(ctx)
		case <-ctx.Done():
			f.drain()
			return
		}
	}
}

// drain answers what was handed in before the end.
func (f *folder) drain() {
	for {
		select {
		case t := <-f.h.in:
			f.take(t)
		default:
			return
		}
	}
}

func (f *folder) take(t *Ticket) {
	if f.log == nil {
		t.err = ErrLogUnavailable
		t.failAll(t.err)
		f.out <- t
		return
	}
	if t.read != nil {
		t.read = f.tree.Clone()
		f.out <- t
		return
	}
	if len(t.sub.Key) > eventlog.MaxKey {
		t.failAll(fmt.Errorf("the key has %d bytes: at most %d are allowed", len(t.sub.Key), eventlog.MaxKey))
		f.out <- t
		return
	}
	if p, ok := f.log.Known(t.sub.Key); ok {
		t.repeat(p)
		f.out <- t
		return
	}
	if payloads := f.admit(t); len(payloads) > 0 {
		if err := f.enqueue(t, payloads); err != nil {
			t.failAll(fmt.Errorf("%w: %w", ErrLogUnavailable, err))
			t.lines = nil
			f.out <- t
			f.tear()
			return
		}
	}
	f.out <- t
	f.rollIfFull()
}

func (f *folder) tear() {
	select {
	case f.torn <- struct{}{}:
	default:
	}
}

// reopen closes the log whose commit failed, opens it again, and takes up the Tree
// that it really holds. Until that works every submission is refused.
func (f *folder) reopen(ctx context.Context) {
	if err := f.close(); err != nil {
		f.o.Logger.Warn("closing the failed event log", "err", err)
	}
	f.log = nil
	for {
		err := f.open()
		if err == nil {
			break
		}
		f.h.setLog(err)
		if !f.refuseFor(ctx, reopenEvery, err) {
			return
		}
	}
	t := newTicket(Submission{})
	last := f.tree.Seq
	t.recovered = &last
	f.out <- t
}

// refuseFor answers everything with cause for d; false when ctx ended.
func (f *folder) refuseFor(ctx context.Context, d time.Duration, cause error) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case t := <-f.h.in:
			t.err = fmt.Errorf("%w: %w", ErrLogUnavailable, cause)
			t.failAll(t.err)
			f.out <- t
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// rollIfFull begins the next segment with a snapshot of the Tree when the live
// one is full, and drops old ones after.
func (f *folder) rollIfFull() {
	if f.roll != nil {
		select {
		case <-f.roll.Done():
			f.rolled()
		default:
			return
		}
	}
	if !f.log.NeedsRoll() || f.o.Now().Before(f.noRollBefore) {
		return
	}
	tree := f.tree.Clone()
	p, err := f.log.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
		_, err := w.Write(tree.AppendSnapshot(nil))
		return err
	}})
	if err != nil {
		return // the log is torn: the next Enqueue tells
	}
	f.roll = p
}

func (f *folder) rolled() {
	_, err := f.roll.Wait()
	f.roll = nil
	if err != nil {
		f.noRollBefore = f.o.Now().Add(rerollEvery)
		f.o.Logger.Warn("beginning a new segment of the event log", "err", err)
		return
	}
	r := f.o.Retain
	p := eventlog.Policy{MaxAge: r.MaxAge, MaxBytes: r.MaxBytes}
	if r.Generations > 0 && f.tree.Generation > r.Generations {
		p.MinMark = f.tree.Generation - r.Generations
	}
	if p == (eventlog.Policy{}) {
		return
	}
	if _, err := f.log.Prune(p); err != nil {
		f.o.Logger.Warn("dropping old segments of the event log", "err", err)
	}
}
