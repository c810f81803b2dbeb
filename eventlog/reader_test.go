package eventlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lqosd/internal/testenv"
)

func mustRead(t *testing.T, dir string) *Reader {
	t.Helper()
	testenv.NoLeakedFDs(t)
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestReaderBesideALiveWriter(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{Holder: Holder{PID: 42}})
	mustAppend(t, l, "", "a", "b")
	var held *HeldError
	if _, err := OpenReader(dir); !errors.As(err, &held) || held.Holder.PID != 42 {
		t.Errorf("nothing but a live segment: %v", err)
	}
	mustRoll(t, l, 1, "state")
	mustAppend(t, l, "", "c")
	r := mustRead(t, dir)
	if r.First() != 1 || r.Last() != 2 || r.Held() == nil {
		t.Errorf("first %d, last %d, held %v", r.First(), r.Last(), r.Held())
	}
	var got []string
	var last error
	for rec, err := range r.Records(1) {
		if last = err; err == nil {
			got = append(got, string(rec.Data))
		}
	}
	if len(got) != 2 || !errors.As(last, &held) {
		t.Errorf("records %q, then %v", got, last)
	}
	if err := lastError(r.Records(3)); !errors.As(err, &held) {
		t.Errorf("records from the live segment: %v", err)
	}
	if s, err := r.Stats(t.Context()); err != nil || s.Records != 2 || s.Last != 2 || len(s.Segments) != 2 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	report, err := Verify(t.Context(), dir)
	if !errors.As(err, &held) || !report.Clean() || report.LastGood != 2 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	mustAppend(t, l, "", "the writer was not disturbed")
}

func TestReaderDoesNotKeepAWriterOut(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	r := mustRead(t, dir)
	if r.Held() != nil || r.Last() != 12 {
		t.Fatalf("held %v, last %d", r.Held(), r.Last())
	}
	next := mustOpen(t, dir, Options{})
	mustAppend(t, next, "", "later")
	mustRoll(t, next, 9, "")
	if got := collect(t, r.Records(0)); len(got) != 12 {
		t.Errorf("%d records", len(got))
	}
	if s, err := r.Stats(t.Context()); err != nil || s.Records != 12 || s.First != 1 || s.Last != 12 {
		t.Errorf("stats: %+v, %v", s, err)
	}
}

func TestReaderSnapshots(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	for _, state := range []string{"two", "four", "six"} {
		mustAppend(t, l, "", "a", "b")
		mustRoll(t, l, 0, state)
	}
	mustAppend(t, l, "", "a", "b")
	mustClose(t, l)
	r := mustRead(t, dir)
	check := func(seq Seq, state string, at Seq) {
		t.Helper()
		data, gotAt, err := r.SnapshotBefore(seq)
		if err != nil || string(data) != state || gotAt != at {
			t.Errorf("before %d: %q at %d, %v", seq, data, gotAt, err)
		}
	}
	check(0, "", 0)
	check(1, "", 0)
	check(2, "two", 2)
	check(3, "two", 2)
	check(5, "four", 4)
	check(6, "six", 6)
	check(100, "six", 6)
	editFile(t, filepath.Join(dir, segmentName(5)), "four", "FOUR")
	check(5, "two", 2)
	if _, err := Prune(dir, Policy{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	r = mustRead(t, dir)
	check(6, "six", 6)
	if _, _, err := r.SnapshotBefore(5); !errors.Is(err, ErrPruned) {
		t.Errorf("before what is left: %v", err)
	}
}

func TestReaderChangesNothing(t *testing.T) {
	dir := rollImage(t, "named") // a roll that a crash interrupted
	if err := os.WriteFile(filepath.Join(dir, segmentName(9)+tempSuffix), []byte("leftover"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	before := dirState(t, dir)
	r := mustRead(t, dir)
	if got := collect(t, r.Records(0)); len(got) != 2 {
		t.Errorf("records: %q", got)
	}
	if _, err := r.Stats(t.Context()); err != nil {
		t.Error(err)
	}
	if report, err := Verify(t.Context(), dir); err != nil || report.LastGood != 2 {
		t.Errorf("verify: %+v, %v", report, err)
	}
	if after := dirState(t, dir); before != after {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	if _, err := OpenReader(filepath.Join(dir, "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := OpenReader(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("empty directory: %v", err)
	}
}

// dirState is names, modes, times and sizes of what is in dir.
func dirState(t *testing.T, dir string) (s string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		s += info.Mode().String() + " " + info.ModTime().String() + " " + e.Name() + "\n"
	}
	return s
}
