package bus

import (
	"context"
	"sync"
)

// A document of aheadFrom bytes or more is read on a goroutine of its own, beside those before and behind it; one of more than aheadTo
// isn't, because that would multiply the memory that a connection takes.
const (
	aheadFrom = 16 << 10
	aheadTo   = 1 << 20
	maxAhead  = 4 // documents of one connection that are being read, or wait for their turn
)

// arrival is a document that has arrived.
type arrival struct {
	id      uint64
	payload []byte

	session Session
	codec   Codec
	bad     error
}

// ahead are the documents of a connection that are read ahead. They are taken in the order of their arrival, by a goroutine that is
// there while they are.
type ahead struct {
	take func(context.Context, *arrival) error

	mu      sync.Mutex
	moved   sync.Cond // put and settle wait for it
	waiting []early
	taking  bool  // the goroutine is there
	err     error // of take, which isn't called after it
}

type early struct {
	*arrival
	read chan struct{} // closed when it was
}

func newAhead(take func(context.Context, *arrival) error) *ahead {
	a := &ahead{take: take}
	a.moved.L = &a.mu
	return a
}

// put reads a document, and takes it when it is its turn. It blocks while there are too many.
func (a *ahead) put(ctx context.Context, d *arrival, read func(*arrival)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.waiting) >= maxAhead && a.err == nil {
		a.moved.Wait()
	}
	if a.err != nil {
		return a.err
	}
	e := early{d, make(chan struct{})}
	a.waiting = append(a.waiting, e)
	go func() {
		defer close(e.read)
		read(d)
	}()
	if !a.taking {
		a.taking = true
		go a.run(ctx)
	}
	return nil
}

// settle waits until all that was put has been taken.
func (a *ahead) settle() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.taking {
		a.moved.Wait()
	}
	return a.err
}

func (a *ahead) run(ctx context.Context) {
	for e, err := a.first(); e.arrival != nil; e, err = a.first() {
		<-e.read
		if err == nil {
			err = a.take(ctx, e.arrival)
		}
		a.done(err)
	}
}

// first is the document whose turn it is, none at the end.
func (a *ahead) first() (early, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.waiting, a.taking = nil, false
		a.moved.Broadcast()
		return early{}, nil
	}
	return a.waiting[0], a.err
}

// done makes room for another.
func (a *ahead) done(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[0] = early{}
	a.waiting, a.err = a.waiting[1:], err
	a.moved.Broadcast()
}
