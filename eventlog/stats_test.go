package eventlog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStatsRemembersSeals: what Stats knows of sealed segments it doesn't read again, and it is what it would read, over
// rolls and prunings.
func TestStatsRemembersSeals(t *testing.T) {
	dir := t.TempDir()
	l, _ := agedLog(t, dir)
	check := func() []SegmentInfo {
		t.Helper()
		s, err := l.Stats()
		if err != nil {
			t.Fatal(err)
		}
		want, err := segmentInfos(dir, l.firsts, l.live.meta.Mark)
		if err != nil {
			t.Fatal(err)
		}
		n := len(want) - 1 // the live one's counters are the log's
		if diff := cmp.Diff(want[:n], s.Segments[:n]); diff != "" || len(s.Segments) != n+1 {
			t.Errorf("%d segments (-read +remembered):\n%s", len(s.Segments), diff)
		}
		return s.Segments
	}
	check()
	mustRoll(t, l, 9, "state")
	check()
	if _, err := l.Prune(Policy{MinMark: 2}); err != nil {
		t.Fatal(err)
	}
	before := check()

	sealed := filepath.Join(dir, before[0].Name)
	if err := os.Chmod(sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sealed, make([]byte, before[0].Bytes), 0o600); err != nil {
		t.Fatal(err)
	}
	after, err := l.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before[0], after.Segments[0]); diff != "" {
		t.Errorf("a seal was read again (-before +after):\n%s", diff)
	}
}
