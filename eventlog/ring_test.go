package eventlog

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func ringFrame(first Seq, count uint32, bytes int) *frame {
	return &frame{header: header{first: first, count: count}, payload: make([]byte, bytes)}
}

func TestRingKeepsTheNewest(t *testing.T) {
	r := ring{limit: 100}
	if got := r.from(1, 1); got != nil {
		t.Errorf("empty ring gave %v", got)
	}
	r.push([]*frame{ringFrame(1, 2, 40), ringFrame(3, 2, 40), ringFrame(5, 1, 40)})
	for seq, want := range map[Seq]Seq{2: 0, 3: 3, 4: 3, 5: 5, 6: 0} {
		got := r.from(seq, 1)
		if want == 0 && len(got) != 0 || want != 0 && (len(got) != 1 || got[0].first != want) {
			t.Errorf("from %d: %v", seq, got)
		}
	}
	if got := r.from(3, 1000); len(got) != 2 {
		t.Errorf("%d frames from 3", len(got))
	}
	r.push([]*frame{ringFrame(6, 1, 1000)})
	if got := r.from(6, 1); len(got) != 1 || len(r.frames) != 1 {
		t.Errorf("a frame over the limit: %d of %d", len(got), len(r.frames))
	}
}

func TestNewestRecordsComeFromMemory(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	mustAppend(t, l, "", numbered("a", 10)...)
	db := l.live.db
	l.live.db = nil // any look at the file would panic
	defer func() { l.live.db = db }()
	if got := collect(t, l.Records(4)); len(got) != 7 {
		t.Errorf("%d records", len(got))
	}
}

// TestPackedRecordsComeFromMemory: frames of big groups are kept packed, and the memory that they were built in serves the next ones.
func TestPackedRecordsComeFromMemory(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	var want []string
	for i := range 6 {
		group := numbered(fmt.Sprint(i, strings.Repeat("-", 20*i)), 1000+500*i)
		if i == 3 {
			group = append(group, string(incompressible(100_000)), "after what can't be packed")
		}
		mustAppend(t, l, "", group...)
		want = append(want, group...)
	}
	db := l.live.db
	l.live.db = nil // any look at the file would panic
	defer func() { l.live.db = db }()
	if got := collect(t, l.Records(0)); !slices.Equal(got, want) {
		t.Errorf("%d records, not the %d that were appended", len(got), len(want))
	}
	packed := 0
	for _, f := range l.ring.frames {
		if f.packed != nil {
			packed++
		}
	}
	if packed < 8 || l.ring.bytes > 400_000 {
		t.Errorf("%d of %d frames are packed, %d bytes", packed, len(l.ring.frames), l.ring.bytes)
	}
}
