package main

import (
	"errors"
	"sync"
	"time"

	"lqosd/bakery"
)

// maxBatches is about how many bytes of memory the batches of all connections may take: those that are being stated, and
// those that are being committed.
const maxBatches = 256 << 20

// batches bounds the memory of the batches of all connections. Where it is used up the batch to which nothing was added
// for the longest time is dropped, and refused when it is to be committed. Commits wait for each other instead: at any time those of
// half the memory are on their way to the log, or one.
type batches struct {
	mu         sync.Mutex
	settled    sync.Cond // commits wait for it; its lock is mu
	open       map[*openBatch]struct{}
	stated     int // bytes of the open ones
	committing int // bytes of those on their way to the log
}

// openBatch is the batch of a connection between BakeryStart and BakeryCommit.
type openBatch struct {
	mu    sync.Mutex // for batch: another connection may drop it
	batch *bakery.Batch

	memory int       // what batches counts it as; batches.mu is for it and last
	last   time.Time // when it grew
}

var errDropped = errors.New("the batches of all connections together took too much memory, and nothing was added to this one for the longest time: it is dropped")

func newBatches() *batches {
	b := &batches{open: map[*openBatch]struct{}{}}
	b.settled.L = &b.mu
	return b
}

func (b *batches) start() *openBatch {
	o := &openBatch{batch: bakery.NewBatch()}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open[o] = struct{}{}
	return o
}

// do changes a batch, and then drops others if that made all of them too large.
func (b *batches) do(o *openBatch, change func(*bakery.Batch) error) error {
	o.mu.Lock()
	err := change(o.batch)
	memory := o.batch.Memory()
	o.mu.Unlock()
	for _, victim := range b.count(o, memory) {
		victim.mu.Lock()
		victim.batch.Drop(errDropped)
		victim.mu.Unlock()
	}
	return err
}

// count notes what a batch takes now, and gives those that have to go.
func (b *batches) count(o *openBatch, memory int) (victims []*openBatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stated += memory - o.memory
	o.memory, o.last = memory, time.Now()
	for b.stated+b.committing > maxBatches {
		var idlest *openBatch
		for other := range b.open {
			if other != o && other.memory > 0 && (idlest == nil || other.last.Before(idlest.last)) {
				idlest = other
			}
		}
		if idlest == nil {
			return victims
		}
		b.stated -= idlest.memory
		idlest.memory = 0
		victims = append(victims, idlest)
	}
	return victims
}

// end forgets a batch that won't be committed; nil is none.
func (b *batches) end(o *openBatch) {
	if o == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, o)
	b.stated -= o.memory
	o.memory = 0
}

// commit takes a batch out to be committed, when there is room for one more, or at once. Until done its memory counts.
func (b *batches) commit(o *openBatch, atOnce bool) (c bakery.Command, done func()) {
	b.end(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	memory := o.batch.Memory()
	b.mu.Lock()
	defer b.mu.Unlock()
	for !atOnce && b.committing > 0 && b.committing+memory > maxBatches/2 {
		b.settled.Wait()
	}
	b.committing += memory
	c = o.batch.Commit()
	o.batch = bakery.NewBatch() // what was only there to find mistakes needn't wait for the disk
	return c, sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.committing -= memory
		b.settled.Broadcast()
	})
}
