package eventlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Snapshot is the state that a caller folded from the log, to stand in front of a new segment.
type Snapshot struct {
	// Mark is a number of the caller's that never falls, such as a generation; Policy.MinMark refers to it.
	Mark uint64
	// Write writes the state folded through the last seq enqueued before Roll. The committer calls it, so appends wait
	// meanwhile; it must not call the Log. nil writes an empty snapshot.
	Write func(io.Writer) error
}

// Roll ends the live segment and starts the next one with s in front. It is ordered with Enqueue: the old segment holds
// exactly the records enqueued before. If the next segment can't be made (Write fails, the disk is full), the Pending gives
// the error and the log goes on in the old segment; once the next one has its name, a failure poisons the log with
// ErrUnknownOutcome, and the next Open finishes the roll. Rolling a segment without records does nothing.
func (l *Log) Roll(s Snapshot) (*Pending, error) { return l.queue.putRoll(s) }

// roll runs in the committer.
func (l *Log) roll(p *Pending) {
	if l.tally.Last < l.live.meta.First {
		p.finish(nil)
		return
	}
	next, err := l.makeNext(*p.roll)
	if err != nil {
		p.finish(fmt.Errorf("rolling after seq %d: %w", l.tally.Last, err))
		return
	}
	if err := l.switchTo(next); err != nil {
		l.fail([]*Pending{p}, fmt.Errorf("rolling after seq %d: %w: %w", l.tally.Last, ErrUnknownOutcome, err))
		return
	}
	p.finish(nil)
}

// makeNext makes the segment after the live one under a temporary name.
func (l *Log) makeNext(s Snapshot) (*segment, error) {
	if err := l.rollStep("make"); err != nil {
		return nil, err
	}
	meta := segmentMeta{
		LogID: l.live.meta.LogID, First: l.tally.Last + 1, Prev: l.tally.Chain, Mark: s.Mark, Created: l.opts.Clock(),
	}
	temp := l.path(meta.First) + tempSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	next, err := makeSegment(temp, l.opts, func(tx *bolt.Tx) error {
		return l.fillNext(tx, meta, s)
	})
	if err == nil {
		if err = l.rollStep("made"); err != nil {
			_ = next.close()
		}
	}
	if err != nil {
		_ = os.Remove(temp) // the next Open would do it
		return nil, err
	}
	return next, nil
}

// fillNext writes everything that stands in front of a segment's log.
func (l *Log) fillNext(tx *bolt.Tx, meta segmentMeta, s Snapshot) error {
	if err := createBuckets(tx, meta); err != nil {
		return err
	}
	if err := putJSON(tx.Bucket(bucketMeta), epochKey(l.epoch.Epoch), l.epoch); err != nil {
		return err
	}
	if err := putCursors(tx, l.cursors.all()); err != nil {
		return err
	}
	keys := newBlobWriter(tx.Bucket(bucketSnap), blobKeys, meta.First-1, l.compressor)
	if _, err := keys.Write(l.queue.encodeKeys(meta.First - 1)); err != nil {
		return err
	}
	if err := keys.finish(); err != nil {
		return err
	}
	snap := newBlobWriter(tx.Bucket(bucketSnap), blobSnapshot, meta.First-1, l.compressor)
	if s.Write != nil {
		if err := s.Write(snap); err != nil {
			return fmt.Errorf("writing the snapshot: %w", err)
		}
	}
	return snap.finish()
}

// switchTo gives next its name, seals the live segment and puts next in its place.
func (l *Log) switchTo(next *segment) error {
	if err := publishSegment(next, l.path(next.meta.First)); err != nil {
		return err
	}
	if err := l.rollStep("named"); err != nil {
		_ = next.close()
		return err
	}
	err := l.sealAndSwitch(next)
	if l.live != next {
		_ = next.close()
		return err
	}
	l.statsMu.Lock()
	l.tally = tally{Last: next.meta.First - 1, Chain: next.meta.Prev}
	l.statsMu.Unlock()
	l.liveBytes.Store(0)
	l.epochStored = true
	return err
}

// sealAndSwitch seals the live segment, puts next in its place and retires it, while nobody reads: a copy taken in between would have a seal
// at its end, and no segment after it, which is damage.
func (l *Log) sealAndSwitch(next *segment) error {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	old := l.live
	err := old.putSeal(l.tally, l.opts.Clock())
	if err == nil {
		err = l.rollStep("sealed")
	}
	if err != nil {
		return err
	}
	l.live = next
	l.firsts = append(l.firsts[:len(l.firsts):len(l.firsts)], next.meta.First)
	return retire(old)
}

func (l *Log) rollStep(name string) error {
	if l.opts.faults.roll == nil {
		return nil
	}
	return l.opts.faults.roll(name)
}

// putSeal commits the seal of a segment.
func (s *segment) putSeal(t tally, now time.Time) error {
	err := guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			if err := putJSON(tx.Bucket(bucketMeta), keySeal, seal{tally: t, Sealed: now}); err != nil {
				return err
			}
			s.metaSum = nil
			return s.putSum(tx, t.Chain, false)
		})
	})
	if err != nil {
		return fmt.Errorf("sealing %s: %w", filepath.Base(s.path), err)
	}
	return nil
}

// retire closes a sealed segment, gives back the room it did not need, and makes it read-only.
func retire(s *segment) error {
	var size int64
	err := s.view(func(tx *bolt.Tx) error { size = tx.Size(); return nil })
	if cerr := s.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	f, err := openRegular(s.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("retiring segment: %w", err)
	}
	defer f.Close()
	for _, step := range []func() error{
		func() error { return f.Truncate(size) },
		f.Sync,
		func() error { return f.Chmod(modeSealed) },
		f.Sync,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("retiring segment %s: %w", filepath.Base(s.path), err)
		}
	}
	return nil
}

// Snapshot returns what stands in front of the live segment: the state through seq at. For the very first segment that is
// nil at seq 0. If that snapshot is damaged, it is the one of the newest older segment with a good one, whose at is lower;
// with none left it is ErrCorrupt. Records from at+1 on lead to the present.
func (l *Log) Snapshot() (data []byte, at Seq, err error) {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	if l.live == nil {
		return nil, 0, fmt.Errorf("reading the snapshot: %w", ErrClosed)
	}
	return newestSnapshot(l.dir, l.firsts, l.live)
}

// SnapshotBefore returns the newest good snapshot of the state through a seq at that is not above seq; nil at 0 if the log
// begins before. Records from at+1 on lead to seq. If seq is older than what is left it is ErrPruned.
func (l *Log) SnapshotBefore(seq Seq) (data []byte, at Seq, err error) {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	if l.live == nil {
		return nil, 0, fmt.Errorf("reading the snapshot before seq %d: %w", seq, ErrClosed)
	}
	return snapshotBefore(l.dir, l.firsts, l.live, seq)
}

// snapshotBefore reads the newest good snapshot that is not above seq; live is the last of the segments firsts, nil if it can't be read.
func snapshotBefore(dir string, firsts []Seq, live *segment, seq Seq) (data []byte, at Seq, err error) {
	i := find(firsts, seq+1)
	switch {
	case i < 0:
		return nil, 0, fmt.Errorf("reading the snapshot before seq %d: the first left is %d: %w", seq, firsts[0], ErrPruned)
	case i < len(firsts)-1:
		return newestSnapshot(dir, firsts[:i+1], nil)
	case live == nil:
		return newestSnapshot(dir, firsts[:i], nil)
	}
	return newestSnapshot(dir, firsts, live)
}

// newestSnapshot reads the newest good snapshot in front of the segments firsts; the last of them is open as s, unless s is nil.
func newestSnapshot(dir string, firsts []Seq, s *segment) (data []byte, at Seq, err error) {
	var faults []error
	for i := len(firsts) - 1; i >= 0; i-- {
		data, at, err := segmentSnapshot(filepath.Join(dir, segmentName(firsts[i])), s)
		if err == nil {
			return data, at, nil
		}
		if faults = append(faults, err); !errors.Is(err, ErrCorrupt) {
			break
		}
		s = nil
	}
	return nil, 0, fmt.Errorf("reading the snapshot: %w", errors.Join(faults...))
}

// segmentSnapshot reads the snapshot of the segment at path, which is open as s unless that is nil.
func segmentSnapshot(path string, s *segment) (data []byte, at Seq, err error) {
	if s == nil {
		if s, err = openSegment(path, openMode{}); err != nil {
			return nil, 0, err
		}
		defer s.close()
	}
	if s.meta.First == 1 {
		return nil, 0, nil
	}
	data, at, err = s.blob(blobSnapshot)
	if err == nil && (data == nil || at != s.meta.First-1) {
		err = missing(blobSnapshot, nil)
	}
	return data, at, err
}
