package bakery

import (
	"testing"

	"lqosd/bakery/tc"
)

// TestFullHandlesAreWalkedOnce: where every handle is remembered for somebody, 10,000 new leaves
// look at each major a few times in all, not each of them at all majors.
func TestFullHandlesAreWalkedOnce(t *testing.T) {
	const queues, leaves, all = 4096, 10_000, 0x10000
	h := &leafHandles{}
	used := map[uint16]bool{rootMajor: true, 0xffff: true}
	for major := 1; major < 0xffff; major++ {
		switch m := uint16(major); {
		case m <= queues:
			used[m] = true // an HTB: nobody remembers it
		case !reserved(m):
			h.remember(tc.NewHandle(m, 1), m)
		}
	}
	looks := 0
	inUse := func(major uint16) bool { looks++; return used[major] }
	s := &scarceHandles{}
	for i := range leaves {
		slot := tc.NewHandle(uint16(i%queues+1), uint16(i+5))
		major, ok := s.choose(h, slot, inUse)
		if !ok || used[major] || reserved(major) {
			t.Fatalf("leaf %d got %x, %v", i+1, major, ok)
		}
		used[major] = true
		h.remember(slot, major)
	}
	if looks > 2*all+4*leaves {
		t.Errorf("%d leaves looked at %d handles", leaves, looks)
	}
}
