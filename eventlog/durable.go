package eventlog

import (
	"context"
	"fmt"
	"sync"
)

// durable is the last durable seq and who waits for it to grow.
type durable struct {
	mu      sync.Mutex
	seq     Seq
	grown   chan struct{} // closed when seq grows or stopped is set; nil when nobody waits
	stopped error         // why seq will not grow any more
}

func (d *durable) last() Seq {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seq
}

func (d *durable) publish(s Seq) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq = s
	d.wakeAll()
}

// stop ends all waiting with why; the first reason stays.
func (d *durable) stop(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped == nil {
		d.stopped = why
	}
	d.wakeAll()
}

func (d *durable) wakeAll() {
	if d.grown != nil {
		close(d.grown)
		d.grown = nil
	}
}

// state returns the last seq, why it stopped growing, and a channel that is closed when either changes.
func (d *durable) state() (Seq, <-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.grown == nil {
		d.grown = make(chan struct{})
	}
	return d.seq, d.grown, d.stopped
}

func (d *durable) wait(ctx context.Context, after Seq) error {
	for {
		seq, grown, stopped := d.state()
		if seq > after {
			return nil
		}
		if stopped != nil {
			return fmt.Errorf("waiting for seq %d: %w", after+1, stopped)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("waiting for seq %d: %w", after+1, ctx.Err())
		}
	}
}
