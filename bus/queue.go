package bus

import "sync"

// pending is a session that was submitted and waits to be answered.
type pending struct {
	id    uint64
	codec Codec
	n     int            // requests, and so replies
	wait  func() []Reply // blocks until the replies are there
	cost  int64          // bytes it holds in memory, about

	submitted bool // wait is the handler's
}

// queue holds the sessions of one connection between Submit and their answers, in order. It is bounded in number and in
// bytes; one session always fits. When it is full, reserve blocks, and so the reader stops reading.
type queue struct {
	maxLen  int
	maxCost int64

	mu       sync.Mutex
	room     sync.Cond // the reader waits for it
	ready    sync.Cond // the answerer waits for it
	entries  []pending
	first    int   // index of the first entry not taken
	inflight int   // reserved and not done
	cost     int64 // of those
	closed   bool  // nothing more comes
}

func newQueue(maxLen int, maxCost int64) *queue {
	q := &queue{maxLen: maxLen, maxCost: maxCost}
	q.room.L, q.ready.L = &q.mu, &q.mu
	return q
}

// reserve blocks until there is room for a session of this cost. It is false once the queue is closed.
func (q *queue) reserve(cost int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.full(cost) {
		q.room.Wait()
	}
	return !q.closed && q.enter(cost)
}

// tryReserve is reserve that doesn't block: it is false also when there is no room.
func (q *queue) tryReserve(cost int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && !q.full(cost) && q.enter(cost)
}

func (q *queue) full(cost int64) bool {
	return q.inflight > 0 && (q.inflight >= q.maxLen || q.cost+cost > q.maxCost)
}

func (q *queue) enter(cost int64) bool {
	q.inflight++
	q.cost += cost
	return true
}

// put adds sessions for which room was reserved.
func (q *queue) put(p ...pending) {
	q.mu.Lock()
	q.entries = append(q.entries, p...)
	q.mu.Unlock()
	q.ready.Signal()
}

// take removes the first session, blocking until there is one. It is false once the queue is closed and empty.
func (q *queue) take() (pending, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first == len(q.entries) && !q.closed {
		q.ready.Wait()
	}
	if q.first == len(q.entries) {
		return pending{}, false
	}
	p := q.entries[q.first]
	q.entries[q.first] = pending{}
	q.first++
	q.compact()
	return p, true
}

// keptEntries is how many entries an empty queue keeps room for.
const keptEntries = 64

// compact lets go of what was taken, also when the queue is never empty, and of the room that only a rush needs.
func (q *queue) compact() {
	switch {
	case q.first == len(q.entries) && cap(q.entries) > keptEntries:
		q.entries, q.first = nil, 0
	case q.first == len(q.entries):
		q.entries, q.first = q.entries[:0], 0
	case q.first > keptEntries && q.first >= len(q.entries)/2:
		n := copy(q.entries, q.entries[q.first:])
		clear(q.entries[n:])
		q.entries, q.first = q.entries[:n], 0
	}
}

// done gives the room of a session back.
func (q *queue) done(cost int64) {
	q.mu.Lock()
	q.inflight--
	q.cost -= cost
	q.mu.Unlock()
	q.room.Signal()
}

// close lets take run dry and reserve fail.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Signal()
	q.ready.Signal()
}
