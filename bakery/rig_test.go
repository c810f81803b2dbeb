package bakery_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lqosd/bakery"
	"lqosd/eventlog"
)

func TestMain(m *testing.M) {
	if err := unpackOnce(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// unpackOnce reads a compressed record. The event log has one decompressor, made when it is
// first needed: made in a bubble of testing/synctest, no other bubble could use it.
func unpackOnce() error {
	dir, err := os.MkdirTemp("", "bakery")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	log, err := openLog(dir)
	if err != nil {
		return err
	}
	p, err := log.Enqueue(eventlog.Tx{Records: [][]byte{make([]byte, 1<<16)}})
	if err != nil {
		return err
	}
	if _, err := p.Wait(); err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	if log, err = openLog(dir); err != nil {
		return err
	}
	for _, err := range log.Records(1) {
		if err != nil {
			return err
		}
	}
	return log.Close()
}

// sink records lines; with err set it refuses them.
type sink struct {
	mu  sync.Mutex
	b   bytes.Buffer
	err error
}

func (s *sink) Write(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.b.Write(lines)
	return nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// rig is a bakery on a log of its own.
type rig struct {
	t    testing.TB
	h    *bakery.Handle
	sink *sink
	dir  string
	stop func()
	o    bakery.Options
}

func newRig(t testing.TB, s bakery.Setup) *rig {
	t.Helper()
	return startRig(t, s, t.TempDir())
}

func startRig(t testing.TB, s bakery.Setup, dir string) *rig {
	t.Helper()
	r := &rig{t: t, sink: &sink{}, dir: dir}
	r.o = bakery.Options{
		OpenLog: func() (bakery.Log, error) { return openLog(dir) },
		Setup:   func() (bakery.Setup, error) { return s, nil },
		Now:     func() time.Time { return testTime },
		Sink:    r.sink,
		Logger:  slog.New(slog.DiscardHandler),
	}
	r.start()
	return r
}

func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h, err := bakery.Start(ctx, r.o)
	if err != nil {
		cancel()
		r.t.Fatal(err)
	}
	r.h = h
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-h.Done()
	})
	r.t.Cleanup(r.stop)
}

// restart ends the bakery and starts it on the same log.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

func (r *rig) submit(commands ...bakery.Command) []bakery.Outcome {
	r.t.Helper()
	return r.submitAs(bakery.Submission{Commands: commands, Opaque: true})
}

func (r *rig) submitAs(s bakery.Submission) []bakery.Outcome {
	r.t.Helper()
	ticket, err := r.h.Submit(context.Background(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return ticket.Wait()
}

// must submits and wants every command accepted.
func (r *rig) must(commands ...bakery.Command) {
	r.t.Helper()
	for _, o := range r.submit(commands...) {
		if o.Err != nil {
			r.t.Fatal(o.Err)
		}
	}
}

func (r *rig) tree() *bakery.Tree {
	r.t.Helper()
	tree, err := r.h.Tree(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return tree
}

var twoLinks = bakery.Setup{DownLink: "eth1", UpLink: "eth0", DownMbps: 1000, UpMbps: 500,
	SQM: []string{"cake diffserv4"}, Queues: 2}

var errDisk = errors.New("the disk is on fire")
