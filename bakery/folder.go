package bakery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
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
	// adopted is the Adopted of the Setup that the command in hand was resolved with, if it was.
	adopted func()
	rest    []*Ticket     // received, and not yet taken
	scratch []byte        // room for a record
	out     chan *Ticket  // to the acker; capacity waiting, blocks when full
	torn    chan struct{} // from the acker: a commit failed; capacity 1, coalesces
	// roll is the new segment in the making; noRollBefore keeps a failing one from
	// being tried at every submission.
	roll         *eventlog.Pending
	rollMark     uint64 // the generation of its snapshot
	rollFolds    int    // the toll of what its snapshot has
	noRollBefore time.Time
	encoding     sync.WaitGroup // of that snapshot
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
	f.h.setOpenLog(log)
	return nil
}

// reconciler makes the reconciler, which starts from what the cursor says.
func (f *folder) reconciler() (*reconciler, error) {
	raw, err := f.log.Cursor(cursorName)
	var a applied
	if err == nil {
		a, err = decodeApplied(raw)
	}
	var base *Tree
	var d doubts
	switch {
	case err != nil || a.Seq == 0:
	case a.Seq == f.tree.Seq:
		base = f.tree.Clone()
	default:
		if base, err = loadAt(f.log, a.Seq); base != nil {
			d, err = doubtsAfter(f.log, base)
		}
	}
	r := newReconciler(f.o, f.h, a, base)
	r.doubts = d
	return r, err
}

func (f *folder) close() error {
	f.h.setOpenLog(nil)
	f.encoding.Wait()
	if f.log == nil {
		return nil
	}
	return f.log.Close()
}

func (f *folder) run(ctx context.Context) {
	for {
		select {
		case f.rest = <-f.h.in:
		case <-f.torn:
			f.reopen(ctx)
		case <-ctx.Done():
			return
		}
		for len(f.rest) > 0 {
			select {
			case <-f.torn:
				f.reopen(ctx)
			default:
				f.take(ctx, f.next())
			}
		}
	}
}

// next is the first of the tickets that were received.
func (f *folder) next() *Ticket {
	t := f.rest[0]
	f.rest = f.rest[1:]
	return t
}

func (f *folder) take(ctx context.Context, t *Ticket) {
	if f.log == nil {
		t.err = ErrLogUnavailable
		t.failAll(t.err)
		f.out <- t
		return
	}
	if t.read != nil {
		t.read, t.roles = f.tree.Clone(), f.setup.Roles()
		f.out <- t
		return
	}
	if len(t.sub.Key) > eventlog.MaxKey {
		t.failAll(fmt.Errorf("the key has %d bytes: at most %d are allowed", len(t.sub.Key), eventlog.MaxKey))
		f.out <- t
		return
	}
	if p, ok := f.log.Known(t.sub.Key); ok {
		if r := p.Result(); uint64(r.Last-r.First)+1 != uint64(len(t.sub.Commands)) {
			t.failAll(fmt.Errorf("key %q belongs to another session, of %d commands", t.sub.Key, r.Last-r.First+1))
		} else {
			t.repeat(p)
		}
		f.out <- t
		return
	}
	if payloads := f.admit(t); len(payloads) > 0 {
		if err := f.enqueue(t, payloads); err != nil {
			t.failAll(fmt.Errorf("%w: %w", ErrLogUnavailable, err))
			f.out <- t
			f.h.failed(err)
			f.reopen(ctx) // the tree is ahead of the log
			return
		}
	}
	f.out <- t
	if !f.rollIfFull() {
		f.reopen(ctx)
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
		for len(f.rest) > 0 {
			t := f.next()
			t.err = fmt.Errorf("%w: %w", ErrLogUnavailable, cause)
			t.failAll(t.err)
			f.out <- t
		}
		select {
		case f.rest = <-f.h.in:
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// rollIfFull begins the next segment with a snapshot of the Tree when the live
// one is full or a start would fold much of it, and drops old ones after; false
// when the log has to be opened again.
func (f *folder) rollIfFull() bool {
	if f.roll != nil {
		select {
		case <-f.roll.Done():
			if !f.rolled() {
				return false
			}
		default:
			return true
		}
	}
	if !f.log.NeedsRoll() && !f.tree.needsSnapshot() || f.o.Now().Before(f.noRollBefore) {
		return true
	}
	return f.beginRoll()
}

// beginRoll begins the next segment; false when the log has to be opened again.
func (f *folder) beginRoll() bool {
	tree := f.tree.Clone()
	encoded := f.encodeSnapshot(tree)
	p, err := f.log.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
		_, err := w.Write(<-encoded)
		return err
	}})
	if err != nil {
		f.h.failed(err)
		return false
	}
	f.roll, f.rollMark, f.rollFolds = p, tree.Generation, tree.folds
	return true
}

// end leaves a snapshot for the next start to begin with, where that saves it work.
func (f *folder) end() {
	if f.log == nil || f.roll != nil && !f.rolled() {
		return
	}
	if f.tree.deservesSnapshot() && !f.o.Now().Before(f.noRollBefore) && f.beginRoll() {
		f.rolled()
	}
}

// encodeSnapshot encodes a snapshot while the committer still has other things to do: acks wait for a roll.
func (f *folder) encodeSnapshot(t *Tree) <-chan []byte {
	encoded := make(chan []byte, 1)
	f.encoding.Go(func() { encoded <- t.AppendSnapshot(nil) })
	return encoded
}

// rolled looks at what became of a roll; false when it has torn the log.
func (f *folder) rolled() bool {
	_, err := f.roll.Wait()
	f.roll = nil
	switch {
	case errors.Is(err, eventlog.ErrUnknownOutcome), errors.Is(err, eventlog.ErrPoisoned):
		f.h.failed(err)
		return false
	case err != nil:
		f.noRollBefore = f.o.Now().Add(rerollEvery)
		f.o.Logger.Warn("beginning a new segment of the event log", "err", err)
		return true
	}
	f.tree.folds -= f.rollFolds
	// What came since may be lost with the power, and its generations with it: they count when the next segment begins.
	if p := f.o.Retain.policy(f.rollMark); p != (eventlog.Policy{}) {
		if _, err := f.log.Prune(p); err != nil {
			f.o.Logger.Warn("dropping old segments of the event log", "err", err)
		}
	}
	return true
}
