package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// salvageBatch is about how many bytes of frames one transaction of a salvaged log writes.
const salvageBatch = 4 << 20

// Salvaged is what Salvage saved and what it couldn't.
type Salvaged struct {
	Segments int    `json:"segments"`
	Records  uint64 `json:"records"`
	First    Seq    `json:"first"`
	Last     Seq    `json:"last"`
	// Lost is all damage that was met, in the order of the log. Empty means that the log was whole.
	Lost []Problem `json:"lost"`
}

// Salvage makes a new log in to of what is good in the one in from: the records from the first on, up to the first that is
// damaged or missing, or to the last whole transaction before it. Nothing behind that is taken, even if it could be read: a
// log has no holes. Old segments whose snapshot is damaged and that nothing stands before are left out, as pruned ones are.
// Segments are written anew, with the records' seqs, times, epochs and chain as they were; the cursors are left out if
// anything is lost, since they may point beyond the end. from is not changed. to must not exist; it appears complete, and
// verified, or not at all. While a daemon holds the log it returns a *HeldError, and ErrCorrupt if nothing can be saved.
func Salvage(ctx context.Context, from, to string) (Salvaged, error) {
	done, err := salvage(ctx, from, to)
	if err != nil {
		return done, fmt.Errorf("salvaging event log %s: %w", from, err)
	}
	return done, nil
}

func salvage(ctx context.Context, from, to string) (done Salvaged, err error) {
	firsts, err := listSegments(from)
	if err == nil && len(firsts) == 0 {
		err = fmt.Errorf("no segments: %w", os.ErrNotExist)
	}
	if err != nil {
		return done, err
	}
	if _, err := os.Lstat(to); !errors.Is(err, os.ErrNotExist) {
		return done, fmt.Errorf("%s is there already", to)
	}
	parent := filepath.Dir(filepath.Clean(to))
	temp, err := os.MkdirTemp(parent, filepath.Base(to)+".partial-")
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	s := &salvor{from: from, dir: temp, done: Salvaged{Lost: []Problem{}}}
	if err := s.take(ctx, firsts); err != nil {
		return s.done, errors.Join(err, s.close())
	}
	if err := errors.Join(os.Chmod(temp, 0o750), syncDir(temp)); err != nil {
		return s.done, err
	}
	r, err := Verify(ctx, temp)
	if err == nil && (!r.Clean() || r.Last != s.done.Last || r.Records != s.done.Records) {
		err = fmt.Errorf("what was saved is not whole: %v", r.Problems)
	}
	if err == nil {
		err = os.Rename(temp, to)
	}
	if err != nil {
		return s.done, err
	}
	return s.done, syncDir(parent)
}

// salvor takes segment after segment.
type salvor struct {
	from, dir string
	done      Salvaged
	out       *segment // the last of the new log; nil before the first
	end       tally    // of out
}

func (s *salvor) lost(name string, seq Seq, what string) {
	s.done.Lost = append(s.done.Lost, Problem{Segment: name, Seq: seq, What: what})
}

func (s *salvor) close() error {
	if s.out == nil {
		return nil
	}
	return s.out.close()
}

func (s *salvor) take(ctx context.Context, firsts []Seq) error {
	total := uint64(firsts[len(firsts)-1] - firsts[0])
	defer progress(ctx)(total, total)
	for i, first := range firsts {
		if err := ctx.Err(); err != nil {
			return err
		}
		progress(ctx)(uint64(first-firsts[0]), total)
		w, err := readWreck(filepath.Join(s.from, segmentName(first)), i == len(firsts)-1)
		if err != nil {
			return err
		}
		for _, fault := range w.faults {
			s.lost(w.name, w.end.Last, fault.Error())
		}
		if why := s.misfit(w); why != "" {
			s.lost(w.name, 0, why)
			if s.out == nil {
				continue
			}
			return s.finish(firsts[i+1:])
		}
		if err := s.add(w); err != nil {
			return err
		}
		if !w.complete {
			return s.finish(firsts[i+1:])
		}
	}
	return s.finish(nil)
}

// misfit is why w can't be the next segment; "" if it can.
func (s *salvor) misfit(w *wreck) string {
	switch {
	case w.meta.First == 0:
		return "nothing of it can be read"
	case s.out == nil && w.meta.First == 1 && w.meta.Prev != genesis(w.meta.LogID):
		return "does not begin with the log's own chain"
	case s.out == nil && w.state != nil:
		return "nothing can be folded from here on without the snapshot"
	case s.out == nil:
		return ""
	case w.meta.LogID != s.out.meta.LogID:
		return "belongs to another log than the segment before"
	case w.meta.First != s.end.Last+1 || w.meta.Prev != s.end.Chain:
		return fmt.Sprintf("does not follow the segment before, which ends at seq %d", s.end.Last)
	}
	return ""
}

// add writes what is good of w, as a segment of its own or, without a snapshot for that, into the one before.
func (s *salvor) add(w *wreck) error {
	if s.out == nil || w.state == nil {
		if err := s.begin(w); err != nil {
			return err
		}
	}
	for frames := w.frames; len(frames) > 0; {
		n, size := 0, 0
		for ; n < len(frames) && size < salvageBatch; n++ {
			size += len(frames[n].bytes)
		}
		if err := s.write(frames[:n]); err != nil {
			return err
		}
		frames = frames[n:]
	}
	err := s.out.update(func(tx *bolt.Tx) error {
		return errors.Join(w.putEpochs(tx.Bucket(bucketMeta)), putRaw(tx.Bucket(bucketCursor), w.cursors))
	})
	if err != nil {
		return err
	}
	s.done.Records += w.end.Records
	s.done.Last = s.end.Last
	return nil
}

// putEpochs stores who wrote the frames; where that can't be read any more, the number of the epoch alone.
func (w *wreck) putEpochs(meta *bolt.Bucket) error {
	for _, f := range w.frames {
		key := epochKey(f.epoch)
		if w.epochs[key] != nil || meta.Get([]byte(key)) != nil {
			continue
		}
		if err := putJSON(meta, key, epochMeta{Epoch: f.epoch}); err != nil {
			return err
		}
	}
	return putRaw(meta, w.epochs)
}

// begin seals the segment before and starts the next one, with the state of w in front.
func (s *salvor) begin(w *wreck) error {
	if err := s.seal(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, w.name)
	next, err := makeSegment(path, Options{}, func(tx *bolt.Tx) error {
		return errors.Join(createBuckets(tx, w.meta), putRaw(tx.Bucket(bucketSnap), w.snap))
	})
	if err != nil {
		return err
	}
	if s.done.Segments++; s.out == nil {
		s.done.First = w.meta.First
	}
	s.out, s.end = next, tally{Last: w.meta.First - 1, Chain: w.meta.Prev}
	return nil
}

func (s *salvor) seal() error {
	if s.out == nil {
		return nil
	}
	if err := s.out.putSeal(s.end, time.Unix(0, s.end.Time)); err != nil {
		return err
	}
	return retire(s.out)
}

// write appends frames. Each stands under its own seq, whatever group it was in.
func (s *salvor) write(frames []wreckedFrame) error {
	return s.out.update(func(tx *bolt.Tx) error {
		log := tx.Bucket(bucketLog)
		log.FillPercent = 1
		for _, f := range frames {
			if err := log.Put(seqKey(f.first), f.bytes); err != nil {
				return err
			}
			s.end.add(f.header)
		}
		return log.SetSequence(uint64(s.end.Last))
	})
}

// finish closes the new log. rest are the segments that were not looked at.
func (s *salvor) finish(rest []Seq) error {
	for _, first := range rest {
		s.lost(segmentName(first), 0, "not taken: records before it are missing")
	}
	if s.out == nil {
		return fmt.Errorf("nothing can be saved: %v: %w", s.done.Lost, ErrCorrupt)
	}
	if len(s.done.Lost) > 0 {
		if err := s.out.update(func(tx *bolt.Tx) error {
			return errors.Join(tx.DeleteBucket(bucketCursor), second(tx.CreateBucket(bucketCursor)))
		}); err != nil {
			return errors.Join(err, s.out.close())
		}
	}
	return s.out.close()
}

func second(_ *bolt.Bucket, err error) error { return err }

// putRaw stores entries as they are.
func putRaw(b *bolt.Bucket, entries wreckBucket) error {
	for _, k := range slices.Sorted(maps.Keys(entries)) {
		if err := b.Put([]byte(k), entries[k]); err != nil {
			return err
		}
	}
	return nil
}

// update runs fn in a write transaction.
func (s *segment) update(fn func(*bolt.Tx) error) error {
	return guard(func() error { return s.db.Update(fn) })
}
