package eventlog

import (
	"fmt"
	"iter"
	"path/filepath"
)

// fetch returns frames from the one that holds seq on; it need not return all there are.
type fetch func(seq Seq) ([]*frame, error)

// eachRecord yields the records from seq from through last.
func eachRecord(get fetch, from, last Seq, yield func(Record, error) bool) (more bool) {
	for from <= last {
		frames, err := get(from)
		if err == nil && len(frames) == 0 {
			err = fmt.Errorf("no frame holds seq %d: %w", from, ErrCorrupt)
		}
		if err != nil {
			yield(Record{}, fmt.Errorf("reading from seq %d: %w", from, err))
			return false
		}
		for _, f := range frames {
			if f.first > last {
				return true
			}
			more, err := f.each(from, func(r Record) bool { return yield(r, nil) })
			if err != nil {
				yield(Record{}, err)
			}
			if !more {
				return false
			}
			from = f.last() + 1
		}
	}
	return true
}

// Records yields all records that are durable at the time of the call, from seq from on, across segments, and ends; 0 means
// from the first that is left. If from is older than that, it yields ErrPruned: start from Snapshot then. After an error it
// ends. The newest records come from memory. Rolling, pruning and appending go on meanwhile; an iteration that falls behind
// pruning ends with ErrPruned. Call Wait to learn of later records.
func (l *Log) Records(from Seq) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if from == 0 {
			from = l.FirstSeq()
		}
		src := logSource{log: l}
		defer src.sealed.close()
		eachRecord(src.fetch, from, l.LastSeq(), yield)
	}
}

// logSource finds frames in the ring, the live segment or a sealed one, in this order.
type logSource struct {
	log    *Log
	sealed sealedSource
}

func (s *logSource) fetch(seq Seq) ([]*frame, error) {
	if frames := s.log.ring.from(seq, readBatch); len(frames) > 0 {
		return frames, nil
	}
	frames, firsts, err := s.log.readLive(seq)
	if err != nil || frames != nil {
		return frames, err
	}
	return s.sealed.fetch(s.log.dir, firsts, seq)
}

// readLive reads from the live segment. If seq is older than that, it returns the segments there are.
func (l *Log) readLive(seq Seq) (frames []*frame, firsts []Seq, err error) {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	if l.live == nil {
		return nil, nil, ErrClosed
	}
	if seq < l.live.meta.First {
		return nil, l.firsts, nil
	}
	frames, err = l.live.read(seq)
	return frames, nil, err
}

// sealedSource reads sealed segments one after the other and keeps the current one open.
type sealedSource struct {
	open  *segment
	first Seq
}

func (s *sealedSource) fetch(dir string, firsts []Seq, seq Seq) ([]*frame, error) {
	i := find(firsts, seq)
	if i < 0 {
		return nil, fmt.Errorf("the first left is seq %d: %w", firsts[0], ErrPruned)
	}
	if s.open == nil || s.first != firsts[i] {
		s.close()
		next, err := openSegment(filepath.Join(dir, segmentName(firsts[i])), openMode{})
		if err != nil {
			return nil, err
		}
		s.open, s.first = next, firsts[i]
	}
	return s.open.read(seq)
}

func (s *sealedSource) close() {
	if s.open != nil {
		_ = s.open.close() // read-only: nothing can be lost
		s.open = nil
	}
}
