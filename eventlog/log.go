package eventlog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	defaultSegmentBytes = 64 << 20
	ringBytes           = 16 << 20
)

// Options of Open; the zero value is ready for use.
type Options struct {
	// SegmentBytes is how many bytes of frames a segment holds before NeedsRoll reports true. 0 means 64 MiB.
	SegmentBytes int64
	// Holder goes into LOCK, and with BootID into the entry of the epoch. A zero PID or Since is filled in.
	Holder Holder
	// BootID tells boots of the machine apart.
	BootID string
	// Clock stamps frames; nil means time.Now.
	Clock func() time.Time
	// MustExist refuses to create a log, with an error that wraps os.ErrNotExist: for opening again what was open.
	MustExist bool
	// NoSync leaves out every fsync: a power cut then loses records that were reported durable. It exists only for the
	// negative controls of crash tests.
	NoSync bool

	// MaxSize is how many bytes of a segment's file may be in use, as bbolt counts them (in powers of two up to 16 MiB); a commit that
	// needs more fails with an unknown outcome, as on a full disk. 0: no limit. It exists only for tests of that.
	MaxSize int

	faults *faults
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Holder.PID == 0 {
		o.Holder.PID = os.Getpid()
	}
	if o.Holder.Since.IsZero() {
		o.Holder.Since = o.Clock()
	}
	if o.faults == nil {
		o.faults = &faults{}
	}
	return o
}

// Log is an event log that is open for writing. All methods may be called from any goroutine.
type Log struct {
	dir  string
	opts Options
	lock *lockFile

	queue     *queue
	cursors   *cursors
	cursorSet chan struct{} // capacity 1: a cursor changed; further sends while it is full are dropped
	ring      ring
	durable   durable
	recovered []string // what Open found and mended

	segMu  sync.RWMutex // held for reading while live is read, for writing while it is replaced
	firsts []Seq        // of all segments, oldest first; the last is live's
	live   *segment     // nil once closed

	unsureMu sync.Mutex // held while a commit is on its way
	unsure   bool       // the file may show what isn't durable: a commit is on its way, or has failed

	// Owned by the committer.
	encoder     *groupEncoder
	compressor  *zstd.Encoder // of blobs
	epoch       epochMeta
	epochStored bool

	statsMu sync.Mutex // for readers of tally; the committer alone writes it
	tally   tally      // of the live segment
	infos   sealedInfos

	liveBytes atomic.Int64
	commits   atomic.Uint64
	closing   sync.Once
	closeErr  error
	stopped   chan struct{} // closed when the committer has ended
}

// Open opens the log in dir for writing, creating it if there is none. It takes the LOCK or returns a *HeldError at once,
// finishes what a crash interrupted (see the package documentation), and checks pages, CRCs and chain of the live segment;
// damage is ErrCorrupt and nothing is changed then. Opening changes no byte of an intact log: it only writes once more, and syncs, what may
// be in memory alone since a writer was killed or its disk failed.
func Open(dir string, o Options) (*Log, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("opening event log: %w", err)
	}
	lock, err := lockDir(dir, o.Holder)
	if err != nil {
		return nil, fmt.Errorf("opening event log: %w", err)
	}
	l := &Log{
		dir: dir, opts: o, lock: lock,
		cursors: newCursors(), cursorSet: make(chan struct{}, 1),
		ring:    ring{limit: ringBytes},
		encoder: newGroupEncoder(), compressor: newCompressor(),
		stopped: make(chan struct{}),
	}
	if err := l.recover(); err != nil {
		_ = lock.release()
		return nil, fmt.Errorf("opening event log %s: %w", dir, err)
	}
	go l.run()
	return l, nil
}

// Enqueue puts tx in line and returns at once with the seqs that it gets; the order of calls is the order in the log. It
// blocks only while the queue is full (8 MiB or 65,536 records). An error means that tx is certainly not in the log:
// ErrClosed, ErrPoisoned, ErrTooLarge, always with ErrNotAppended. The records must not be changed before the transaction is
// done.
func (l *Log) Enqueue(tx Tx) (*Pending, error) { return l.queue.put(context.Background(), tx) }

// Append puts tx in line and waits until it is durable. If ctx ends while the queue is full, nothing was appended and the
// error has ErrNotAppended; if it ends later, the error is that of ctx and the records will most likely become durable at
// the seqs in the Result. The records must not be changed before they are.
func (l *Log) Append(ctx context.Context, tx Tx) (Result, error) {
	p, err := l.queue.put(ctx, tx)
	if err != nil {
		return Result{}, err
	}
	select {
	case <-p.Done():
		return p.Wait()
	case <-ctx.Done():
		return p.Result(), fmt.Errorf("waiting for seq %d: %w", p.Result().Last, ctx.Err())
	}
}

// Known returns the transaction with that idempotency key, durable or still on its way, if it is among the last 65,536 with a
// key: what Enqueue would return for it.
func (l *Log) Known(key string) (*Pending, bool) {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return l.queue.seen(key)
}

// LastSeq is the last durable seq, 0 if there is none.
func (l *Log) LastSeq() Seq { return l.durable.last() }

// FirstSeq is the first seq that is still there. In an empty log it is the one that comes next.
func (l *Log) FirstSeq() Seq {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	return l.firsts[0]
}

// Wait blocks until LastSeq is greater than after. It returns the error of ctx, ErrClosed, or ErrPoisoned if that will not
// happen any more.
func (l *Log) Wait(ctx context.Context, after Seq) error { return l.durable.wait(ctx, after) }

// NeedsRoll reports that the live segment holds SegmentBytes or more and that it is time to call Roll.
func (l *Log) NeedsRoll() bool { return l.liveBytes.Load() >= l.opts.SegmentBytes }

// Close commits what waits in the queue, stops accepting more, and lets go of the directory. A second call returns the same
// as the first. Iterations that are under way end with ErrClosed.
func (l *Log) Close() error {
	l.closing.Do(func() {
		l.queue.stop(ErrClosed)
		<-l.stopped
		l.durable.stop(ErrClosed)
		l.segMu.Lock()
		defer l.segMu.Unlock()
		l.closeErr = l.live.close()
		l.live = nil
		if err := l.lock.release(); l.closeErr == nil && err != nil {
			l.closeErr = fmt.Errorf("closing event log: %w", err)
		}
	})
	return l.closeErr
}

func (l *Log) path(first Seq) string { return filepath.Join(l.dir, segmentName(first)) }
