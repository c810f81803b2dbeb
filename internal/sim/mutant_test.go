package sim

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// mutants are daemons with a mistake each. They are made anew for each run.
var mutants = map[string]func() *mutant{
	"fsync is skipped":            func() *mutant { return &mutant{forgetsFsync: true} },
	"answered before the commit":  func() *mutant { return &mutant{acksEarly: true} },
	"a failed commit is believed": func() *mutant { return &mutant{ignoresErrors: true} },
	"a record is read as another": func() *mutant { return &mutant{log: onLog(altered)} },
	"records are read in another order": func() *mutant {
		return &mutant{log: onLog(swapped)}
	},
	"a key is appended twice": func() *mutant {
		return &mutant{log: func(l bakery.Log) bakery.Log { return keyless{l} }}
	},
	"a snapshot has only what the kernel has": func() *mutant {
		return &mutant{log: func(l bakery.Log) bakery.Log { return forgetful{l} }}
	},
	"the cursor runs ahead": func() *mutant {
		return &mutant{log: func(l bakery.Log) bakery.Log { return &hasty{Log: l} }}
	},
	"lines of the tc file get lost": func() *mutant {
		return &mutant{sink: func(s bakery.Sink) bakery.Sink { return &leaky{Sink: s} }}
	},
	"a deletion isn't done": func() *mutant {
		return onKernel(lazy{skips: func(op tc.Op) bool { return op.Verb == tc.Delete && op.Class != nil }})
	},
	"a change isn't done": func() *mutant {
		return onKernel(lazy{skips: func(op tc.Op) bool { return op.Verb == tc.Change }})
	},
	"another boot isn't noticed": func() *mutant {
		return &mutant{kernel: func(_ *world, k bakery.Kernel) bakery.Kernel { return constant{k} }}
	},
	"nobody watches": func() *mutant {
		return &mutant{kernel: func(_ *world, k bakery.Kernel) bakery.Kernel { return blind{k} }}
	},
	"drift is undone and not told": func() *mutant {
		return &mutant{kernel: func(_ *world, k bakery.Kernel) bakery.Kernel { return &silent{Kernel: k, classes: map[string]tc.Op{}} }}
	},
	"an address comes before its class": func() *mutant {
		p := &early{of: map[tc.Handle]tc.Steer{}}
		return &mutant{
			dataplane: func(_ *world, d bakery.Dataplane) bakery.Dataplane { p.Dataplane = d; return p },
			kernel:    func(_ *world, k bakery.Kernel) bakery.Kernel { return &eager{k, p} },
		}
	},
	"an address goes after its class": func() *mutant {
		return &mutant{dataplane: func(_ *world, d bakery.Dataplane) bakery.Dataplane { return &late{Dataplane: d} }}
	},
	"an unmapping is forgotten": func() *mutant {
		return &mutant{dataplane: func(_ *world, d bakery.Dataplane) bakery.Dataplane { return sticky{d} }}
	},
	"a reset doesn't wait": func() *mutant {
		return &mutant{options: func(o *bakery.Options) { o.Settle, o.SettleMax = 0, 0 }}
	},
	"the policy is the other one": func() *mutant {
		return &mutant{options: func(o *bakery.Options) { o.Drift = 1 - o.Drift }}
	},
}

// mutantSeeds is how many runs a mutant may survive.
const mutantSeeds = 60

// TestMutantsAreCaught: the simulator finds mistakes of every kind that it is there to find,
// with seeds that find nothing in the daemon as it is.
func TestMutantsAreCaught(t *testing.T) {
	clean := map[uint64]bool{} // seeds that find nothing in the daemon as it is
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(mutantSeeds) {
				if r := run(t, config{seed: seed, length: usual, mutant: mutant()}); r.fault != "" {
					if !clean[seed] {
						simulate(t, seed, usual)
						clean[seed] = true
					}
					t.Logf("seed %d, after %v: %.200s", seed, r.took.Round(time.Second), r.fault)
					return
				}
			}
			t.Errorf("it survived %d runs of %v", mutantSeeds, usual)
		})
	}
}

// onLog changes what a log gives to read.
func onLog(change func([]eventlog.Record)) func(bakery.Log) bakery.Log {
	return func(l bakery.Log) bakery.Log { return misread{l, change} }
}

type misread struct {
	bakery.Log
	change func([]eventlog.Record)
}

func (m misread) Records(from eventlog.Seq) iter.Seq2[eventlog.Record, error] {
	return func(yield func(eventlog.Record, error) bool) {
		var all []eventlog.Record
		for r, err := range m.Log.Records(from) {
			if err != nil {
				yield(r, err)
				return
			}
			all = append(all, r)
		}
		m.change(all)
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// altered makes of a record in the middle one that changes nothing.
func altered(all []eventlog.Record) {
	if n := len(all) / 2; n > 0 {
		all[n].Data = bakery.AppendRecord(nil, bakery.Record{Seq: all[n].Seq, Command: bakery.DelIPFlow{Address: "192.0.2.1"}})
	}
}

func swapped(all []eventlog.Record) {
	if n := len(all) / 2; n > 0 {
		all[n].Data, all[n-1].Data = all[n-1].Data, all[n].Data
	}
}

type keyless struct{ bakery.Log }

func (k keyless) Known(string) (*eventlog.Pending, bool) { return nil, false }

func (k keyless) Enqueue(tx eventlog.Tx) (*eventlog.Pending, error) {
	tx.Key = ""
	return k.Log.Enqueue(tx)
}

// forgetful leaves out of a snapshot what tc lines can't say, such as which leaf had which
// handle.
type forgetful struct{ bakery.Log }

func (f forgetful) Snapshot() ([]byte, eventlog.Seq, error) {
	data, at, err := f.Log.Snapshot()
	if err != nil || at == 0 {
		return data, at, err
	}
	tree, err := bakery.DecodeSnapshot(data)
	if err != nil {
		return nil, 0, err
	}
	less, _ := bakery.FoldScript(strings.Join(tc.Script(tree.State()), "\n"))
	less.Seq, less.Generation, less.Setup = tree.Seq, tree.Generation, tree.Setup
	return less.AppendSnapshot(nil), at, nil
}

// hasty notes in the cursor the newest record, whatever was applied.
type hasty struct {
	bakery.Log
	last atomic.Uint64
}

func (h *hasty) Enqueue(tx eventlog.Tx) (*eventlog.Pending, error) {
	p, err := h.Log.Enqueue(tx)
	if err == nil {
		h.last.Store(uint64(p.Result().Last))
	}
	return p, err
}

func (h *hasty) SetCursor(name string, v []byte) {
	var fields map[string]any
	if last := h.last.Load(); json.Unmarshal(v, &fields) == nil && last > 0 {
		fields["seq"] = last + 3
		v, _ = json.Marshal(fields)
	}
	h.Log.SetCursor(name, v)
}

type leaky struct {
	bakery.Sink
	n int
}

func (l *leaky) Write(lines []byte) error {
	if l.n++; l.n%20 == 0 {
		return nil
	}
	return l.Sink.Write(lines)
}

func onKernel(l lazy) *mutant {
	return &mutant{kernel: func(_ *world, k bakery.Kernel) bakery.Kernel { l.Kernel = k; return l }}
}

// lazy says that it has done what it hasn't.
type lazy struct {
	bakery.Kernel
	skips func(tc.Op) bool
}

func (l lazy) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	done := l.Kernel.Apply(ctx, slices.DeleteFunc(slices.Clone(ops), l.skips))
	results := make([]tc.Result, len(ops))
	for i, op := range ops {
		if !l.skips(op) {
			results[i], done = done[0], done[1:]
		}
	}
	return results
}

type constant struct{ bakery.Kernel }

func (constant) Identity() string { return "the same" }

type blind struct{ bakery.Kernel }

func (b blind) Watch(ctx context.Context, changed func(string)) error {
	changed("")
	<-ctx.Done()
	return ctx.Err()
}

// silent does again what it did to classes, ahead of every reading.
type silent struct {
	bakery.Kernel
	classes map[string]tc.Op
}

func (s *silent) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	results := s.Kernel.Apply(ctx, ops)
	for i, op := range ops {
		switch {
		case op.Class == nil:
			clear(s.classes)
		case op.Verb == tc.Delete || results[i].Err != nil:
			delete(s.classes, op.Link()+op.Class.ID.String())
		default:
			op.Verb = tc.Change
			s.classes[op.Link()+op.Class.ID.String()] = op
		}
	}
	return results
}

func (s *silent) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	var ops []tc.Op
	for _, op := range s.classes {
		ops = append(ops, op)
	}
	s.Kernel.Apply(ctx, ops)
	return s.Kernel.Observe(ctx, links, known)
}

// early remembers which class an address pointed to, and eager maps it when the class is to
// be made.
type early struct {
	bakery.Dataplane
	of map[tc.Handle]tc.Steer
}

func (e *early) Steer(ctx context.Context, set, drop []tc.Steer) error {
	for _, s := range set {
		e.of[s.Class] = s
	}
	return e.Dataplane.Steer(ctx, set, drop)
}

type eager struct {
	bakery.Kernel
	p *early
}

func (e *eager) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	for _, op := range ops {
		if op.Class == nil || op.Verb != tc.Add {
			continue
		}
		if s, known := e.p.of[op.Class.ID]; known {
			_ = e.p.Dataplane.Steer(ctx, []tc.Steer{s}, nil)
		}
	}
	return e.Kernel.Apply(ctx, ops)
}

// late drops what it is told to when it is called the next time.
type late struct {
	bakery.Dataplane
	drop []tc.Steer
}

func (l *late) Steer(ctx context.Context, set, drop []tc.Steer) error {
	drop, l.drop = l.drop, drop
	return l.Dataplane.Steer(ctx, set, drop)
}

type sticky struct{ bakery.Dataplane }

func (s sticky) Steer(ctx context.Context, set, _ []tc.Steer) error {
	return s.Dataplane.Steer(ctx, set, nil)
}
