package main

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"lqosd/bus"
)

// busRows compare the way from a client to the disk with what a daemon would do that commits each command alone.
var busRows = []row{
	{
		key: "bus_pipelined", pairs: 9, goal: goal{atLeast: 15}, disk: true, sizes: thousands,
		what: "4,347 requests of a client that doesn't wait, from the socket to the disk", against: "one bbolt transaction per command, no bus",
		prepare: preparePipelined,
	},
	{
		key: "bus_64_clients", pairs: 9, goal: goal{atLeast: 15}, disk: true, sizes: thousands,
		what: "64 clients, each with one command on its way", against: "one client with one on its way",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareClosedLoop(ctx, s, 64, 1) },
	},
	{
		key: "bus_1024_in_flight", pairs: 9, goal: goal{atLeast: 100}, disk: true, sizes: thousands,
		what: "one client with 1,024 commands on their way", against: "one client with one on its way",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareClosedLoop(ctx, s, 1, 1024) },
	},
	{
		key: "bus_while_copied", pairs: 9, goal: goal{atLeast: 0.3}, disk: true,
		what: "one client with 1,024 commands on their way, while bakery-replay copies the log, again and again", against: "nobody copies",
		prepare: prepareCopied,
	},
}

func preparePipelined(ctx context.Context, s *stand) (pair, error) {
	calls, err := s.trace()
	if err != nil {
		return nil, err
	}
	d, err := s.startDaemon(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	s.later(c.Close)
	plain, err := openPlain(s)
	if err != nil {
		return nil, err
	}
	records := encode(commands(s.fixed(len(calls), 400)))
	if err := do(ctx, c, calls, 1); err != nil { // the first time
		return nil, err
	}
	if s.scale > 0 {
		calls = slices.Collect(cycled(calls, s.scale))
	}
	return func(ctx context.Context) (ours, other sample, err error) {
		began := time.Now()
		if err := do(ctx, c, calls, 1); err != nil {
			return ours, other, err
		}
		ours = sample{took: time.Since(began), units: len(calls), unit: "command"}
		began = time.Now()
		for _, r := range records {
			if err := plain.put(r); err != nil {
				return ours, other, err
			}
		}
		return ours, sample{took: time.Since(began), units: len(records), unit: "command"}, nil
	}, nil
}

// cycled is the first n of a list that is begun again at its end.
func cycled[T any](list []T, n int) iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range n {
			if !yield(list[i%len(list)]) {
				return
			}
		}
	}
}

// plainLog is the simplest log that keeps its word: a bbolt transaction for each record.
type plainLog struct{ db *bbolt.DB }

func openPlain(s *stand) (*plainLog, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	db, err := bbolt.Open(filepath.Join(dir, "log.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	s.later(db.Close)
	return &plainLog{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("log"))
		return err
	})
}

func (p *plainLog) put(record []byte) error {
	return p.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("log"))
		n, err := b.NextSequence()
		if err != nil {
			return err
		}
		return b.Put(binary.BigEndian.AppendUint64(nil, n), record)
	})
}

// prepareClosedLoop measures clients that keep a number of commands on their way, and one client with one.
func prepareClosedLoop(ctx context.Context, s *stand, clients, inFlight int) (pair, error) {
	_, all, classes, err := s.clients(ctx, clients)
	if err != nil {
		return nil, err
	}
	each := s.size(20_000, 2_000) / clients
	return func(ctx context.Context) (ours, other sample, err error) {
		if ours, err = closedLoop(ctx, all, classes, each, inFlight); err != nil {
			return ours, other, err
		}
		other, err = closedLoop(ctx, all[:1], classes, s.fixed(1_000, 100), 1)
		return ours, other, err
	}, nil
}

// clients starts a daemon that has the recorded network, and gives so many clients of it, and commands that any of them may send
// again and again.
func (s *stand) clients(ctx context.Context, n int) (d *daemon, all []*bus.Client, classes []bus.Call, err error) {
	calls, err := s.trace()
	if err != nil {
		return nil, nil, nil, err
	}
	if d, err = s.startDaemon(ctx); err != nil {
		return nil, nil, nil, err
	}
	for range n {
		c, err := d.dial(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		s.later(c.Close)
		all = append(all, c)
	}
	for _, c := range calls {
		if c.Name == "BakeryAddCircuitHTBClass" {
			classes = append(classes, c)
		}
	}
	return d, all, classes, do(ctx, all[0], calls, 1024)
}

// prepareCopied measures a client beside somebody who copies the daemon's log all the time.
func prepareCopied(ctx context.Context, s *stand) (pair, error) {
	d, all, classes, err := s.clients(ctx, 1)
	if err != nil {
		return nil, err
	}
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	each := s.fixed(40_000, 4_000)
	return func(ctx context.Context) (ours, other sample, err error) {
		copying, stop := context.WithCancel(ctx)
		defer stop()
		copied := make(chan error, 1)
		go func() {
			copied <- copyAgain(copying, filepath.Join(s.bin, "bakery-replay"), "unix:"+d.socket(), filepath.Join(dir, "copy"))
		}()
		if ours, err = closedLoop(ctx, all, classes, each, 1024); err != nil {
			return ours, other, err
		}
		stop()
		if err := <-copied; err != nil {
			return ours, other, err
		}
		other, err = closedLoop(ctx, all, classes, each, 1024)
		return ours, other, err
	}, nil
}

// copyAgain copies a log, checks the copy and throws it away, until ctx ends. At least one copy is made.
func copyAgain(ctx context.Context, program, log, to string) error {
	for n := 0; n == 0 || ctx.Err() == nil; n++ {
		made := ctx
		if n == 0 {
			made = context.WithoutCancel(ctx)
		}
		err := quiet(made, program, "copy", log, "-o", to)
		if err != nil && made.Err() == nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	return nil
}

// closedLoop lets each client send a number of commands, so many at a time.
func closedLoop(ctx context.Context, clients []*bus.Client, calls []bus.Call, each, inFlight int) (sample, error) {
	began := time.Now()
	var wg sync.WaitGroup
	failed := make(chan error, len(clients))
	for n, c := range clients {
		wg.Go(func() {
			window := make(chan *bus.Future, inFlight)
			wait := func() error {
				replies, err := (<-window).Wait(ctx)
				for _, r := range replies {
					err = errors.Join(err, r.Err())
				}
				return err
			}
			for i := range each {
				if len(window) == inFlight {
					if err := wait(); err != nil {
						failed <- err
						return
					}
				}
				window <- c.Go(calls[(n*each+i)%len(calls)])
			}
			for len(window) > 0 {
				if err := wait(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-failed:
		return sample{}, err
	default:
		return sample{took: took, units: len(clients) * each, unit: "command"}, nil
	}
}
