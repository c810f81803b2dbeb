package xdp

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Traffic is what a circuit got and sent since its counters began.
type Traffic struct {
	Circuit uint64 `json:"circuit"`
	Down    Flow   `json:"down"`
	Up      Flow   `json:"up"`
}

// Flow is one direction, as it was handed to the classes.
type Flow struct {
	Packets uint64    `json:"packets"`
	Bytes   uint64    `json:"bytes"`         // on the wire, without preamble and FCS
	Seen    time.Time `json:"seen,omitzero"` // when the newest packet was; zero if none was
}

// Traffic reads the counters of all circuits that had a packet, in any order.
func (p *Plane) Traffic(ctx context.Context) (list []Traffic, err error) {
	err = p.during(func() error { list, err = p.traffic(ctx); return err })
	return list, err
}

func (p *Plane) traffic(ctx context.Context) ([]Traffic, error) {
	clock, err := newClock()
	if err != nil {
		return nil, err
	}
	var list []Traffic
	err = readAll(ctx, p.objects.maps[bpfMapCircuits], func(keys []uint64, values []bpfTraffic) {
		for i, v := range values {
			list = append(list, Traffic{Circuit: keys[i], Down: clock.flow(v.Direction[down]), Up: clock.flow(v.Direction[up])})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("reading counters: %w", err)
	}
	return list, nil
}

// clock tells the time of CLOCK_MONOTONIC, which the programs have.
type clock struct{ boot time.Time }

func newClock() (clock, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return clock{}, fmt.Errorf("reading the clock: %w", err)
	}
	return clock{time.Now().Add(-time.Duration(ts.Nano()))}, nil
}

func (c clock) flow(f bpfFlow) Flow {
	flow := Flow{Packets: f.Packets, Bytes: f.Bytes}
	if f.Seen > 0 {
		flow.Seen = c.boot.Add(time.Duration(f.Seen))
	}
	return flow
}

// keepCounters is how long counters stay that no steer adds to: a subscriber who moves, or is
// away while the configuration is made anew, keeps them.
const keepCounters = 10 * time.Minute

// sweep removes the counters of circuits that no steer had for so long.
func (p *Plane) sweep(ctx context.Context, now time.Time) error {
	steers, err := p.readSteers(ctx)
	if err != nil {
		return err
	}
	steered := make(map[uint64]bool, len(steers))
	for _, s := range steers {
		steered[s.Circuit] = true
	}
	absent := map[uint64]time.Time{}
	var over []uint64
	circuits := p.objects.maps[bpfMapCircuits]
	err = readAll(ctx, circuits, func(keys []uint64, _ []bpfTraffic) {
		for _, circuit := range keys {
			if steered[circuit] {
				continue
			}
			since, known := p.absent[circuit]
			if !known {
				since = now
			}
			if now.Sub(since) >= keepCounters {
				over = append(over, circuit)
			} else {
				absent[circuit] = since
			}
		}
	})
	if err != nil {
		return err
	}
	p.absent = absent
	n, err := deleteAll(ctx, circuits, over)
	p.wrote.Add(uint64(n))
	return err
}
