package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	bolt "go.etcd.io/bbolt"

	"lqosd/internal/testenv"
)

// salvageInto salvages from, and wants a whole log with a prefix of the records want.
func salvageInto(t testing.TB, from, to string, want []Record) Salvaged {
	t.Helper()
	s, err := Salvage(context.Background(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkSalvaged(s, to, want); err != nil {
		t.Fatal(err)
	}
	return s
}

func checkSalvaged(s Salvaged, dir string, want []Record) error {
	r, err := Verify(context.Background(), dir)
	if err != nil || !r.Clean() || r.First != s.First || r.Last != s.Last || r.Records != s.Records || r.Segments != s.Segments {
		return fmt.Errorf("salvaged %+v, verify finds %+v %w", s, r, err)
	}
	if len(want) > 0 && s.Last < want[len(want)-1].Seq && len(s.Lost) == 0 {
		return fmt.Errorf("%+v: records are lost without a word", s)
	}
	got, err := OpenReader(dir)
	if err != nil {
		return err
	}
	defer got.Close()
	seq := s.First
	for rec, err := range got.Records(0) {
		if err != nil || !reflect.DeepEqual(rec, want[seq-want[0].Seq]) {
			return fmt.Errorf("record %d is not what it was: %w", seq, err)
		}
		seq++
	}
	return nil
}

func TestSalvageOfAWholeLog(t *testing.T) {
	testenv.NoLeakedFDs(t)
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	threeSegments(t, dir)
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "", numbered("a record that compresses", 3000)...)
	l.SetCursor("applied", []byte("12"))
	mustClose(t, l)
	want := readAll(t, dir)
	s := salvageInto(t, dir, out, want)
	if s.Last != 3012 || s.Segments != 3 || len(s.Lost) != 0 {
		t.Errorf("%+v", s)
	}
	l = mustOpen(t, out, Options{})
	wantSnapshot(t, l, "state", 8)
	wantCursor(t, l, "applied", "12")
	if res := mustAppend(t, l, "recordb", "x"); !res.Duplicate && res.Last != 3013 {
		t.Errorf("%+v", res)
	}
	mustAppend(t, l, "", "goes on")
	mustClose(t, l)
	verifyClean(t, out)
}

func TestSalvageOfTamperedLogs(t *testing.T) {
	for name, c := range tamperings {
		t.Run(name, func(t *testing.T) {
			dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
			threeSegments(t, dir)
			want := readAll(t, dir)
			path := filepath.Join(dir, segmentName(c.segment))
			tamper(t, path, c.change)
			tamper(t, path, again) // otherwise the commit before the change is still there, and is found
			before := mustReadFile(t, path)
			s := salvageInto(t, dir, out, want)
			last := c.lastGood
			if name == "transaction without its end" {
				last-- // it is good, and not whole
			}
			if s.Last < last || s.First != 1 {
				t.Errorf("good up to %d, salvaged %+v", c.lastGood, s)
			}
			if mustReadFile(t, path) != before {
				t.Error("the damaged file was changed")
			}
			l := mustOpen(t, out, Options{})
			mustAppend(t, l, "", "goes on")
			mustClose(t, l)
			verifyClean(t, out)
		})
	}
}

// again is one more commit.
func again(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte("again"), nil) }

// TestSalvageEndsWithATransaction breaks frames of one that spans many.
func TestSalvageEndsWithATransaction(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "k", "a", "b")
	g := newGate()
	mustClose(t, l)
	l = mustOpen(t, dir, Options{faults: &faults{before: g.before}})
	p, err := l.Enqueue(textTx("", "first of its own group"))
	if err != nil {
		t.Fatal(err)
	}
	<-g.reached
	// One group of two transactions: the first ends within a frame, the second spans some.
	var all []*Pending
	for _, tx := range []Tx{textTx("", string(incompressible(40_000)), "end"), {Records: [][]byte{incompressible(10_000), incompressible(50_000), incompressible(60_000), incompressible(60_000)}}} {
		p, err := l.Enqueue(tx)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	g.pass <- struct{}{}
	<-g.reached
	g.pass <- struct{}{}
	close(g.open)
	for _, p := range append(all, p) {
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	want := readAll(t, dir)
	tamper(t, filepath.Join(dir, segmentName(1)), func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketLog).Bucket(seqKey(4))
		k, _ := b.Cursor().Last()
		return b.Put(k, []byte("no frame"))
	})
	out := filepath.Join(t.TempDir(), "before")
	if s := salvageInto(t, dir, out, want); s.Last != 9 {
		t.Errorf("salvaged %+v, the commit before was good", s)
	}
	tamper(t, filepath.Join(dir, segmentName(1)), again)
	s := salvageInto(t, dir, filepath.Join(t.TempDir(), "out"), want)
	if s.Last != 5 {
		t.Errorf("salvaged %+v, the last whole transaction ends at 5", s)
	}
}

func TestSalvageRefuses(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	threeSegments(t, dir)
	if _, err := Salvage(context.Background(), dir, out); err == nil {
		t.Error("it wrote into a directory that is there")
	}
	out = filepath.Join(out, "out")
	if _, err := Salvage(context.Background(), filepath.Join(dir, "nothing"), out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing to salvage: %v", err)
	}
	l := mustOpen(t, dir, Options{})
	if _, err := Salvage(context.Background(), dir, out); !errors.As(err, new(*HeldError)) {
		t.Errorf("a daemon holds it: %v", err)
	}
	mustClose(t, l)
	tamper(t, filepath.Join(dir, segmentName(5)), func(tx *bolt.Tx) error {
		return putJSON(tx.Bucket(bucketMeta), keyFormat, format{Major: 2, MinReader: 2})
	})
	if _, err := Salvage(context.Background(), dir, out); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("newer format: %v", err)
	}
	for _, first := range []Seq{1, 5, 9} {
		path := filepath.Join(dir, segmentName(first))
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, make([]byte, 30_000), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Salvage(context.Background(), dir, out); !errors.Is(err, ErrCorrupt) {
		t.Errorf("zeros: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(out)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
