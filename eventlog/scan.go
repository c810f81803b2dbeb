package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// readBatch is how much payload one read transaction unpacks.
const readBatch = 1 << 20

// frameCursor walks over the encoded frames of the bucket "log", into nested buckets and out again.
type frameCursor struct {
	log           *bolt.Bucket
	outer, nested *bolt.Cursor
}

func newFrameCursor(tx *bolt.Tx) *frameCursor {
	log := tx.Bucket(bucketLog)
	return &frameCursor{log: log, outer: log.Cursor()}
}

// seek goes to the frame that would hold seq: the last one whose key is not above it.
func (c *frameCursor) seek(seq Seq) (key, frame []byte) {
	k, v := seekLast(c.outer, seqKey(seq))
	if k == nil || v != nil {
		return k, v
	}
	nested := c.log.Bucket(k)
	c.nested = nested.Cursor()
	if k, v = seekLast(c.nested, seqKey(seq)); k == nil {
		return c.nested.First() // a nested bucket that starts above its key: the caller will object
	}
	return k, v
}

// seekLast goes to the last key not above target.
func seekLast(c *bolt.Cursor, target []byte) (k, v []byte) {
	if k, v = c.Seek(target); k == nil {
		k, v = c.Last()
	}
	if k != nil && bytes.Compare(k, target) > 0 {
		return c.Prev()
	}
	return k, v
}

// next goes to the following frame; key is nil at the end.
func (c *frameCursor) next() (key, frame []byte) {
	if c.nested != nil {
		if k, v := c.nested.Next(); k != nil {
			return k, v
		}
		c.nested = nil
	}
	return c.enter(c.outer.Next())
}

func (c *frameCursor) first() (key, frame []byte) { return c.enter(c.outer.First()) }

func (c *frameCursor) enter(k, v []byte) (key, frame []byte) {
	if k == nil || v != nil {
		return k, v
	}
	c.nested = c.log.Bucket(k).Cursor()
	ik, iv := c.nested.First()
	if !bytes.Equal(ik, k) {
		return k, nil // an empty nested bucket, or one that starts elsewhere: no frame
	}
	return ik, iv
}

// decodeAt decodes a frame that must start at seq.
func decodeAt(seq Seq, key, b []byte) (*frame, error) {
	if len(key) != 8 || b == nil {
		return nil, fmt.Errorf("key %x in place of a frame at seq %d: %w", key, seq, ErrCorrupt)
	}
	f, err := decodeFrame(b)
	if err != nil {
		return nil, err
	}
	if f.first != seq || binary.BigEndian.Uint64(key) != uint64(seq) {
		return nil, fmt.Errorf("frame of seq %d under key %x in place of seq %d: %w", f.first, key, seq, ErrCorrupt)
	}
	return f, nil
}

// read returns frames from the one that holds seq on, about readBatch of payload, none if the segment ends before seq.
func (s *segment) read(seq Seq) (frames []*frame, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		frames, err = readFrames(newFrameCursor(tx), seq)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading segment %s: %w", filepath.Base(s.path), err)
	}
	return frames, nil
}

func readFrames(c *frameCursor, seq Seq) (frames []*frame, err error) {
	key, b := c.seek(seq)
	if len(key) != 8 {
		return nil, fmt.Errorf("no frame holds seq %d: %w", seq, ErrCorrupt)
	}
	want := Seq(binary.BigEndian.Uint64(key))
	for n := 0; key != nil && n < readBatch; key, b = c.next() {
		f, err := decodeAt(want, key, b)
		if err != nil {
			return nil, err
		}
		if want = f.last() + 1; f.last() < seq {
			continue
		}
		frames = append(frames, f)
		n += len(f.payload)
	}
	return frames, nil
}

// scan checks every frame of a segment, its chain included, and calls fn with each record (fn may be nil) until that gives an error. It returns
// what it counted up to the first fault.
func (s *segment) scan(fn func(Record) error) (t tally, err error) {
	t = tally{Last: s.meta.First - 1, Chain: s.meta.Prev}
	err = s.view(func(tx *bolt.Tx) error { return scanFrames(tx, &t, fn) })
	if err == nil && s.seal != nil && s.seal.tally != t {
		err = fmt.Errorf("seal says %+v, frames give %+v: %w", s.seal.tally, t, ErrCorrupt)
	}
	if err != nil {
		return t, fmt.Errorf("checking segment %s: %w", filepath.Base(s.path), err)
	}
	return t, nil
}

func scanFrames(tx *bolt.Tx, t *tally, fn func(Record) error) error {
	c, hash, open := newFrameCursor(tx), newChainer(), false
	for key, b := c.first(); key != nil; key, b = c.next() {
		f, err := decodeAt(t.Last+1, key, b)
		if err != nil {
			return err
		}
		if hash.next(t.Chain, b) != f.chain {
			return fmt.Errorf("frame at seq %d: chain is broken: %w", f.first, ErrCorrupt)
		}
		var stop error
		if _, err := f.each(0, func(r Record) bool {
			if open = !r.TxEnd; fn != nil {
				stop = fn(r)
			}
			return stop == nil
		}); err != nil {
			return err
		}
		if stop != nil {
			return stop
		}
		t.add(f.header)
	}
	if last := Seq(tx.Bucket(bucketLog).Sequence()); last != t.Last {
		return fmt.Errorf("frames end at seq %d, the log went to %d: %w", t.Last, last, ErrCorrupt)
	}
	if open {
		return fmt.Errorf("transaction at seq %d has no end: %w", t.Last, ErrCorrupt)
	}
	return nil
}
