package eventlog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// What may wait for the committer, and the most that goes into one commit. A transaction that alone is over it waits until
// the queue is empty.
const (
	maxQueueBytes   = 8 << 20
	maxQueueRecords = 64 << 10
)

// queue is the line in front of the committer. It gives out seqs.
type queue struct {
	wake chan struct{} // capacity 1: something changed; further sends while it is full are dropped

	mu      sync.Mutex
	room    *sync.Cond // signalled when something left the queue or the queue refuses
	items   []*Pending
	bytes   int
	records int
	blocked int // who wait for room
	gathers int // while so many are to gather, fewer don't wake
	next    Seq // of the next record
	keys    *keyTable
	refuse  error // why nothing more is accepted: ErrClosed or ErrPoisoned
	failed  error // set by poison
	closing bool
}

func newQueue(next Seq, keys *keyTable) *queue {
	q := &queue{wake: make(chan struct{}, 1), next: next, keys: keys}
	q.room = sync.NewCond(&q.mu)
	return q
}

func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// put appends tx to the queue. It blocks while the queue is full, until ctx ends.
func (q *queue) put(ctx context.Context, tx Tx) (*Pending, error) {
	if err := tx.check(); err != nil {
		return nil, fmt.Errorf("appending: %w", err)
	}
	p := &Pending{key: tx.Key, records: tx.Records, size: tx.size()}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.waitForRoom(ctx, p); err != nil {
		return nil, fmt.Errorf("appending: %w: %w", ErrNotAppended, err)
	}
	if first, ok := q.seen(p.key); ok {
		return first, nil
	}
	p.begin()
	p.res = Result{First: q.next, Last: q.next + Seq(len(p.records)) - 1}
	q.next = p.res.Last + 1
	if p.key != "" {
		q.keys.add(keyed{key: p.key, first: p.res.First, last: p.res.Last, pending: p.done})
	}
	q.items = append(q.items, p)
	q.bytes += p.size
	q.records += len(p.records)
	if len(q.items) >= q.gathers {
		q.nudge()
	}
	return p, nil
}

// waitForRoom returns when p may be queued. q.mu is held, but let go of while waiting.
func (q *queue) waitForRoom(ctx context.Context, p *Pending) error {
	full := func() bool {
		return len(q.items) > 0 && (q.bytes+p.size > maxQueueBytes || q.records+len(p.records) > maxQueueRecords)
	}
	if q.refuse == nil && full() && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.room.Broadcast()
		})
		defer stop()
	}
	q.blocked++
	if q.gathers > 0 && full() {
		q.nudge()
	}
	for q.refuse == nil && full() && ctx.Err() == nil {
		q.room.Wait()
	}
	q.blocked--
	if q.refuse != nil {
		return q.refuse
	}
	return ctx.Err()
}

// seen returns what a transaction with a known key gets.
func (q *queue) seen(key string) (*Pending, bool) {
	if key == "" {
		return nil, false
	}
	k, ok := q.keys.lookup(key)
	if !ok {
		return nil, false
	}
	done := k.pending
	if done == nil {
		done = completed
	}
	return &Pending{res: Result{First: k.first, Last: k.last, Duplicate: true}, done: done}, true
}

// putRoll appends a roll to the queue; it takes no room.
func (q *queue) putRoll(s Snapshot) (*Pending, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return nil, fmt.Errorf("rolling: %w", q.refuse)
	}
	p := &Pending{res: Result{First: q.next - 1, Last: q.next - 1}, done: newCompletion(), roll: &s}
	q.items = append(q.items, p)
	q.nudge()
	return p, nil
}

// take removes what goes into the next commit: one roll, or transactions up to the limits. Nothing waits if it is empty;
// closing tells that nothing will come.
func (q *queue) take() (items []*Pending, closing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes, records := 0, 0, 0
	for ; n < len(q.items); n++ {
		p := q.items[n]
		if n > 0 && (p.roll != nil || bytes+p.size > maxQueueBytes || records+len(p.records) > maxQueueRecords) {
			break
		}
		bytes += p.size
		records += len(p.records)
		if p.roll != nil {
			n++
			break
		}
	}
	items = q.items[:n:n]
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	q.bytes -= bytes
	q.records -= records
	if n > 0 {
		q.room.Broadcast()
	}
	return items, q.closing
}

// stop makes the queue refuse further transactions. What waits is still taken.
func (q *queue) stop(why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse == nil {
		q.refuse = why
	}
	q.closing = true
	q.room.Broadcast()
	q.nudge()
}

// poison makes the queue refuse everything and returns what waited.
func (q *queue) poison(why error) []*Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuse, q.failed = why, why
	items := q.items
	q.items, q.bytes, q.records = nil, 0, 0
	q.room.Broadcast()
	return items
}

// encodeKeys is the list of keys known through at.
func (q *queue) encodeKeys(at Seq) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.keys.encode(at)
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// lacks tells that fewer than n are in line, and that more who come would be in the same commit: not when nothing is accepted any
// more, nor when somebody waits for room, nor behind a roll.
func (q *queue) lacks(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refuse == nil && q.blocked == 0 && len(q.items) < n && !slices.ContainsFunc(q.items, func(p *Pending) bool { return p.roll != nil })
}

// gather waits until n are in line, nobody else can come, or so much time has passed. Only the committer calls it.
func (q *queue) gather(n int, most time.Duration) {
	q.wakeAt(n)
	defer q.wakeAt(0)
	timer := time.NewTimer(most)
	defer timer.Stop()
	for q.lacks(n) {
		select {
		case <-q.wake:
		case <-timer.C:
			return
		}
	}
}

// wakeAt makes put wake the committer only when so many are in line.
func (q *queue) wakeAt(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gathers = n
}

// poisoned is why nothing may be written any more, nil if it may.
func (q *queue) poisoned() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}
