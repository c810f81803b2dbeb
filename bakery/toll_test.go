package bakery_test

import (
	"path/filepath"
	"slices"
	"testing"
)

// segments counts the segments of the rig's log.
func (r *rig) segments() int {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "*.db"))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(files)
}

// TestSnapshotWhenAStartWouldFoldMuch: what was folded since the newest snapshot is bounded, however few bytes it takes; and a
// new snapshot is no reason for another.
func TestSnapshotWhenAStartWouldFoldMuch(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	many := lines(slices.Repeat([]string{"class change dev eth1 classid 1:3 htb rate 10mbit"}, 6000)...)
	for i, want := range []int{1, 1, 2, 2, 2} { // a roll is ahead of what is submitted after it
		r.must(many)
		r.must(aSite("9", 10))
		if n := r.segments(); n != want {
			t.Errorf("%d segments after %d records of 6,000 lines, want %d", n, i+1, want)
		}
	}
	before := r.tree()
	r.restart()
	if !r.tree().Equal(before) {
		t.Error("the tree is another one after a restart")
	}
}

// TestSnapshotAtTheEnd: who ends leaves a snapshot where the next start would fold much, and only there.
func TestSnapshotAtTheEnd(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	restarted := func(want int) {
		t.Helper()
		before := r.tree()
		r.restart()
		if n := r.segments(); n != want {
			t.Errorf("%d segments, want %d", n, want)
		}
		if !r.tree().Equal(before) {
			t.Error("the tree is another one after a restart")
		}
	}
	restarted(1)
	r.must(lines(slices.Repeat([]string{"class change dev eth1 classid 1:3 htb rate 10mbit"}, 6000)...))
	restarted(2)
	restarted(2)
	r.must(aSite("9", 10))
	restarted(2)
}
