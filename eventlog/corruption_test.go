package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"lqosd/internal/testenv"
)

// corruptionTime is how long anything may take on a damaged log.
const corruptionTime = 30 * time.Second

// victim is a log one file of which is damaged and mended again and again.
type victim struct {
	dir     string
	file    *os.File // of the segment that is damaged
	name    string
	good    []byte
	records []Record

	found, free, saved int // damage that Verify found, or that changed nothing; and how often Salvage was tried
}

// newVictim makes a log with fill, and takes the segment that begins with first.
func newVictim(t testing.TB, first Seq, fill func(dir string) error) *victim {
	t.Helper()
	v := &victim{dir: memoryDir(t), name: segmentName(first)}
	path := filepath.Join(v.dir, v.name)
	err := errors.Join(fill(v.dir), os.Chmod(path, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if v.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.file.Close() })
	meta, _, err := readBoltMetas(v.file)
	if err != nil {
		t.Fatal(err)
	}
	v.good = make([]byte, int64(meta.high)*meta.pageSize)
	if _, err := v.file.ReadAt(v.good, 0); err != nil {
		t.Fatal(err)
	}
	if err := v.file.Truncate(int64(len(v.good))); err != nil {
		t.Fatal(err)
	}
	v.records = readAll(t, v.dir)
	return v
}

// spoil lets damage change the file, looks at it, and mends the n bytes from at on.
func (v *victim) spoil(salvage bool, at, n int, damage func() error) (found bool, err error) {
	if err := damage(); err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	go func() {
		var err error
		found, err = v.look(salvage)
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-time.After(corruptionTime):
		return false, fmt.Errorf("it takes longer than %s", corruptionTime)
	}
	if found {
		v.found++
	} else {
		v.free++
	}
	_, mendErr := v.file.WriteAt(v.good[at:at+n], int64(at))
	return found, errors.Join(err, mendErr, v.file.Truncate(int64(len(v.good))))
}

// look verifies the log: either there is a problem, or every record is what it was. Whoever reads a damaged log gets an
// error or what was written, and salvage gets at least what Verify calls good.
func (v *victim) look(salvage bool) (found bool, err error) {
	r, err := Verify(context.Background(), v.dir)
	if errors.Is(err, ErrNewerFormat) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !r.Clean() && !salvage {
		return true, nil
	}
	n, readErr := v.read()
	if r.Clean() {
		if readErr != nil || n != len(v.records) {
			return false, fmt.Errorf("verify finds nothing, %d of %d records can be read: %w", n, len(v.records), readErr)
		}
		return false, nil
	}
	if errors.Is(readErr, errOther) {
		return true, readErr
	}
	return true, v.salvage(r)
}

var errOther = errors.New("a record is another one")

// read compares what can be read with what was written.
func (v *victim) read() (n int, err error) {
	r, err := OpenReader(v.dir)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for rec, err := range r.Records(0) {
		if err != nil {
			return n, err
		}
		if n >= len(v.records) || !reflect.DeepEqual(rec, v.records[n]) {
			return n, fmt.Errorf("record %d: %w", rec.Seq, errOther)
		}
		n++
	}
	return n, nil
}

func (v *victim) salvage(r Report) error {
	v.saved++
	out := filepath.Join(v.dir, "salvaged")
	s, err := Salvage(context.Background(), v.dir, out)
	if errors.Is(err, ErrCorrupt) && r.LastGood < r.First {
		return nil // there is nothing to save
	}
	if err == nil && s.Last < r.LastGood {
		err = fmt.Errorf("verify finds records up to %d good, salvaged %+v", r.LastGood, s)
	}
	if err == nil {
		err = checkSalvaged(s, out, v.records)
	}
	return errors.Join(err, os.RemoveAll(out))
}

// fillSmall makes a log with every kind of page and entry, in a sealed and a live segment.
func fillSmall(dir string) error {
	l, err := Open(dir, Options{NoSync: true, SegmentBytes: 1 << 20})
	if err != nil {
		return err
	}
	add := func(key string, records ...string) {
		if err == nil {
			_, err = l.Append(context.Background(), textTx(key, records...))
		}
	}
	add("key", numbered("record", 5)...)
	add("", string(incompressible(9000)), "end")
	p, rollErr := l.Roll(textSnapshot(1, "state"))
	if rollErr == nil {
		_, rollErr = p.Wait()
	}
	l.SetCursor("applied", []byte("7"))
	add("other", numbered("record", 5)...)
	add("", numbered("a record that compresses", 500)...)
	return errors.Join(err, rollErr, l.Close())
}

// fillBig makes a log of one segment with a deep tree, and with room.
func fillBig(dir string) error {
	l, err := Open(dir, Options{NoSync: true, SegmentBytes: 1 << 20, faults: &faults{room: smallRoom}})
	if err != nil {
		return err
	}
	for i := range 600 {
		tx := textTx(fmt.Sprint("key ", i), numbered("record", 1+i%7)...)
		if i%20 == 0 {
			tx = Tx{Records: [][]byte{incompressible(9000 + i), []byte("end")}}
		}
		if _, err := l.Append(context.Background(), tx); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	return l.Close()
}

// TestTrialFlippedBytes flips a bit in every byte in use of a small log and in some that are free; in the nightly run every bit of
// every byte. Each flip is found by
// Verify, or it is shown that nothing is stored in that byte.
func TestTrialFlippedBytes(t *testing.T) {
	testenv.Long(t, "thousands of damaged logs")
	seed := testenv.Seed(t)
	for _, first := range []Seq{1, 8} {
		var wg sync.WaitGroup
		for half := range 2 {
			v := newVictim(t, first, fillSmall)
			wg.Go(func() { v.flipBytes(t, rand.New(rand.NewPCG(seed, uint64(half))), half) })
		}
		wg.Wait()
	}
}

// flipBytes flips bits of every second byte.
func (v *victim) flipBytes(t *testing.T, dice *rand.Rand, from int) {
	stored, err := storedBytes(v.good)
	if err != nil {
		t.Error(err)
		return
	}
	inUse := 0
	for at := from; at < len(v.good); at += 2 {
		if !stored[at] && dice.IntN(testenv.Tries(24, 1)) > 0 {
			continue // usually some of those that should be free
		}
		bits := []byte{1 << dice.IntN(8)}
		if testenv.Nightly() {
			bits = []byte{1, 2, 4, 8, 16, 32, 64, 128}
		}
		for _, bit := range bits {
			found, err := v.flip(at, bit, dice.IntN(100) == 0)
			if err != nil {
				t.Errorf("%s, byte %d, bit %#x: %v", v.name, at, bit, err)
				return
			}
			if stored[at] {
				inUse++
			}
			if stored[at] && !found {
				t.Errorf("%s, byte %d, bit %#x: nothing is found, though the byte is in use", v.name, at, bit)
			}
		}
	}
	t.Logf("figure: a bit of every byte, %s, half %d | %d flips in bytes in use, %d in free ones, %d times salvaged | %d found, 0 missed", v.name, from+1, inUse, v.found+v.free-inUse, v.saved, v.found)
	if inUse == 0 || v.free == 0 || v.saved == 0 {
		t.Error("the sweep did not see all kinds")
	}
}

func (v *victim) flip(at int, bit byte, salvage bool) (found bool, err error) {
	return v.spoil(salvage, at, 1, func() error {
		_, err := v.file.WriteAt([]byte{v.good[at] ^ bit}, int64(at))
		return err
	})
}

// TestTrialFlippedBits flips bits of a bigger log.
func TestTrialFlippedBits(t *testing.T) {
	testenv.Long(t, "thousands of damaged logs")
	seed := testenv.Seed(t)
	var wg sync.WaitGroup
	for half := range 2 {
		v, dice := newVictim(t, 1, fillBig), rand.New(rand.NewPCG(seed, uint64(half)))
		stored, err := storedBytes(v.good)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range testenv.Tries(2000, 20_000) / 2 {
				at, bit := dice.IntN(len(v.good)), byte(1)<<dice.IntN(8)
				found, err := v.flip(at, bit, dice.IntN(20) == 0)
				if err != nil || stored[at] && !found {
					t.Errorf("byte %d, bit %#x: found %t, in use %t, %v", at, bit, found, stored[at], err)
					return
				}
			}
			t.Logf("figure: bits of a bigger log, half %d | %d flips, %d times salvaged | %d found, %d in free space, 0 missed", half+1, v.found+v.free, v.saved, v.found, v.free)
		})
	}
	wg.Wait()
}

// TestTrialTruncated cuts the live segment off at every length, and a bigger one at some.
func TestTrialTruncated(t *testing.T) {
	testenv.Long(t, "thousands of damaged logs")
	for _, c := range []struct {
		name string
		v    *victim
		step int
	}{{"small", newVictim(t, 8, fillSmall), 1}, {"big", newVictim(t, 1, fillBig), testenv.Tries(997, 101)}} {
		for size := 0; size < len(c.v.good); size += c.step {
			found, err := c.v.spoil(size/c.step%100 == 0, size, len(c.v.good)-size, func() error { return c.v.file.Truncate(int64(size)) })
			if err != nil || !found {
				t.Fatalf("%s, first %d of %d bytes: found %t, %v", c.name, size, len(c.v.good), found, err)
			}
		}
		t.Logf("figure: cut off, %s log | %d lengths, %d times salvaged | %d found, 0 missed", c.name, c.v.found+c.v.free, c.v.saved, c.v.found)
	}
}

// TestTrialReplacedPages puts every page in the place of every other, as it is and with the number that belongs there.
func TestTrialReplacedPages(t *testing.T) {
	testenv.Long(t, "thousands of damaged logs")
	v := newVictim(t, 8, fillSmall)
	const size = 4096
	for to := 0; to < len(v.good); to += size {
		for from := 0; from < len(v.good); from += size {
			for _, renumber := range []bool{false, true} {
				page := append([]byte(nil), v.good[from:from+size]...)
				if renumber {
					le.PutUint64(page, uint64(to/size))
				}
				if reflect.DeepEqual(page, v.good[to:to+size]) {
					continue
				}
				_, err := v.spoil(true, to, size, func() error {
					_, err := v.file.WriteAt(page, int64(to))
					return err
				})
				if err != nil {
					t.Fatalf("page %d over page %d, renumbered %t: %v", from/size, to/size, renumber, err)
				}
			}
		}
	}
	t.Logf("figure: pages in each other's place | %d, %d times salvaged | %d found, %d of free pages, 0 missed", v.found+v.free, v.saved, v.found, v.free)
}

// TestTrialMovedRecords swaps every two frames of a segment, and deletes every one and every two, by bbolt's own means.
func TestTrialMovedRecords(t *testing.T) {
	testenv.Long(t, "thousands of damaged logs")
	v := newVictim(t, 9, func(dir string) error { threeSegments(t, dir); return nil })
	change := func(what string, fn func(b *bolt.Bucket) error) {
		t.Helper()
		found, err := v.spoil(true, 0, len(v.good), func() error {
			db, err := bolt.Open(v.file.Name(), 0o600, &bolt.Options{NoSync: true})
			if err != nil {
				return err
			}
			return errors.Join(db.Update(func(tx *bolt.Tx) error { return fn(tx.Bucket(bucketLog)) }), db.Close())
		})
		if err != nil || !found {
			t.Fatalf("%s: found %t, %v", what, found, err)
		}
	}
	for a := Seq(9); a <= 12; a++ {
		for b := a; b <= 12; b++ {
			change(fmt.Sprint("without ", a, " and ", b), func(log *bolt.Bucket) error {
				return errors.Join(log.Delete(seqKey(a)), log.Delete(seqKey(b)))
			})
			if a == b {
				continue
			}
			change(fmt.Sprint(a, " and ", b, " swapped"), func(log *bolt.Bucket) error {
				va, vb := append([]byte(nil), log.Get(seqKey(a))...), append([]byte(nil), log.Get(seqKey(b))...)
				return errors.Join(log.Put(seqKey(a), vb), log.Put(seqKey(b), va))
			})
			change(fmt.Sprint(a, " in place of ", b), func(log *bolt.Bucket) error {
				return log.Put(seqKey(b), append([]byte(nil), log.Get(seqKey(a))...))
			})
		}
	}
	t.Logf("figure: records swapped and deleted | %d, %d times salvaged | %d found, 0 missed", v.found+v.free, v.saved, v.found)
}
