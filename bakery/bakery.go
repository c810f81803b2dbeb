package bakery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"lqosd/eventlog"
)

// Log is what the bakery needs of an event log; *eventlog.Log is one.
type Log interface {
	Enqueue(eventlog.Tx) (*eventlog.Pending, error)
	Known(key string) (*eventlog.Pending, bool)
	Snapshot() ([]byte, eventlog.Seq, error)
	SnapshotBefore(eventlog.Seq) ([]byte, eventlog.Seq, error)
	Records(from eventlog.Seq) iter.Seq2[eventlog.Record, error]
	NeedsRoll() bool
	Roll(eventlog.Snapshot) (*eventlog.Pending, error)
	Prune(eventlog.Policy) (eventlog.Pruned, error)
	Cursor(name string) ([]byte, error)
	SetCursor(name string, v []byte)
	Close() error
}

// Sink is told what became durable.
type Sink interface {
	// Write takes the tc lines of durable records, whole, in log order, before their
	// senders are answered. It must not keep lines. After an error the same lines
	// come again, with those that followed.
	Write(lines []byte) error
}

// Options is what the bakery is given by its caller.
type Options struct {
	// OpenLog opens the event log: once when the bakery starts, and again after a
	// failed commit.
	OpenLog func() (Log, error)
	// Setup reads the configuration: at the start and at every MqSetup.
	Setup func() (Setup, error)
	// Now stamps the records.
	Now func() time.Time
	// Sink may be nil.
	Sink Sink
	// Kernel is brought to what the records ask for; nil in file mode.
	Kernel Kernel
	// Dataplane gets the address mappings whose classes the Kernel has; nil: nothing steers.
	Dataplane Dataplane
	// Drift says what becomes of differences that no record explains.
	Drift DriftPolicy
	// A reset over a live tree is applied when no command came for Settle, and at the
	// latest SettleMax after it was seen.
	Settle, SettleMax time.Duration
	// Retain says what of the log is kept when a segment is full.
	Retain Retention
	// Logger gets what no sender is told. Not nil.
	Logger *slog.Logger

	whole bool // all of a link is compared, whatever has changed; for tests
	few   int  // in place of maxPart, for tests; 0: maxPart
}

// Retention says how much of the log is kept; zero values keep all.
type Retention struct {
	MaxAge      time.Duration
	MaxBytes    int64
	Generations uint64 // resets, counted back from the newest
}

// policy is what the log is told to drop when generation is the newest.
func (r Retention) policy(generation uint64) eventlog.Policy {
	p := eventlog.Policy{MaxAge: r.MaxAge, MaxBytes: r.MaxBytes}
	if r.Generations > 0 {
		p.MinMark = generation - min(generation, r.Generations) + 1
	}
	return p
}

const (
	// waiting is the capacity of the channel between folder and acker. Full, it blocks
	// the folder, which then blocks the senders: its own channel has no capacity. That
	// is the backpressure which the bus passes on.
	waiting = 4096

	// reopenEvery is the pause between tries to open a log whose commit failed, and
	// rerollEvery the one between tries to begin a new segment.
	reopenEvery = time.Second
	rerollEvery = 10 * time.Second
)

// Handle is a running bakery.
type Handle struct {
	in    chan []*Ticket
	ended chan struct{}

	kernel    broadcast[KernelStatus]
	applyWake chan struct{} // capacity 1, coalesces: wakes the reconciler

	mu      sync.Mutex
	health  Health
	applied eventlog.Seq
	asked   time.Time // when a command came last that changed qdiscs or classes
	mapped  time.Time // when one came last that changed address mappings
	log     Log       // for the cursor
}

// Health is what is wrong with the bakery at the moment, and what was.
type Health struct {
	Log  error // the log can't take commands
	Sink error // the Sink is behind

	// Failures counts the times that the log failed since the start, also those that
	// it recovered from; LastFailure is the newest.
	Failures    int
	LastFailure error
}

// Start opens the log, folds it, and starts the bakery. It ends when ctx does,
// after everything submitted before was answered; Done tells when.
func Start(ctx context.Context, o Options) (*Handle, error) {
	f := &folder{o: o, out: make(chan *Ticket, waiting), torn: make(chan struct{}, 1)}
	var err error
	if f.setup, err = o.Setup(); err != nil {
		return nil, fmt.Errorf("starting the bakery: %w", err)
	}
	f.h = &Handle{in: make(chan []*Ticket), ended: make(chan struct{}), applyWake: make(chan struct{}, 1), asked: o.Now()}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("starting the bakery: %w", err)
	}
	f.h.applied = f.tree.Seq // of what was there before, the Sink needs nothing
	var rim sync.WaitGroup   // the goroutines after the folder
	a := &acker{in: f.out, torn: f.torn, sink: o.Sink, steers: o.Dataplane != nil, h: f.h, now: o.Now, outage: outage{log: o.Logger}}
	rim.Go(a.run)
	if o.Kernel != nil {
		r, err := f.reconciler()
		if err != nil {
			o.Logger.Warn("what was applied isn't known; the kernel is compared from nothing", "err", err)
		}
		rim.Go(func() { r.run(ctx) })
	}
	go func() {
		defer close(f.h.ended)
		f.run(ctx)
		close(f.out)
		rim.Wait()
		f.end()
		if err := f.close(); err != nil {
			o.Logger.Error("closing the event log", "err", err)
		}
	}()
	return f.h, nil
}

// Done is closed when the bakery has ended and the log is closed.
func (h *Handle) Done() <-chan struct{} { return h.ended }

// Health tells what is wrong at the moment.
func (h *Handle) Health() Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.health
}

// Applied is the newest record up to which the Sink has everything; without a Sink it
// stays 0.
func (h *Handle) Applied() eventlog.Seq {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied
}

func (h *Handle) setLog(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health.Log = err
}

// setOpenLog tells which log cursors go to; nil while there is none.
func (h *Handle) setOpenLog(log Log) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = log
}

// failed counts a failure of the log, which takes no commands from now on.
func (h *Handle) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health.Log, h.health.LastFailure = err, err
	h.health.Failures++
}

// setSink tells what became of the records up to seq.
func (h *Handle) setSink(seq eventlog.Seq, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health.Sink = err
	if err == nil {
		h.applied = max(h.applied, seq)
	}
}

// asksNow notes that a change of qdiscs or classes became durable, and wakes the reconciler.
func (h *Handle) asksNow(now time.Time) {
	h.mu.Lock()
	h.asked = now
	h.mu.Unlock()
	h.wakeApplier()
}

func (h *Handle) lastAsked() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// mapsNow notes that a change of address mappings became durable, and wakes the reconciler.
func (h *Handle) mapsNow(now time.Time) {
	h.mu.Lock()
	h.mapped = now
	h.mu.Unlock()
	h.wakeApplier()
}

// lastCommand is when a command of any kind came last, but not before the start.
func (h *Handle) lastCommand() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mapped.After(h.asked) {
		return h.mapped
	}
	return h.asked
}

func (h *Handle) wakeApplier() {
	select {
	case h.applyWake <- struct{}{}:
	default:
	}
}

// setCursor notes in the open log how far the kernel has come.
func (h *Handle) setCursor(v []byte, logger *slog.Logger) {
	h.mu.Lock()
	log := h.log
	h.mu.Unlock()
	if log == nil {
		return // closed for the moment; the next step notes it
	}
	if old, err := log.Cursor(cursorName); err == nil && bytes.Equal(old, v) {
		return
	}
	if len(v) > eventlog.MaxCursor {
		logger.Warn("the cursor of what was applied is too long", "bytes", len(v))
		return
	}
	log.SetCursor(cursorName, v)
}

// Submit hands a submission in. It blocks while the bakery is behind; the error is
// ctx's, or ErrStopped.
func (h *Handle) Submit(ctx context.Context, s Submission) (*Ticket, error) {
	t := newTicket(s)
	return t, h.send(ctx, t)
}

// SubmitAll is Submit for several submissions, in order: all of them are handed in, or none. They are as many transactions,
// and wake the folder once.
func (h *Handle) SubmitAll(ctx context.Context, list []Submission) ([]*Ticket, error) {
	tickets := newTickets(list)
	return tickets, h.send(ctx, tickets...)
}

func (h *Handle) send(ctx context.Context, t ...*Ticket) error {
	select {
	case <-h.ended:
		return ErrStopped
	default:
	}
	select {
	case h.in <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ended:
		return ErrStopped
	}
}

// errTornRead tells a reader to ask again: its clone may hold what isn't durable.
var errTornRead = errors.New("a commit failed while reading")

// Tree gives the Tree as of everything submitted before, all of it durable. It is
// the caller's own.
func (h *Handle) Tree(ctx context.Context) (*Tree, error) {
	t, _, err := h.treeAndRoles(ctx)
	return t, err
}

// treeAndRoles is Tree, and which link has which role according to the configuration of the
// moment.
func (h *Handle) treeAndRoles(ctx context.Context) (*Tree, Roles, error) {
	for {
		t := newTicket(Submission{})
		t.read = &Tree{}
		if err := h.send(ctx, t); err != nil {
			return nil, Roles{}, err
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return nil, Roles{}, ctx.Err()
		}
		if !errors.Is(t.err, errTornRead) {
			return t.read, t.roles, t.err
		}
	}
}
