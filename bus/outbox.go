package bus

import (
	"slices"
	"sync"
)

// outbox holds frames that are to be written. While one write is under way the next frames gather, and leave together
// in one write. It is bounded: put blocks while limit bytes or more are held; a frame that is larger than the limit is
// taken whole.
type outbox struct {
	limit int
	idle  int // the largest buffer that is kept while no frame is there

	mu       sync.Mutex
	room     sync.Cond // put waits for it
	ready    sync.Cond // run waits for it
	buf      []byte    // frames not yet being written
	writing  int       // bytes being written
	finished bool      // nothing more comes
	broken   bool      // nothing more can be written: what comes is dropped
}

// The largest buffers, in bytes, that are kept for reuse: while frames come one after the other, and while none is there, by a
// server, which has thousands of connections, and by a client.
const (
	keptBuffer       = 1 << 20
	idleBuffer       = 4 << 10
	idleClientBuffer = 512 << 10
)

func newOutbox(limit, idle int) *outbox {
	o := &outbox{limit: limit, idle: idle}
	o.room.L, o.ready.L = &o.mu, &o.mu
	return o
}

// put adds a frame. It is false if the frame was dropped.
func (o *outbox) put(id uint64, payload []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.broken && len(o.buf)+o.writing >= o.limit {
		o.room.Wait()
	}
	if o.broken || o.finished {
		return false
	}
	if size := frameSize(len(payload)); size > MaxChunk {
		o.buf = slices.Grow(o.buf, size)
	}
	o.buf = appendFrame(o.buf, id, payload)
	o.ready.Signal()
	return true
}

// run writes what is put until the box is finished and empty, broken, or write returns an error, which breaks it.
func (o *outbox) run(write func([]byte) error) error {
	var spare []byte
	for {
		batch := o.take(spare)
		if batch == nil {
			return nil
		}
		if err := write(batch); err != nil {
			o.breakOff()
			return err
		}
		o.mu.Lock()
		o.writing = 0
		o.mu.Unlock()
		o.room.Broadcast()
		if spare = nil; cap(batch) <= keptBuffer {
			spare = batch[:0]
		}
	}
}

// take swaps the gathered frames for an empty buffer; nil at the end.
func (o *outbox) take(spare []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) == 0 && !o.finished && !o.broken {
		if cap(o.buf) > o.idle {
			o.buf = nil
		}
		if cap(spare) > o.idle {
			spare = nil
		}
		o.ready.Wait()
	}
	if len(o.buf) == 0 || o.broken {
		return nil
	}
	batch := o.buf
	o.buf, o.writing = spare, len(batch)
	return batch
}

// empty reports that nothing is held.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) == 0 && o.writing == 0
}

// finish lets run end when all is written.
func (o *outbox) finish() {
	o.mu.Lock()
	o.finished = true
	o.mu.Unlock()
	o.ready.Signal()
}

// breakOff drops all that is held and all that will come.
func (o *outbox) breakOff() {
	o.mu.Lock()
	o.broken, o.buf, o.writing = true, nil, 0
	o.mu.Unlock()
	o.ready.Signal()
	o.room.Broadcast()
}
