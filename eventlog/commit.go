package eventlog

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"

	"lqosd/eventlog/internal/fault"
)

// faults lets tests make a commit go wrong.
type faults struct {
	// before runs before anything of a commit is stored; its error is a known failure.
	before func() error
	// commit runs in place of bbolt's Commit, which it may call; its error is an unknown outcome.
	commit func(*bolt.Tx) error
	// roll runs before each step of a roll, named as in doc.go; its error ends the roll there.
	roll func(step string) error
	// hasty: the committer never lingers. In a test's fake time it would for ever.
	hasty bool
	// oneThread: the committer keeps to one thread, so that faults can be injected into the n-th system call of it.
	oneThread bool
	// trust: whatever the newest commit says is believed.
	trust bool
	// room is when there is to be room, in place of the usual rule.
	room *roomRule
	// busy: the committer is never idle; nothing is committed because time passes.
	busy bool
}

// WithFaults gives options for a log whose disk does what h says. Package eventlogtest calls it.
func (o Options) WithFaults(h fault.Hooks) Options {
	o.faults = &faults{before: h.Before, roll: h.Roll, hasty: true, oneThread: h.OneThread}
	if h.Commit != nil {
		o.faults.commit = func(tx *bolt.Tx) error {
			tried := false
			err := h.Commit(func() error {
				tried = true
				return tx.Commit()
			})
			if tried {
				return err
			}
			return errors.Join(err, tx.Rollback())
		}
	}
	return o
}

// run is the committer: the only goroutine that writes. It takes what waits, commits it as one group, and takes again;
// groups grow while a commit is under way, so a lone client never waits for company. Bound to a thread of its own it would be woken
// through the kernel each time, and so would who waits for it.
func (l *Log) run() {
	defer close(l.stopped)
	if l.opts.faults.oneThread {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	// idle runs while a changed cursor waits for company, and after big groups.
	idle, armed := time.NewTimer(cursorDelay), l.live.trail.loud()
	if !armed {
		idle.Stop()
	}
	defer idle.Stop()
	for {
		items, closing := l.queue.take()
		if len(items) == 0 && closing {
			l.commitCursors()
			l.quieten()
			return
		}
		if len(items) > 0 {
			began := time.Now()
			l.work(items)
			if !l.opts.faults.hasty {
				l.linger(len(items), time.Since(began))
			}
			if l.live.trail.loud() {
				idle.Reset(cursorDelay)
				armed = true
			}
			continue
		}
		select {
		case <-l.queue.wake:
		case <-l.cursorSet:
			if !armed {
				idle.Reset(cursorDelay)
				armed = true
			}
		case <-idle.C:
			armed = false
			if !l.opts.faults.busy {
				l.commitCursors()
				l.quieten()
			}
		}
	}
}

// many transactions in a commit, with others in line after it, are those of clients who don't wait for one before they send the next;
// enough of them make a commit's price small beside theirs. longest bounds what they may wait for others, after a disk that stood still.
const (
	many    = 32
	enough  = 400
	longest = 10 * time.Millisecond
)

// linger lets the clients that a commit just woke put their next transactions in line. docs/adr/0003 has the reasons.
//
//   - A lone client has nobody to wait for.
//   - Of many, when others are in line already, all that are on their way are waited for, or enough of them, for at most twice the time
//     the commit took.
//   - Of several, for at most a quarter of that: otherwise half of them always miss the next commit. It yields instead of
//     sleeping, since timers are coarser than a commit.
//   - Of enough, those who are at work already, on what comes next, have a turn.
//
// It ends when as many are in line as it waits for, and when nobody else can come.
func (l *Log) linger(group int, took time.Duration) {
	if group < 2 {
		return
	}
	inLine := l.queue.waiting()
	switch {
	case group >= many && inLine > 0:
		l.queue.gather(min(group+inLine, enough), min(2*took, longest))
	case group < enough:
		for began := time.Now(); time.Since(began) < took/4 && l.queue.lacks(group); {
			runtime.Gosched()
		}
	default:
		for range 4 {
			runtime.Gosched()
		}
	}
}

func (l *Log) work(items []*Pending) {
	if items[0].roll != nil {
		l.roll(items[0])
		return
	}
	l.commitGroup(items)
}

// commitGroup makes items durable: commit, publish to the ring, wake waiters, in this order.
func (l *Log) commitGroup(items []*Pending) {
	g := l.encoder.encode(items, stamp{epoch: l.epoch.Epoch, time: l.opts.Clock().UnixNano()}, l.tally.Chain)
	err := l.commit(func(tx *bolt.Tx) error {
		if err := l.live.room(tx, g, l.opts.faults.room); err != nil {
			return err
		}
		return g.put(tx)
	}, g.chain, !g.small && !l.opts.NoSync)
	if err != nil {
		l.fail(items, err)
		return
	}
	l.statsMu.Lock()
	for _, f := range g.frames {
		l.tally.add(f.header)
	}
	l.statsMu.Unlock()
	l.liveBytes.Store(l.tally.Stored)
	l.ring.push(g.frames)
	l.durable.publish(g.last())
	for _, p := range items {
		p.finish(nil)
	}
}

func (l *Log) commitCursors() {
	if l.queue.poisoned() != nil || !l.cursors.changed() {
		return
	}
	l.commitNothing()
}

// commitNothing commits what is due with any commit.
func (l *Log) commitNothing() {
	if err := l.commit(func(*bolt.Tx) error { return nil }, l.tally.Chain, false); err != nil {
		l.fail(nil, err)
	}
}

// quieten commits until neither of the two newest commits announces anything.
func (l *Log) quieten() {
	for l.live.trail.loud() && l.queue.poisoned() == nil {
		l.commitNothing()
	}
}

// commit runs fn in a write transaction that also carries what is due: changed cursors, and the entry of this epoch with its
// first commit. After it the chain ends with end. A big one may be synced once if the one before it announced it, as it does itself.
func (l *Log) commit(fn func(*bolt.Tx) error, end chain, big bool) error {
	moved := l.cursors.takeDirty()
	var tx *bolt.Tx
	err := guard(func() (err error) {
		if f := l.opts.faults.before; f != nil {
			if err := f(); err != nil {
				return err
			}
		}
		if err := l.live.checkName(); err != nil {
			return err
		}
		if tx, err = l.live.db.Begin(true); err != nil {
			return err
		}
		if !l.epochStored {
			if err := putJSON(tx.Bucket(bucketMeta), epochKey(l.epoch.Epoch), l.epoch); err != nil {
				return err
			}
		}
		if err := putCursors(tx, moved); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return l.live.putSum(tx, end, big)
	})
	if err != nil {
		if tx != nil {
			_ = guard(tx.Rollback) // nothing was written; the log is given up in any case
		}
		return fmt.Errorf("committing: %w: %w", ErrNotAppended, err)
	}
	if err := l.commitTx(tx, big && l.live.once); err != nil {
		return fmt.Errorf("committing: %w: %w", ErrUnknownOutcome, err)
	}
	l.epochStored = true
	l.live.once, l.live.trail = big, l.live.trail.then(big)
	l.commits.Add(1)
	return nil
}

// commitTx commits tx. Until it is durable no copy of the log is begun that would have it.
func (l *Log) commitTx(tx *bolt.Tx, once bool) error {
	l.unsureMu.Lock()
	defer l.unsureMu.Unlock()
	l.unsure = true
	err := guard(func() error {
		store := func() error { return l.opts.faults.commitTx(tx) }
		if once {
			return l.live.syncOnce(store)
		}
		return store()
	})
	l.unsure = err != nil
	return err
}

func (f *faults) commitTx(tx *bolt.Tx) error {
	if f.commit != nil {
		return f.commit(tx)
	}
	return tx.Commit()
}

// fail poisons the log and ends items with err, in this order: who hears of the failure finds the log refusing. Whatever
// waits behind items builds on records that may not exist.
func (l *Log) fail(items []*Pending, err error) {
	why := fmt.Errorf("%w: %s", ErrPoisoned, err.Error()) // in words alone: of what is refused the outcome is known
	behind := l.queue.poison(why)
	l.durable.stop(fmt.Errorf("%w: %w", ErrPoisoned, err))
	for _, p := range items {
		p.finish(err)
	}
	for _, p := range behind {
		p.finish(fmt.Errorf("appending: %w: %w", ErrNotAppended, why))
	}
}
