package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"lqosd/bus"
	"lqosd/eventlog"
)

// kibibyte is what the daemon may take for a circuit in one direction.
const kibibyte = 1 << 10

// memoryRows compare what the daemon took of memory at most, over what an idle one takes, while a batch was committed.
var memoryRows = []row{
	{
		key: "memory_apply", pairs: 3, goal: goal{atMost: 1}, root: true,
		what: "peak memory of the daemon over an idle one, 10,000 circuits in the kernel", against: "1 KiB",
		prepare: func(ctx context.Context, s *stand) (pair, error) {
			if err := makeLinks(ctx, s); err != nil {
				return nil, err
			}
			unmake := func(ctx context.Context, d *daemon) error { return errors.Join(unbuild(ctx), s.detach(ctx, d.dir)) }
			return memory{circuits: s.circuits(), start: s.applying, unmake: unmake}.prepare(), nil
		},
	},
	{
		key: "memory_file", pairs: 3, goal: goal{atMost: 1}, sizes: circuitCounts,
		what: "peak memory of the daemon over an idle one, 60,000 circuits in file mode", against: "1 KiB",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return memory{circuits: s.size(60_000, 1_000), start: s.filing}.prepare(), nil
		},
	},
	{
		key: "memory_records", pairs: 3,
		what: "peak memory of the daemon over an idle one, 60,000 circuits in file mode", against: "the bytes of the records",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return memory{circuits: s.size(60_000, 1_000), start: s.filing, records: true}.prepare(), nil
		},
	},
}

// memory is a network, and a daemon that gets it.
type memory struct {
	circuits int
	start    func(context.Context) (*daemon, *bus.Client, error)
	records  bool                                 // compare with the bytes of the records
	unmake   func(context.Context, *daemon) error // what it was built to in the kernel; nil: nothing
}

func (m memory) prepare() pair {
	n := network{circuits: m.circuits, queues: 16, addresses: true}
	calls := n.batch()
	return func(ctx context.Context) (ours, other sample, err error) {
		d, c, err := m.start(ctx)
		if err != nil {
			return ours, other, err
		}
		idle, err := d.peak()
		if err != nil {
			return ours, other, err
		}
		if err := sendAndWait(ctx, c, calls); err != nil {
			return ours, other, err
		}
		most, err := d.peak()
		if err = errors.Join(err, c.Close(), d.end()); err != nil {
			return ours, other, err
		}
		ours, other = m.sample(most-idle), m.sample(2*m.circuits*kibibyte)
		switch {
		case m.records:
			size, err := recordBytes(d)
			return ours, m.sample(size), err
		case m.unmake != nil:
			err = m.unmake(ctx, d)
		}
		return ours, other, err
	}
}

func (m memory) sample(bytes int) sample {
	return sample{bytes: bytes, units: 2 * m.circuits, unit: "circuit and direction"}
}

// filing starts a daemon in file mode, and connects to it.
func (s *stand) filing(ctx context.Context) (*daemon, *bus.Client, error) {
	d, err := s.startDaemon(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.connected(ctx, d)
}

// peak is the most memory that the daemon has had since its start (VmHWM).
func (d *daemon) peak() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "VmHWM:" {
			kib, err := strconv.Atoi(words[1])
			return kib * kibibyte, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM", d.cmd.Process.Pid)
}

// recordBytes is what the records of a daemon that has ended take.
func recordBytes(d *daemon) (n int, err error) {
	src, err := eventlog.OpenReader(eventlogOf(d.dir))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	for r, err := range src.Records(0) {
		if err != nil {
			return 0, err
		}
		n += len(r.Data)
	}
	return n, nil
}
