package eventlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lqosd/internal/testenv"
)

// smallLog returns the bytes of the live segment of a log with small and big groups.
func smallLog(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{NoSync: true, SegmentBytes: 1 << 20})
	for range 30 {
		mustAppend(t, l, "", numbered("small", 20)...)
		mustAppend(t, l, "", string(incompressible(9000)), "end")
	}
	mustClose(t, l)
	b, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPagesOfAGoodFile(t *testing.T) {
	b := smallLog(t)
	if both, err := checkPages(bytes.NewReader(b), int64(len(b))); err != nil || !both {
		t.Errorf("both metas %t, %v", both, err)
	}
	copy(b[16:], make([]byte, 64)) // without the first meta page
	if both, _ := checkPages(bytes.NewReader(b), int64(len(b))); both {
		t.Error("a missing meta page was not noticed")
	}
	copy(b[4096+16:], make([]byte, 64))
	if _, err := checkPages(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without meta pages: %v", err)
	}
}

func TestCutOffFileIsCorrupt(t *testing.T) {
	testenv.NoLeakedFDs(t)
	b := smallLog(t)
	meta, _, err := readBoltMetas(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	used := int(meta.high) * int(meta.pageSize)
	for n := 0; n < used; n += 1021 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(1)), b[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("first %d of %d bytes: %v", n, used, err)
		}
	}
}

// reachable lists the pages in use except for meta pages.
func reachable(t *testing.T, b []byte) (pages []int, pageSize int) {
	t.Helper()
	meta, _, err := readBoltMetas(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	w := &pageWalk{f: bytes.NewReader(b), meta: meta, used: make([]bool, meta.high)}
	if err := w.tree(meta.root, span{}, 0); err != nil {
		t.Fatal(err)
	}
	for id, used := range w.used {
		if used && le.Uint64(b[id*int(meta.pageSize):]) == uint64(id) {
			pages = append(pages, id)
		}
	}
	return pages, int(meta.pageSize)
}

func TestDamagedPageHeadersAreCorrupt(t *testing.T) {
	good := smallLog(t)
	pages, size := reachable(t, good)
	if len(pages) < 10 {
		t.Fatalf("only %d pages", len(pages))
	}
	branches := 0
	for _, id := range pages {
		b := bytes.Clone(good)
		p := b[id*size:]
		for name, change := range map[string]func(){
			"number":   func() { p[0]++ },
			"kind":     func() { p[8] ^= 0x08 },
			"count":    func() { p[11] = 0xff },
			"overflow": func() { p[14] = 0x10 },
		} {
			copy(p, good[id*size:][:16])
			change()
			if _, err := checkPages(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrCorrupt) {
				t.Errorf("page %d with another %s: %v", id, name, err)
			}
		}
		if copy(p, good[id*size:][:16]); p[8] == boltBranch {
			branches++
			le.PutUint64(p[boltHeader+8:], uint64(id)) // a cycle
			if _, err := checkPages(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrCorrupt) {
				t.Errorf("branch page %d that leads to itself: %v", id, err)
			}
		}
	}
	if branches == 0 {
		t.Error("no branch page was there to be damaged")
	}
}

// pageOf returns the bytes of page id in b.
func pageOf(b []byte, id uint64, size int64) []byte { return b[int64(id)*size:][:size] }

func TestPageUsedTwiceIsCorrupt(t *testing.T) {
	b := smallLog(t)
	meta, _, err := readBoltMetas(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, b string) {
		t.Helper()
		if _, err := checkPages(bytes.NewReader([]byte(b)), int64(len(b))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	pages, _ := reachable(t, b)
	free := pageOf(b, meta.freelist, meta.pageSize)
	if le.Uint16(free[10:]) == 0 {
		t.Fatal("no free page")
	}
	bad := bytes.Clone(b)
	le.PutUint64(pageOf(bad, meta.freelist, meta.pageSize)[boltHeader:], uint64(pages[3]))
	check("page in use is in the freelist", string(bad))
	bad = bytes.Clone(b)
	le.PutUint16(pageOf(bad, meta.freelist, meta.pageSize)[10:], le.Uint16(free[10:])-1)
	check("page neither in use nor free", string(bad))

	// Two nested buckets with one root page.
	for _, id := range pages {
		bad := bytes.Clone(b)
		p := pageOf(bad, uint64(id), meta.pageSize)
		var roots [][]byte
		for i := range int(le.Uint16(p[10:])) {
			e := element(p, i)
			if p[8] == boltLeaf && le.Uint32(e) == boltBucketFlag && le.Uint32(e[8:]) == 8 {
				roots = append(roots, e[le.Uint32(e[4:])+8:][:8])
			}
		}
		if len(roots) < 2 || bytes.Equal(roots[0], make([]byte, 8)) {
			continue
		}
		copy(roots[1], roots[0])
		check("two buckets with one root", string(bad))
		return
	}
	t.Error("no page with two nested buckets")
}

func TestKeysOutOfOrderAreCorrupt(t *testing.T) {
	b := smallLog(t)
	pages, size := reachable(t, b)
	for _, id := range pages {
		p := b[id*size:][:size]
		if n := le.Uint16(p[10:]); p[8] != boltLeaf || n < 3 || le.Uint32(element(p, 1)[8:]) != 8 {
			continue
		}
		key := func(i int) []byte { return element(p, i)[le.Uint32(element(p, i)[4:]):][:8] }
		copy(key(2), key(1)) // still within what the branch above allows
		if _, err := checkPages(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("page %d: %v", id, err)
		}
		return
	}
	t.Error("no leaf of the log with three keys")
}

// TestMetaPageInPlaceOfTheOther: a copy of the older meta page hides the last commit, which must not pass in silence.
func TestMetaPageInPlaceOfTheOther(t *testing.T) {
	b := smallLog(t)
	for _, c := range []struct{ from, to int }{{0, 4096}, {4096, 0}} {
		bad := bytes.Clone(b)
		copy(bad[c.to+16:], b[c.from+16:c.from+16+64])
		if both, err := checkPages(bytes.NewReader(bad), int64(len(bad))); both {
			t.Errorf("meta page at %d over the one at %d: two good ones, %v", c.from, c.to, err)
		}
	}
}
