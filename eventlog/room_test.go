package eventlog

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// smallRoom lets a small log have room, whatever disk it is on.
var smallRoom = &roomRule{pages: 24, low: 12, from: 8, spare: func(*os.File) int64 { return math.MaxInt64 }}

// roomyLog opens a log in dir that has room.
func roomyLog(t *testing.T, dir string) *Log {
	t.Helper()
	return mustOpen(t, dir, Options{NoSync: true, SegmentBytes: 1 << 20, faults: &faults{room: smallRoom}})
}

// fileOf returns the bytes in use of the live segment of l.
func fileOf(t *testing.T, l *Log) []byte {
	t.Helper()
	b, err := os.ReadFile(l.live.path)
	if err != nil {
		t.Fatal(err)
	}
	meta, _, err := readBoltMetas(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return b[:int64(meta.high)*meta.pageSize]
}

// TestRoomIsUsed: most big groups take nothing but pages that were written before, the freelist stays one page, and the file is right
// after every commit.
func TestRoomIsUsed(t *testing.T) {
	dir := t.TempDir()
	l := roomyLog(t, dir)
	grown, held, high := 0, 0, 0
	const groups = 100
	for i := range groups {
		mustAppend(t, l, "", string(incompressible(9000+i)), "end")
		b := fileOf(t, l)
		if len(b) > high {
			grown++
		}
		high = len(b)
		if both, err := checkPages(bytes.NewReader(b), int64(len(b))); err != nil || !both {
			t.Fatalf("group %d: both metas %t, %v", i, both, err)
		}
		if l.live.roomHeld {
			held++
		}
		meta, _, err := readBoltMetas(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if p := pageOf(b, meta.freelist, meta.pageSize); le.Uint32(p[12:]) != 0 {
			t.Fatalf("group %d: a freelist of %d pages", i, 1+le.Uint32(p[12:]))
		}
	}
	if grown > groups/4 || held == 0 || held > groups/5 {
		t.Errorf("%d of %d commits made the file longer, %d made room", grown, groups, held)
	}
	if used := groups * 3 * 4096; high > used+used/4+64*4096 {
		t.Errorf("%d bytes for %d of frames", high, used)
	}
	if got := collect(t, l.Records(0)); len(got) != 2*groups {
		t.Errorf("%d records", len(got))
	}
	mustClose(t, l)
	verifyClean(t, dir)
}

// TestRoomThatACrashLeft is given to bbolt by the next commit, whichever that is; until then the log is whole.
func TestRoomThatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	l := roomyLog(t, dir)
	for i := 0; !l.live.roomHeld; i++ {
		if i == 100 {
			t.Fatal("no room was made")
		}
		mustAppend(t, l, "", string(incompressible(9000)), "end")
	}
	want := collect(t, l.Records(0))
	mustClose(t, l)
	verifyClean(t, dir)
	saved := filepath.Join(t.TempDir(), "saved")
	if s, err := Salvage(context.Background(), dir, saved); err != nil || len(s.Lost) > 0 || s.Records != uint64(len(want)) {
		t.Errorf("salvaged %+v, %v", s, err)
	}

	l = roomyLog(t, dir)
	if !l.live.roomHeld {
		t.Error("what holds the room was not seen")
	}
	mustAppend(t, l, "", "small")
	err := l.live.view(func(tx *bolt.Tx) error {
		if tx.Bucket(bucketRoom) != nil {
			return errors.New("the room is still held")
		}
		return nil
	})
	if err != nil || l.live.roomHeld {
		t.Error(l.live.roomHeld, err)
	}
	if st := l.live.db.Stats(); st.FreePageN+st.PendingPageN < smallRoom.pages {
		t.Errorf("%d free pages, %d of them to come", st.FreePageN+st.PendingPageN, st.PendingPageN)
	}
	mustClose(t, l)
	verifyClean(t, dir)
}

// TestNoRoom: small logs, small groups, logs on a full disk and limited ones have none.
func TestNoRoom(t *testing.T) {
	big := func() []string { return []string{string(incompressible(9000)), "end"} }
	full := *smallRoom
	full.spare = func(*os.File) int64 { return roomSpare*24*4096 - 1 }
	for name, c := range map[string]struct {
		rule    *roomRule
		maxSize int
		records func() []string
		commits int
	}{
		"small log":    {nil, 0, big, 20},
		"small groups": {smallRoom, 0, func() []string { return []string{string(incompressible(4000))} }, 40},
		"full disk":    {&full, 0, big, 20},
		"limited":      {smallRoom, 64 << 20, big, 20},
	} {
		l := mustOpen(t, t.TempDir(), Options{NoSync: true, SegmentBytes: 1 << 20, MaxSize: c.maxSize, faults: &faults{room: c.rule}})
		for range c.commits {
			if mustAppend(t, l, "", c.records()...); l.live.roomHeld {
				t.Errorf("%s: has room", name)
				break
			}
		}
		mustClose(t, l)
	}
}

// openAndScan looks at a segment as Open does.
func openAndScan(path string) error {
	s, err := openSegment(path, openMode{})
	if err != nil {
		return err
	}
	_, err = s.scan(nil)
	return errors.Join(err, s.close())
}

// TestLostWriteIntoRoom: a page that was written before and is not written again, whatever it held, is damage as soon as the tree should
// have what was lost.
func TestLostWriteIntoRoom(t *testing.T) {
	l := roomyLog(t, t.TempDir())
	dir, lost := memoryDir(t), 0
	path := filepath.Join(dir, segmentName(1))
	before := fileOf(t, l)
	const size = 4096
	for i := range 40 {
		mustAppend(t, l, "", string(incompressible(9000+i)), "end")
		after := fileOf(t, l)
		for at := 2 * size; at < min(len(before), len(after)); at += size {
			if bytes.Equal(before[at:at+size], after[at:at+size]) {
				continue
			}
			bad := bytes.Clone(after)
			copy(bad[at:at+size], before[at:])
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := openAndScan(path); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("group %d, page %d as it was before: %v", i, at/size, err)
			}
			lost++
		}
		before = after
	}
	mustClose(t, l)
	if lost < 200 {
		t.Errorf("only %d writes were lost", lost)
	}
}
