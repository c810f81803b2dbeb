package eventlog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Beginning is what stands in front of the first record of a log.
type Beginning struct {
	First Seq // of that record; if it is 1 there is nothing else
	Mark  uint64
	// Snapshot is the state folded through the seq before First, as Snapshot.Write wrote it.
	Snapshot []byte
	// Keys are the idempotency keys known through the seq before First, as docs/format.md describes the blob "keys".
	Keys []byte
}

// Beginning reads what stands in front of the first record that is left.
func (r *Reader) Beginning() (Beginning, error) {
	b, err := r.beginning()
	if err != nil {
		return Beginning{}, fmt.Errorf("reading the beginning of event log %s: %w", r.dir, err)
	}
	return b, nil
}

func (r *Reader) beginning() (b Beginning, err error) {
	b.First = r.First()
	if b.First == 1 {
		return b, nil
	}
	s := r.live
	if s == nil || s.meta.First != b.First {
		if s, err = openSegment(filepath.Join(r.dir, segmentName(b.First)), openMode{}); err != nil {
			return b, err
		}
		defer s.close()
	}
	b.Mark = s.meta.Mark
	if b.Snapshot, _, err = segmentSnapshot(s.path, s); err != nil {
		return b, err
	}
	if b.Keys, _, err = s.blob(blobKeys); err == nil && b.Keys == nil {
		err = missing(blobKeys, nil)
	}
	return b, err
}

// Make makes a new log in dir that begins as b says, with what fill appends to it; fill neither keeps the Log nor closes it.
// dir must not exist; it appears complete, and verified, or not at all.
func Make(ctx context.Context, dir string, b Beginning, o Options, fill func(*Log) error) error {
	if err := makeLog(ctx, dir, b, o, fill); err != nil {
		return fmt.Errorf("making event log %s: %w", dir, err)
	}
	return nil
}

func makeLog(ctx context.Context, dir string, b Beginning, o Options, fill func(*Log) error) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		return errors.New("it is there already")
	}
	parent := filepath.Dir(filepath.Clean(dir))
	temp, err := os.MkdirTemp(parent, filepath.Base(dir)+".partial-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if err := begin(temp, b, o.withDefaults()); err != nil {
		return err
	}
	if err := fillLog(temp, o, fill); err != nil {
		return err
	}
	r, err := Verify(ctx, temp)
	switch {
	case err != nil:
		return err
	case !r.Clean():
		return fmt.Errorf("what was written is not whole: %v", r.Problems)
	}
	if err := errors.Join(os.Remove(filepath.Join(temp, lockName)), os.Chmod(temp, 0o750), syncDir(temp), os.Rename(temp, dir)); err != nil {
		return err
	}
	return syncDir(parent)
}

func fillLog(dir string, o Options, fill func(*Log) error) error {
	l, err := Open(dir, o)
	if err != nil {
		return err
	}
	return errors.Join(fill(l), l.Close())
}

// begin makes the first segment of a log that doesn't begin at seq 1.
func begin(dir string, b Beginning, o Options) error {
	if b.First <= 1 {
		return nil // Open makes it
	}
	if err := newKeyTable().decode(b.Keys); err != nil {
		return err
	}
	meta := segmentMeta{First: b.First, Mark: b.Mark, Created: o.Clock()}
	if _, err := rand.Read(meta.LogID[:]); err != nil {
		return fmt.Errorf("drawing a log id: %w", err)
	}
	meta.Prev = genesis(meta.LogID)
	compressor := newCompressor()
	s, err := makeSegment(filepath.Join(dir, segmentName(b.First)), o, func(tx *bolt.Tx) error {
		if err := createBuckets(tx, meta); err != nil {
			return err
		}
		snap := tx.Bucket(bucketSnap)
		for _, part := range []struct {
			name string
			data []byte
		}{{blobKeys, b.Keys}, {blobSnapshot, b.Snapshot}} {
			w := newBlobWriter(snap, part.name, meta.First-1, compressor)
			if _, err := w.Write(part.data); err != nil {
				return err
			}
			if err := w.finish(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("creating the first segment: %w", err)
	}
	return s.close()
}
