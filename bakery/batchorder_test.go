package bakery_test

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
)

// genLoose is a member of queue 1 that may be below anything, in each direction below something else.
func genLoose(t *rapid.T, minor uint16) bakery.Member {
	parent := rapid.SampledFrom([]uint32{1 << 16, 1 << 16, 1<<16 | 1, 1<<16 | 3, 1<<16 | 4, 1<<16 | 5})
	down, up := parent.Draw(t, "parent"), parent.Draw(t, "up parent")
	if rapid.IntRange(0, 2).Draw(t, "alike") > 0 {
		up = down
	}
	if rapid.Bool().Draw(t, "site") {
		return bakery.Member{Site: &bakery.AddSite{SiteHash: int64(minor), Parent: down, UpParent: up, Minor: minor, Bandwidths: both(5)}}
	}
	return bakery.Member{Circuit: &bakery.AddCircuit{CircuitHash: int64(minor), Parent: down, UpParent: up, Minor: minor, Bandwidths: both(5),
		Major: 1, UpMajor: 1}}
}

// TestOrderedBatchIsTheSortedOne: members that came in order needn't be sorted; what the batch becomes is the same.
func TestOrderedBatchIsTheSortedOne(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		b, sorted := bakery.NewBatch(), bakery.NewBatch()
		minors := rapid.Permutation([]uint16{3, 4, 5, 6}).Draw(t, "minors")
		if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 {
			minors[3] = rapid.Uint16Range(2, 5).Draw(t, "minor")
		}
		for _, minor := range minors[:rapid.IntRange(1, 4).Draw(t, "members")] {
			m := genLoose(t, minor)
			_, _ = b.Add(m), sorted.Add(m)
		}
		got, want := b.Commit(), sorted.CommitSorted()
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("it becomes\n%#v\nsorted it is\n%#v", got, want)
		}
		if c, ok := got.(bakery.Commit); ok {
			taken++
			checkChecked(t, c)
		} else {
			refused++
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d batches were taken and %d refused: both are wanted", taken, refused)
	}
}

// checkChecked: a Commit of a Batch, whose members were checked, is folded as one that is read from the log.
func checkChecked(t *rapid.T, c bakery.Commit) {
	read := resolved(c.Members...)
	c.Setup, c.Leaf = read.Setup, read.Leaf
	live, replayed := bakery.NewTree(), bakery.NewTree()
	if err := bakery.Fold(live, recordOf(live, c)); err != nil {
		t.Fatal(err)
	}
	if err := bakery.Fold(replayed, recordOf(replayed, read)); err != nil || !live.Equal(replayed) {
		t.Fatalf("read from the log it is another Tree: %v", err)
	}
}

// TestMemberSizes: what a member takes in a record is computed as it is written.
func TestMemberSizes(t *testing.T) {
	long := rapid.Map(rapid.SampledFrom([]int{0, 1, 127, 128, 1<<14 - 1, 1 << 14}), func(n int) string { return strings.Repeat("x", n) })
	edges := rapid.SampledFrom([]uint32{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1<<21 - 1, 1 << 21, 1<<28 - 1, 1 << 28, 1<<32 - 1})
	rapid.Check(t, func(t *rapid.T) {
		m := genWildMember(t, rapid.OneOf(rapid.String(), long))
		if c := m.Circuit; c != nil && rapid.Bool().Draw(t, "edges") {
			c.Addresses, c.SiteName, c.SQMOverride = long.Draw(t, "addresses"), rapid.Ptr(long, true).Draw(t, "site name"), rapid.Ptr(long, true).Draw(t, "words")
			c.Parent, c.UpParent, c.Minor = edges.Draw(t, "parent"), edges.Draw(t, "up parent"), uint16(edges.Draw(t, "minor"))
			c.Major, c.UpMajor = uint16(edges.Draw(t, "major")), uint16(edges.Draw(t, "up major"))
		}
		if s := m.Site; s != nil && rapid.Bool().Draw(t, "edges") {
			s.Parent, s.UpParent, s.Minor = edges.Draw(t, "parent"), edges.Draw(t, "up parent"), uint16(edges.Draw(t, "minor"))
		}
		if computed, written := bakery.SizesOf(m); computed != written {
			t.Errorf("%d bytes are computed, %d are written", computed, written)
		}
	})
}
