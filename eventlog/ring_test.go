package eventlog

import "testing"

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
