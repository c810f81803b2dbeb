package eventlog

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"lqosd/internal/testenv"
)

// threeSegments makes a log of 12 records in three segments; every record is a transaction and a frame.
func threeSegments(t *testing.T, dir string) {
	t.Helper()
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20})
	for i := range 3 {
		for _, r := range numbered("record", 4) {
			mustAppend(t, l, r+string(rune('a'+i)), r)
		}
		if i < 2 {
			mustRoll(t, l, uint64(i+1), "state")
		}
	}
	mustClose(t, l)
}

// tamper changes a segment by bbolt's own means, as somebody with the file and a tool could.
func tamper(t *testing.T, path string, change func(tx *bolt.Tx) error) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
}

// reframe returns the frame under key k with other header fields or payload, and a CRC that fits.
func reframe(b *bolt.Bucket, k Seq, change func([]byte)) []byte {
	v := bytes.Clone(b.Get(seqKey(k)))
	change(v)
	le := frameCRC(v)
	v[offCRC], v[offCRC+1], v[offCRC+2], v[offCRC+3] = byte(le>>24), byte(le>>16), byte(le>>8), byte(le)
	return v
}

// tamperings are changes of threeSegments that only bbolt can make, and the last good seq that Verify finds then.
var tamperings = map[string]struct {
	segment  Seq
	change   func(tx *bolt.Tx) error
	lastGood Seq
}{
	"edit with a good CRC": {5, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog)
		return b.Put(seqKey(6), reframe(b, 6, func(v []byte) { v[len(v)-1]++ }))
	}, 5},
	"deletion in the middle": {1, func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(seqKey(2)) }, 1},
	"deletion of the first":  {1, func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(seqKey(1)) }, 0},
	"truncation, sealed":     {5, func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(seqKey(8)) }, 7},
	"truncation, live":       {9, func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Delete(seqKey(12)) }, 11},
	"truncation of everything": {9, func(tx *bolt.Tx) error {
		for s := Seq(9); s <= 12; s++ {
			if err := tx.Bucket(bucketLog).Delete(seqKey(s)); err != nil {
				return err
			}
		}
		return nil
	}, 8},
	"swap": {9, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog)
		setFirst := func(s byte) func([]byte) { return func(v []byte) { v[offFirst+7] = s } }
		ten, eleven := reframe(b, 10, setFirst(11)), reframe(b, 11, setFirst(10))
		return errors.Join(b.Put(seqKey(10), eleven), b.Put(seqKey(11), ten))
	}, 9},
	"frames under each other's keys": {9, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog)
		ten, eleven := bytes.Clone(b.Get(seqKey(10))), bytes.Clone(b.Get(seqKey(11)))
		return errors.Join(b.Put(seqKey(10), eleven), b.Put(seqKey(11), ten))
	}, 9},
	"transaction without its end": {9, func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog)
		payload := rawRecord{data: []byte("x")}.append(nil)
		before, err := parseHeader(b.Get(seqKey(11)))
		h := header{first: 12, count: 1, stored: uint32(len(payload)), raw: uint32(len(payload))}
		v := append(make([]byte, headerSize), payload...)
		h.seal(v, before.chain, newChainer())
		return errors.Join(err, b.Put(seqKey(12), v))
	}, 12},
	"a foreign key":          {9, func(tx *bolt.Tx) error { return tx.Bucket(bucketLog).Put([]byte("zzz"), []byte("x")) }, 12},
	"an empty group":         {9, func(tx *bolt.Tx) error { _, err := tx.Bucket(bucketLog).CreateBucket(seqKey(13)); return err }, 12},
	"seal of another":        {1, func(tx *bolt.Tx) error { return putJSON(tx.Bucket(bucketMeta), keySeal, seal{tally: tally{Last: 4}}) }, 4},
	"no seal":                {1, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete([]byte(keySeal)) }, 12},
	"no seal before records": {5, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete([]byte(keySeal)) }, 12},
	"no snapshot":            {5, func(tx *bolt.Tx) error { return tx.Bucket(bucketSnap).Delete([]byte(blobSnapshot)) }, 12},
	"no keys":                {5, func(tx *bolt.Tx) error { return tx.Bucket(bucketSnap).Delete([]byte(blobKeys)) }, 12},
	"no epoch":               {9, func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete([]byte(epochKey(1))) }, 12},
	"no bucket":              {5, func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketCursor) }, 4},
}

func TestTamperingIsFound(t *testing.T) {
	for name, c := range tamperings {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			verifyClean(t, dir)
			tamper(t, filepath.Join(dir, segmentName(c.segment)), c.change)
			r, err := Verify(context.Background(), dir)
			if err != nil || r.Clean() || r.LastGood != c.lastGood {
				t.Errorf("report %+v, %v; last good should be %d", r, err, c.lastGood)
			}
		})
	}
}

func TestSegmentOfAnotherLogIsFound(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	threeSegments(t, dir)
	threeSegments(t, other)
	if err := os.Rename(filepath.Join(other, segmentName(5)), filepath.Join(dir, segmentName(5))); err != nil {
		t.Fatal(err)
	}
	r, err := Verify(context.Background(), dir)
	if err != nil || r.Clean() || r.LastGood > 8 {
		t.Errorf("report %+v, %v", r, err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(5))); err != nil {
		t.Fatal(err)
	}
	if r, err = Verify(context.Background(), dir); err != nil || r.Clean() || r.LastGood != 4 {
		t.Errorf("with a hole: report %+v, %v", r, err)
	}
}

func TestNewerFormatIsNotDamage(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	tamper(t, filepath.Join(dir, segmentName(9)), func(tx *bolt.Tx) error {
		return putJSON(tx.Bucket(bucketMeta), keyFormat, format{Major: 2, MinReader: 2})
	})
	_, errOpen := Open(dir, Options{})
	_, errReader := OpenReader(dir)
	_, errVerify := Verify(context.Background(), dir)
	for name, err := range map[string]error{"Open": errOpen, "OpenReader": errReader, "Verify": errVerify} {
		if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tamper(t, filepath.Join(dir, segmentName(9)), func(tx *bolt.Tx) error {
		return putJSON(tx.Bucket(bucketMeta), keyFormat, format{Major: 2, Minor: 5, MinReader: 1})
	})
	mustOpen(t, dir, Options{}) // newer, but says that we can read it
}

func TestVerifyOfNothing(t *testing.T) {
	if _, err := Verify(context.Background(), t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty directory: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	threeSegments(t, dir)
	if _, err := Verify(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: %v", err)
	}
}

// TestFlippedBits changes single bits of a small log. Each is found by Verify or reaches no record, and nothing panics.
func TestFlippedBits(t *testing.T) {
	testenv.NoLeakedFDs(t)
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{NoSync: true, SegmentBytes: 1 << 20})
	mustAppend(t, l, "key", numbered("record", 20)...)
	mustAppend(t, l, "", string(incompressible(9000)), "end")
	mustRoll(t, l, 1, "state")
	l.SetCursor("applied", []byte("22"))
	mustAppend(t, l, "other", numbered("record", 20)...)
	mustAppend(t, l, "", numbered("a record that compresses", 500)...)
	mustClose(t, l)
	want := readAll(t, dir)
	for _, first := range []Seq{1, 23} {
		path := filepath.Join(dir, segmentName(first))
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		flipAll(t, dir, path, want)
	}
	verifyClean(t, dir)
}

func flipAll(t *testing.T, dir, path string, want []Record) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	meta, _, err := readBoltMetas(f)
	if err != nil {
		t.Fatal(err)
	}
	stride := int64(23)
	if testing.Short() {
		stride = 499
	}
	rng := rand.New(rand.NewPCG(7, 7))
	found, harmless := 0, 0
	for at := int64(0); at < int64(meta.high)*meta.pageSize; at += 1 + rng.Int64N(2*stride) {
		flip(t, f, at, byte(1)<<rng.IntN(8), func() {
			r, err := Verify(context.Background(), dir)
			if err != nil && !errors.Is(err, ErrNewerFormat) {
				t.Errorf("byte %d: %v", at, err)
			}
			if err != nil || !r.Clean() {
				found++
				return
			}
			if harmless++; !reflect.DeepEqual(want, readAll(t, dir)) {
				t.Errorf("byte %d: records changed unnoticed", at)
			}
		})
	}
	t.Logf("%s: %d flips found, %d reach no record", filepath.Base(path), found, harmless)
	if found == 0 || harmless == 0 {
		t.Error("the sweep did not see both kinds")
	}
}

// flip changes bits of the byte at off while fn runs.
func flip(t *testing.T, f *os.File, off int64, bits byte, fn func()) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	write := func(v byte) {
		if _, err := f.WriteAt([]byte{v}, off); err != nil {
			t.Fatal(err)
		}
	}
	write(b[0] ^ bits)
	defer write(b[0])
	fn()
}

func readAll(t testing.TB, dir string) (records []Record) {
	t.Helper()
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for rec, err := range r.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	return records
}

// relabel gives a segment another log id, prev chain, or both.
func relabel(t *testing.T, path string, change func(*segmentMeta)) {
	t.Helper()
	tamper(t, path, func(tx *bolt.Tx) error {
		m, _, err := readMeta(tx)
		change(&m)
		return errors.Join(err, putJSON(tx.Bucket(bucketMeta), keySegment, m))
	})
}

func TestLinksBetweenSegments(t *testing.T) {
	id := chain{1}
	for name, c := range map[string]struct {
		sever func(t *testing.T, dir string)
		want  string
	}{
		"one log id": {func(t *testing.T, dir string) {
			relabel(t, filepath.Join(dir, segmentName(5)), func(m *segmentMeta) { m.LogID = id })
		}, "another log"},
		"all log ids": {func(t *testing.T, dir string) {
			for _, s := range []Seq{1, 5, 9} {
				relabel(t, filepath.Join(dir, segmentName(s)), func(m *segmentMeta) { m.LogID = id })
			}
		}, "log's own chain"},
		"a segment of the same log id with another past": {func(t *testing.T, dir string) {
			other := t.TempDir()
			threeSegments(t, other)
			for _, s := range []Seq{1, 5, 9} {
				for _, d := range []string{dir, other} {
					relabel(t, filepath.Join(d, segmentName(s)), func(m *segmentMeta) { m.LogID = id })
				}
			}
			if err := os.Rename(filepath.Join(other, segmentName(9)), filepath.Join(dir, segmentName(9))); err != nil {
				t.Fatal(err)
			}
		}, "does not continue the chain"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			threeSegments(t, dir)
			c.sever(t, dir)
			r, err := Verify(context.Background(), dir)
			found := false
			for _, p := range r.Problems {
				found = found || strings.Contains(p.What, c.want)
			}
			if err != nil || !found {
				t.Errorf("no problem with %q: %+v, %v", c.want, r, err)
			}
		})
	}
}

// endingContext ends after it was asked so many times.
type endingContext struct {
	context.Context
	left *int
}

func (c endingContext) Err() error {
	if *c.left--; *c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestVerifyEnds: a check that is interrupted finds no damage where there is none, and goes no further than a record.
func TestVerifyEnds(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	for asked := range 100 {
		r, err := Verify(endingContext{t.Context(), new(asked)}, dir)
		if len(r.Problems) > 0 {
			t.Fatalf("after %d: %v", asked, r.Problems)
		}
		if err == nil && r.Last == 12 && asked > 12 {
			return
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d: %+v, %v", asked, r, err)
		}
	}
	t.Error("it never ended")
}
