package eventlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// agedLog has segments from seq 1, 2, 3 and 4 (live); segment N has mark N-1 in front and its record is N hours old at now.
func agedLog(t *testing.T, dir string) (l *Log, now time.Time) {
	t.Helper()
	now = time.Unix(1_700_000_000, 0)
	clock := now
	l = mustOpen(t, dir, Options{SegmentBytes: 1 << 20, Clock: func() time.Time { return clock }})
	for n := 1; n <= 3; n++ {
		clock = now.Add(-time.Duration(4-n) * time.Hour)
		mustAppend(t, l, "", string(incompressible(50<<10)))
		mustRoll(t, l, uint64(n), "state")
	}
	clock = now
	mustAppend(t, l, "", "live")
	return l, now
}

func TestPrunePolicies(t *testing.T) {
	for name, c := range map[string]struct {
		p    Policy
		left []Seq
	}{
		"no rule":                        {Policy{}, []Seq{1, 2, 3, 4}},
		"dry run":                        {Policy{MaxAge: time.Minute, DryRun: true}, []Seq{1, 2, 3, 4}},
		"age":                            {Policy{MaxAge: 90 * time.Minute}, []Seq{3, 4}},
		"age of everything":              {Policy{MaxAge: time.Nanosecond}, []Seq{4}},
		"size":                           {Policy{MaxBytes: 1<<20 + 150<<10}, []Seq{3, 4}},
		"size that the live one exceeds": {Policy{MaxBytes: 1}, []Seq{4}},
		"mark":                           {Policy{MinMark: 2}, []Seq{2, 3, 4}},
		"mark of the live one":           {Policy{MinMark: 4}, []Seq{4}},
		"age, but the mark protects":     {Policy{MaxAge: time.Minute, MinMark: 3}, []Seq{3, 4}},
		"mark allows, but age does not":  {Policy{MaxAge: 150 * time.Minute, MinMark: 3}, []Seq{2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, _ := agedLog(t, dir)
			done, err := l.Prune(c.p)
			if err != nil {
				t.Fatal(err)
			}
			left, err := listSegments(dir)
			if err != nil || cmp.Diff(c.left, left) != "" || l.FirstSeq() != left[0] {
				t.Errorf("left: %v, %v; first seq %d", left, err, l.FirstSeq())
			}
			if c.p.DryRun != (done.First != left[0]) || len(done.Segments) != int(done.First)-1 || (done.Bytes > 0) != (done.First > 1) {
				t.Errorf("report: %+v", done)
			}
			mustAppend(t, l, "", "goes on")
			mustClose(t, l)
			if r := verifyClean(t, dir); r.First != c.left[0] || r.LastGood != 5 {
				t.Errorf("report: %+v", r)
			}
		})
	}
}

func TestPrunedRecords(t *testing.T) {
	dir := t.TempDir()
	l, _ := agedLog(t, dir)
	if _, err := l.Prune(Policy{MinMark: 3}); err != nil {
		t.Fatal(err)
	}
	l.ring = ring{limit: ringBytes}
	if err := lastError(l.Records(1)); !errors.Is(err, ErrPruned) {
		t.Errorf("Records(1): %v", err)
	}
	if got := collect(t, l.Records(0)); len(got) != 2 {
		t.Errorf("%d records from the first left", len(got))
	}
	if data, at, err := l.Snapshot(); err != nil || at != 3 || string(data) != "state" {
		t.Errorf("snapshot %q at %d, %v", data, at, err)
	}
}

func TestOfflinePrune(t *testing.T) {
	dir := t.TempDir()
	l, _ := agedLog(t, dir)
	mustClose(t, l)
	done, err := Prune(dir, Policy{MaxAge: time.Hour}) // all of it is years old
	if err != nil || done.First != 4 || len(done.Segments) != 3 {
		t.Errorf("%+v, %v", done, err)
	}
	verifyClean(t, dir)
	nowhere := filepath.Join(dir, "nowhere")
	if _, err := Prune(nowhere, Policy{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no log: %v", err)
	}
	if _, err := os.Stat(nowhere); err == nil {
		t.Error("a directory was made")
	}
}
