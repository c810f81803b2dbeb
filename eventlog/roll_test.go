package eventlog

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func textSnapshot(mark uint64, state string) Snapshot {
	return Snapshot{Mark: mark, Write: func(w io.Writer) error {
		_, err := io.WriteString(w, state)
		return err
	}}
}

func wantSnapshot(t *testing.T, l *Log, state string, at Seq) {
	t.Helper()
	data, gotAt, err := l.Snapshot()
	if err != nil || string(data) != state || gotAt != at {
		t.Errorf("snapshot: %.40q at %d, %v; want %.40q at %d", data, gotAt, err, state, at)
	}
}

func TestRollIsOrderedWithEnqueue(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	wantSnapshot(t, l, "", 0)
	var rolls []*Pending
	for i := range 5 {
		if _, err := l.Enqueue(textTx("", numbered("r", 10)...)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			p, err := l.Roll(textSnapshot(uint64(i), strings.Repeat("state", i)))
			if err != nil {
				t.Fatal(err)
			}
			rolls = append(rolls, p)
		}
	}
	for i, p := range rolls {
		if res, err := p.Wait(); err != nil || res.Last != Seq(20*(i+1)) {
			t.Errorf("roll %d: %+v, %v", i, res, err)
		}
	}
	wantSnapshot(t, l, strings.Repeat("state", 3), 40)
	mustClose(t, l)
	firsts, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Seq{1, 21, 41}, firsts); diff != "" {
		t.Error(diff)
	}
	for _, first := range firsts[:2] {
		info, err := os.Stat(filepath.Join(dir, segmentName(first)))
		if err != nil || info.Mode().Perm() != modeSealed || info.Size() > 1<<20 {
			t.Errorf("sealed segment %d: %v, %v", first, info, err)
		}
	}
	if r := verifyClean(t, dir); r.Records != 50 || r.LastGood != 50 || r.Segments != 3 {
		t.Errorf("report: %+v", r)
	}
	l = mustOpen(t, dir, Options{})
	wantSnapshot(t, l, strings.Repeat("state", 3), 40)
	if got := collect(t, l.Records(0)); len(got) != 50 {
		t.Errorf("%d records", len(got))
	}
}

func TestBigSnapshotRoundTrips(t *testing.T) {
	dir := t.TempDir()
	state := strings.Repeat("compressible ", 50_000) + string(incompressible(600<<10))
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20})
	mustAppend(t, l, "", "a")
	mustRoll(t, l, 1, state)
	wantSnapshot(t, l, state, 1)
	mustClose(t, l)
	verifyClean(t, dir)
	wantSnapshot(t, mustOpen(t, dir, Options{}), state, 1)
}

func TestNeedsRoll(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{SegmentBytes: 10_000})
	mustAppend(t, l, "", string(incompressible(5000)))
	if l.NeedsRoll() {
		t.Error("needs a roll after 5,000 of 10,000 bytes")
	}
	mustAppend(t, l, "", string(incompressible(5000)))
	if !l.NeedsRoll() {
		t.Error("needs no roll after 10,000 of 10,000 bytes")
	}
	mustRoll(t, l, 0, "")
	if l.NeedsRoll() {
		t.Error("needs a roll after a roll")
	}
}

func TestFailedSnapshotLeavesTheLogGoingOn(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "", "a")
	full := errors.New("no space left on device")
	p, err := l.Roll(Snapshot{Write: func(io.Writer) error { return full }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); !errors.Is(err, full) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("roll: %v", err)
	}
	mustAppend(t, l, "", "b")
	if left, err := filepath.Glob(filepath.Join(dir, "*"+tempSuffix)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	mustRoll(t, l, 1, "state")
	mustAppend(t, l, "", "c")
	mustClose(t, l)
	if r := verifyClean(t, dir); r.Records != 3 || r.Segments != 2 {
		t.Errorf("report: %+v", r)
	}
}

func TestDamagedSnapshotFallsBack(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	for _, state := range []string{"first-state", "second-state", "third-state"} {
		mustAppend(t, l, "", "a")
		mustRoll(t, l, 0, state)
	}
	mustClose(t, l)
	damage := func(first Seq, state string) {
		editFile(t, filepath.Join(dir, segmentName(first)), state, strings.ToUpper(state))
	}
	open := func() *Log { return mustOpen(t, dir, Options{}) }
	damage(4, "third-state")
	l = open()
	wantSnapshot(t, l, "second-state", 2)
	mustClose(t, l)
	damage(3, "second-state")
	damage(2, "first-state")
	l = open()
	wantSnapshot(t, l, "", 0)
	mustClose(t, l)
	if r, err := Verify(t.Context(), dir); err != nil || len(r.Problems) != 3 {
		t.Errorf("verify: %+v, %v", r, err)
	}
	for _, first := range []Seq{1, 2, 3} {
		if err := os.Remove(filepath.Join(dir, segmentName(first))); err != nil {
			t.Fatal(err)
		}
	}
	l = open()
	if _, _, err := l.Snapshot(); !errors.Is(err, ErrCorrupt) {
		t.Errorf("no good snapshot left: %v", err)
	}
}

func TestDamagedKeyListIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "the-first-key", "a")
	mustRoll(t, l, 0, "")
	mustAppend(t, l, "the-other-key", "a")
	mustRoll(t, l, 0, "")
	mustClose(t, l)
	editFile(t, filepath.Join(dir, segmentName(3)), "the-first-key", "the-First-key")
	l = mustOpen(t, dir, Options{})
	for key, first := range map[string]Seq{"the-first-key": 1, "the-other-key": 2} {
		if res, ok := known(t, l, key); !ok || res.First != first {
			t.Errorf("%s: %+v %t", key, res, ok)
		}
	}
	if s, err := l.Stats(); err != nil || len(s.Recovered) != 1 {
		t.Errorf("recovered: %q, %v", s.Recovered, err)
	}
}
