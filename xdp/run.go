package xdp

import (
	"context"
	"time"
)

// How often Run looks. What is looked at are two links and some pins: microseconds.
const (
	keepEvery  = 500 * time.Millisecond // links and programs: within a second of what happened
	spreadFor  = 5 * time.Second        // the queues, which drivers set up anew whenever a link goes up
	sweepEvery = 5 * time.Minute        // counters
)

// Run keeps the programs attached until ctx ends: to links that come, or come back with
// another index, and where somebody removed them. It keeps the kernel from choosing queues, and removes the
// counters of circuits that are over. Its error is that p was closed, nil if ctx ended.
func (p *Plane) Run(ctx context.Context) error {
	keep, spread, sweep := time.NewTicker(keepEvery), time.NewTicker(spreadFor), time.NewTicker(sweepEvery)
	defer keep.Stop()
	defer spread.Stop()
	defer sweep.Stop()
	for {
		var work func()
		select {
		case <-ctx.Done():
			return nil
		case <-keep.C:
			work = func() {
				p.reconfigure()
				p.look()
			}
		case <-spread.C:
			work = p.spread
		case now := <-sweep.C:
			work = func() {
				if err := p.sweep(ctx, now); err != nil && ctx.Err() == nil {
					p.options.Logger.Error("counters can't be swept", "error", err)
				}
			}
		}
		if err := p.during(func() error { work(); return nil }); err != nil {
			return err
		}
	}
}

// look does once what Run does again and again.
func (p *Plane) look() {
	p.attaching.Lock()
	defer p.attaching.Unlock()
	if err := p.keep(); err != nil {
		p.options.Logger.Error("programs can't be kept attached", "error", err)
	}
}

// spread sets up the queues of all links again, and makes cards leave VLAN tags where they are.
func (p *Plane) spread() {
	p.attaching.Lock()
	defer p.attaching.Unlock()
	for _, a := range p.attached {
		p.showTags(a)
		p.chooseQueues(a)
	}
}
