package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/eventlog"
)

const (
	settle    = time.Second
	settleMax = 10 * time.Second
)

// config says which run it is.
type config struct {
	seed   uint64
	length time.Duration // simulated
	mutant *mutant
}

// result is what came of a run.
type result struct {
	seed    uint64
	fault   string // what doesn't hold; "": all does
	trace   *trace
	took    time.Duration
	steps   int
	records int
	// Commands that were sent, crashes and other faults that were made, times that all had
	// to be in order, and the longest that it took.
	commands, crashes, faults, quiets int
	slowest                           time.Duration
	lives                             int
}

// String is one line.
func (r result) String() string {
	return fmt.Sprintf("seed %d: %v simulated, %d steps, %d commands, %d records, %d lives, %d crashes, %d faults, in order %d times (at the latest after %v)",
		r.seed, r.took.Round(time.Second), r.steps, r.commands, r.records, r.lives, r.crashes, r.faults, r.quiets, r.slowest.Round(time.Second))
}

// world is everything, and the scheduler's goroutine.
type world struct {
	cfg   config
	rng   *rand.Rand // of the scheduler
	trace *trace
	began time.Time

	setup        bakery.Setup
	policy       bakery.DriftPolicy
	segmentBytes int64
	wild         bool // somebody else meddles
	drifted      bool // and with this policy it stays so

	k       *kerneltest.Fake
	d       *kerneltest.Dataplane
	disk    *disk
	sink    *sink
	ledger  *ledger
	archive *archive
	checked int // records that were compared with what clients were told
	life    *life
	keys    []*submission    // sent with a key
	first   map[string]int32 // the submission that a key was appended with

	planMu          sync.Mutex
	dieIn, meddleIn int // writes to kernel and dataplane until it happens; 1 is the next
	meddleLine      string

	powerGoes bool // with the next crash

	fault string
	result
}

// run lives through one seed.
func run(t *testing.T, cfg config) result {
	t.Helper()
	base, err := os.MkdirTemp(memory(), "sim") //nolint:usetesting // in memory, where there is one
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(base) }()
	if cfg.mutant == nil {
		cfg.mutant = &mutant{}
	}
	if err := unpack(); err != nil {
		t.Fatal(err)
	}
	var r result
	synctest.Test(t, func(*testing.T) {
		w := newWorld(cfg, base)
		w.start(w.disk.newImage())
		for w.ok() && time.Since(w.began) < cfg.length {
			w.step()
		}
		if w.ok() {
			w.inOrder()
		}
		if !w.life.dead.Load() {
			w.bury("")
		}
		r = w.report()
	})
	return r
}

// unpack reads a compressed record. The event log has one decompressor, made when it is first
// needed: made in a bubble, no other bubble could use it.
var unpack = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp(memory(), "sim")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for range 2 {
		log, err := eventlog.Open(dir, eventlog.Options{})
		if err != nil {
			return err
		}
		_, err = log.Append(context.Background(), eventlog.Tx{Key: "once", Records: [][]byte{make([]byte, 1<<16)}})
		for _, bad := range log.Records(1) {
			err = errors.Join(err, bad)
		}
		if err = errors.Join(err, log.Close()); err != nil {
			return err
		}
	}
	return nil
})

// memory is a folder whose files cost no disk; "" for the usual one where there is none.
func memory() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err == nil && info.IsDir() && info.Mode().Perm()&0o002 != 0 {
		return dir
	}
	return ""
}

// stream is one of many streams of numbers of a seed.
func stream(seed, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

func newWorld(cfg config, base string) *world {
	w := &world{cfg: cfg, rng: stream(cfg.seed, 0), trace: newTrace(), began: time.Now(),
		sink: &sink{}, ledger: &ledger{}, archive: newArchive(), first: map[string]int32{}}
	w.setup = bakery.Setup{DownLink: "eth1", UpLink: "eth0", DownMbps: 1000, UpMbps: 500, SQM: []string{"cake", "diffserv4"}, Queues: 1 + w.rng.IntN(3)}
	if w.rng.IntN(3) == 0 {
		w.setup.UpLink = "eth1"
	}
	if w.rng.IntN(4) == 0 {
		w.policy = bakery.DriftReport
	}
	w.wild = w.rng.IntN(3) > 0
	w.segmentBytes = 8 << 10 << w.rng.IntN(5)
	w.disk = newDisk(base, w.trace, cfg.mutant)
	w.k = kerneltest.New(w.links()...)
	w.d = kerneltest.NewDataplane(w.k, w.setup.Roles())
	w.trace.add("world", "links %v, %d queues, policy %d, segments of %d bytes, meddling %t", w.setup.Links(), w.setup.Queues, w.policy, w.segmentBytes, w.wild)
	return w
}

func (w *world) report() result {
	r := w.result
	r.seed, r.fault, r.trace = w.cfg.seed, w.fault, w.trace
	r.took, r.records = time.Since(w.began), len(w.archive.records)
	r.faults += w.disk.faults
	return r
}

// sleep lets time pass, and everything come to rest. A daemon that dies meanwhile is buried,
// and the next one started. Nothing else happens at the moment when it ends.
func (w *world) sleep(d time.Duration) {
	timer := time.NewTimer(d + time.Duration(1+w.rng.IntN(1_000_000)))
	defer timer.Stop()
	if w.life == nil || w.life.dead.Load() {
		<-timer.C
		synctest.Wait()
		return
	}
	select {
	case <-timer.C:
		synctest.Wait()
	case <-w.life.died:
		synctest.Wait()
		w.crashed()
	}
	w.look()
}
