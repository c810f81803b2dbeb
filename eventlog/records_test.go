package eventlog

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestRecordsFromAnywhere(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{NoSync: true, SegmentBytes: 1 << 20})
	total := 0
	for i := range 4 {
		for range 3 {
			mustAppend(t, l, "", numbered("small", 7)...)
			mustAppend(t, l, "", numbered("a record of a big group", 5000)...)
			total += 5007
		}
		if i < 3 {
			mustRoll(t, l, 0, "")
		}
	}
	check := func(l *Log) {
		t.Helper()
		for from := Seq(1); from <= Seq(total)+1; from += 1777 {
			if got := len(collect(t, l.Records(from))); got != total-int(from)+1 {
				t.Errorf("from %d: %d records", from, got)
			}
		}
		for _, from := range []Seq{Seq(total), Seq(total) + 1, Seq(total) + 100} {
			if got := len(collect(t, l.Records(from))); got != max(0, total-int(from)+1) {
				t.Errorf("from %d: %d records", from, got)
			}
		}
	}
	check(l)
	mustClose(t, l)
	l = mustOpen(t, dir, Options{NoSync: true}) // nothing in the ring
	check(l)
	for r, err := range l.Records(3) { // ends early
		if err != nil {
			t.Fatal(err)
		}
		if r.Seq == 5 {
			break
		}
	}
}

func TestIterationEndsAtTheLastSeqOfItsStart(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	mustAppend(t, l, "", "a", "b")
	n := 0
	for _, err := range l.Records(1) {
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, "", "more")
		n++
	}
	if n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestIterationGoesOnOverRollsAndEndsAtPruned(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{NoSync: true, SegmentBytes: 1 << 20})
	for range 3 {
		mustAppend(t, l, "", numbered("r", 10)...)
		mustRoll(t, l, 0, "")
	}
	mustAppend(t, l, "", "live")
	l.ring = ring{limit: ringBytes}
	seen := Seq(0)
	var last error
	for r, err := range l.Records(1) {
		if last = err; err != nil {
			break
		}
		if seen = r.Seq; seen == 1 {
			mustRoll(t, l, 0, "")
		}
		if seen == 12 { // the first goes behind its back, the third before it is read
			for _, first := range []Seq{1, 21} {
				if err := os.Remove(filepath.Join(dir, segmentName(first))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if seen != 20 || !errors.Is(last, ErrPruned) {
		t.Errorf("ended after seq %d with %v", seen, last)
	}
}

func TestIterationOverAClosedLog(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true, SegmentBytes: 1 << 20})
	mustAppend(t, l, "", numbered("a record of a group that is not in the ring", 5000)...)
	l.ring = ring{limit: ringBytes}
	mustClose(t, l)
	if err := lastError(l.Records(1)); !errors.Is(err, ErrClosed) {
		t.Errorf("iteration: %v", err)
	}
}

func TestWait(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	done := make(chan error)
	go func() { done <- l.Wait(context.Background(), 1) }()
	mustAppend(t, l, "", "a")
	select {
	case err := <-done:
		t.Errorf("Wait for a record after seq 1 returned %v at seq 1", err)
	default:
	}
	mustAppend(t, l, "", "b")
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Wait(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with a context that ended: %v", err)
	}
	if err := l.Wait(ctx, 1); err != nil {
		t.Errorf("Wait for what is there: %v", err)
	}
}

func TestRecordsNeverComeInAnotherOrder(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	tamper(t, filepath.Join(dir, segmentName(5)), func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog)
		six, seven := bytes.Clone(b.Get(seqKey(6))), bytes.Clone(b.Get(seqKey(7)))
		return errors.Join(b.Put(seqKey(6), seven), b.Put(seqKey(7), six))
	})
	n := 0
	for _, err := range mustRead(t, dir).Records(1) {
		if n++; err != nil && (n > 6 || !errors.Is(err, ErrCorrupt)) {
			t.Errorf("item %d: %v", n, err)
		}
	}
	if n > 6 {
		t.Errorf("%d items", n)
	}
}
