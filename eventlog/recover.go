package eventlog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"
)

// genesis is the chain in front of the first frame of a log.
func genesis(logID chain) chain { return blake3.Sum256(logID[:]) }

// recover brings the directory into a state without leftovers of a crash and fills l from its live segment.
func (l *Log) recover() (err error) {
	if err := l.removeTemps(); err != nil {
		return err
	}
	if l.firsts, err = listSegments(l.dir); err != nil {
		return err
	}
	switch {
	case len(l.firsts) > 0:
		err = l.openLive()
	case l.opts.MustExist:
		err = fmt.Errorf("the segments are gone: %w", os.ErrNotExist)
	default:
		err = l.createFirst()
	}
	if err != nil {
		return err
	}
	if err := l.load(); err != nil {
		_ = l.live.close()
		return err
	}
	return nil
}

// removeTemps removes segments that a crash left half made: nobody was told of them.
func (l *Log) removeTemps() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), segmentSuffix+tempSuffix) {
			continue
		}
		if err := os.Remove(filepath.Join(l.dir, e.Name())); err != nil {
			return fmt.Errorf("removing leftover: %w", err)
		}
		l.recovered = append(l.recovered, "removed "+e.Name()+", which was never finished")
	}
	return nil
}

func (l *Log) createFirst() error {
	meta := segmentMeta{First: 1, Created: l.opts.Clock()}
	if _, err := rand.Read(meta.LogID[:]); err != nil {
		return fmt.Errorf("drawing a log id: %w", err)
	}
	meta.Prev = genesis(meta.LogID)
	temp := l.path(1) + tempSuffix
	s, err := makeSegment(temp, l.opts, func(tx *bolt.Tx) error { return createBuckets(tx, meta) })
	if err == nil {
		err = publishSegment(s, l.path(1))
	}
	if err == nil {
		err = syncAncestors(l.dir)
	}
	if err != nil {
		return fmt.Errorf("creating the first segment: %w", err)
	}
	l.live, l.firsts = s, []Seq{1}
	return nil
}

// createBuckets fills the first transaction of a segment with what every segment has.
func createBuckets(tx *bolt.Tx, meta segmentMeta) error {
	for _, name := range [][]byte{bucketMeta, bucketLog, bucketSnap, bucketCursor, bucketSum} {
		if _, err := tx.CreateBucket(name); err != nil {
			return fmt.Errorf("creating bucket %s: %w", name, err)
		}
	}
	if err := tx.Bucket(bucketLog).SetSequence(uint64(meta.First - 1)); err != nil {
		return err
	}
	if err := putJSON(tx.Bucket(bucketMeta), keyFormat, currentFormat); err != nil {
		return err
	}
	return putJSON(tx.Bucket(bucketMeta), keySegment, meta)
}

// publishSegment gives a finished segment its name; it is closed on errors.
func publishSegment(s *segment, path string) error {
	err := os.Rename(s.path, path)
	if err == nil {
		s.path = path
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = s.close()
	}
	return err
}

// writing is how segments are opened that are written to.
func (l *Log) writing() openMode {
	return openMode{write: true, noSync: l.opts.NoSync, trust: l.opts.faults.trust, limit: l.opts.MaxSize}
}

// openLive opens the newest segment and finishes the roll that led to it if a crash interrupted it.
func (l *Log) openLive() error {
	n := len(l.firsts)
	path := l.path(l.firsts[n-1])
	live, err := openSegment(path, l.writing())
	if info, statErr := os.Lstat(path); errors.Is(err, os.ErrPermission) && statErr == nil && info.Mode().Perm() == modeSealed {
		return fmt.Errorf("%s, the newest segment, is sealed: the one after it is missing: %w", filepath.Base(path), ErrCorrupt)
	}
	if err != nil {
		return err
	}
	if live.doubt == cutOff {
		l.recovered = append(l.recovered, "dropped the newest commit of "+filepath.Base(live.path)+", which isn't all there: it was cut off before anybody was told of it")
	}
	if live.oneMeta {
		l.recovered = append(l.recovered, "one of two meta pages of "+filepath.Base(live.path)+" was damaged; the last commit before that may be missing")
	}
	if n > 1 {
		if err := l.finishRoll(l.firsts[n-2], live.meta); err != nil {
			_ = live.close()
			return err
		}
	}
	l.live = live
	return nil
}

// finishRoll seals the segment before the live one if that is not complete.
func (l *Log) finishRoll(first Seq, next segmentMeta) error {
	info, err := os.Lstat(l.path(first))
	if err != nil {
		return fmt.Errorf("looking at the segment before the live one: %w", err)
	}
	if info.Mode().Perm() == modeSealed {
		return nil
	}
	old, err := openSegment(l.path(first), l.writing())
	if err != nil {
		return err
	}
	if old.seal == nil {
		if err := l.sealChecked(old, next); err != nil {
			_ = old.close()
			return err
		}
	}
	l.recovered = append(l.recovered, "finished the roll from "+filepath.Base(old.path))
	return retire(old)
}

func (l *Log) sealChecked(old *segment, next segmentMeta) error {
	t, err := old.scan(nil)
	if err != nil {
		return err
	}
	if t.Last+1 != next.First || t.Chain != next.Prev {
		return fmt.Errorf("segment %s ends at seq %d, the next one does not follow it: %w", filepath.Base(old.path), t.Last, ErrCorrupt)
	}
	return old.putSeal(t, l.opts.Clock())
}

// load checks the live segment and takes from it what the log keeps in memory.
func (l *Log) load() error {
	keys, err := l.loadKeys(len(l.firsts)-1, l.live)
	if err != nil {
		return err
	}
	scan := keyScan{table: keys}
	if l.tally, err = l.live.scan(scan.record); err != nil {
		return err
	}
	if l.live.seal != nil {
		return fmt.Errorf("newest segment %s is sealed, its successor is gone: %w", filepath.Base(l.live.path), ErrCorrupt)
	}
	if err := l.cursors.load(l.live); err != nil {
		return err
	}
	highest, err := l.live.highestEpoch()
	if err != nil {
		return err
	}
	l.epoch = epochMeta{
		Epoch: max(highest, l.tally.Epoch) + 1, BootID: l.opts.BootID, PID: l.opts.Holder.PID,
		Version: l.opts.Holder.Version, Bus: l.opts.Holder.Bus, Start: l.opts.Holder.Since,
	}
	l.liveBytes.Store(l.tally.Stored)
	l.queue = newQueue(l.tally.Last+1, keys)
	l.durable.publish(l.tally.Last)
	return nil
}

// loadKeys returns the idempotency keys known in front of segment i, which is open as s. If that list is damaged, it is
// made again from the segment before.
func (l *Log) loadKeys(i int, s *segment) (*keyTable, error) {
	keys := newKeyTable()
	if s.meta.First == 1 {
		return keys, nil
	}
	list, _, err := s.blob(blobKeys)
	if err == nil && list == nil {
		err = missing(blobKeys, nil)
	}
	if err == nil {
		err = keys.decode(list)
	}
	if err == nil || !errors.Is(err, ErrCorrupt) || i == 0 {
		return keys, err
	}
	l.recovered = append(l.recovered, fmt.Sprintf("keys in front of %s made again: %v", filepath.Base(s.path), err))
	before, err := openSegment(l.path(l.firsts[i-1]), openMode{})
	if err != nil {
		return nil, err
	}
	defer before.close()
	if keys, err = l.loadKeys(i-1, before); err != nil {
		return nil, err
	}
	scan := keyScan{table: keys}
	_, err = before.scan(scan.record)
	return keys, err
}

// highestEpoch is the highest epoch that has an entry, 0 if none has.
func (s *segment) highestEpoch() (highest uint32, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketMeta)
		return b.ForEach(func(k, _ []byte) error {
			if !strings.HasPrefix(string(k), keyEpoch) {
				return nil
			}
			var e epochMeta
			if _, err := getJSON(b, string(k), &e); err != nil {
				return err
			}
			highest = max(highest, e.Epoch)
			return nil
		})
	})
	return highest, err
}

// blob reads a blob of the bucket "snap".
func (s *segment) blob(name string) (data []byte, at Seq, err error) {
	err = s.view(func(tx *bolt.Tx) (err error) {
		data, at, err = readBlob(tx.Bucket(bucketSnap), name)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("reading segment %s: %w", filepath.Base(s.path), err)
	}
	return data, at, nil
}

// find returns the index of the segment that holds seq, -1 if seq is before all of them.
func find(firsts []Seq, seq Seq) int {
	i, exact := slices.BinarySearch(firsts, seq)
	if exact {
		return i
	}
	return i - 1
}
