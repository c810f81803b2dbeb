package bakery_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// genNetwork is most often a batch, over other links or with other queues than the one before, too.
func genNetwork(t *rapid.T) bakery.Command {
	if rapid.IntRange(0, 2).Draw(t, "batch") == 0 {
		return genCommand(t)
	}
	c := genCommit(t)
	if rapid.IntRange(0, 3).Draw(t, "queues") == 0 {
		c.Setup.Down.Queues, c.Setup.Up.Queues = uint16(rapid.IntRange(1, 3).Draw(t, "down")), uint16(rapid.IntRange(1, 3).Draw(t, "up"))
	}
	if !c.Setup.Stick() && rapid.IntRange(0, 3).Draw(t, "links") == 0 {
		c.Setup.Down.Link, c.Setup.Up.Link = "eth0", rapid.SampledFrom([]string{"eth1", "eth2"}).Draw(t, "uplink")
	}
	if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 && len(c.Members) > 0 {
		spoil(t, &c.Members[rapid.IntRange(0, len(c.Members)-1).Draw(t, "member")])
	}
	return c
}

// spoil makes a member wrong, or not, in either direction or both.
func spoil(t *rapid.T, m *bakery.Member) {
	var upParent *uint32
	var rates *bakery.Bandwidths
	if s := m.Site; s != nil {
		upParent, rates = &s.UpParent, &s.Bandwidths
	} else {
		c := m.Circuit
		upParent, rates = &c.UpParent, &c.Bandwidths
		words := rapid.SampledFrom([]string{"cake", "sourdough/cake", "cake/sourdough", "htb"}).Draw(t, "words")
		c.SQMOverride, c.UpMajor = &words, c.UpMajor+uint16(rapid.IntRange(0, 1).Draw(t, "up major"))
	}
	*upParent += rapid.SampledFrom([]uint32{0, 4, 1 << 16}).Draw(t, "up parent")
	rates.DownMax *= rapid.SampledFrom([]float32{1, 1, -1, float32(math.NaN())}).Draw(t, "down")
	rates.UpMin *= rapid.SampledFrom([]float32{1, 1, -1, float32(math.Inf(1))}).Draw(t, "up")
}

// TestSidesAreTheWhole: a batch whose directions are folded beside each other makes the Tree, and gives the reasons, that one does whose
// members are folded one after the other.
func TestSidesAreTheWhole(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		sides, whole := bakery.NewTree(), bakery.NewTree()
		for _, c := range rapid.SliceOfN(rapid.Custom(genNetwork), 0, 12).Draw(t, "commands") {
			were, was := sides.Clone(), whole.Clone()
			undo := bakery.FoldSidesOf(0)
			err := bakery.Fold(sides, recordOf(sides, c))
			undo()
			undo = bakery.FoldSidesOf(math.MaxInt)
			want := bakery.Fold(whole, recordOf(whole, c))
			undo()
			if fmt.Sprint(err) != fmt.Sprint(want) {
				t.Fatalf("on two processors: %v\non one: %v", err, want)
			}
			checkSameTouches(t, sides, were, whole, was)
			if _, batch := c.(bakery.Commit); batch && err == nil {
				taken++
			} else if batch {
				refused++
			}
		}
		if !sides.Equal(whole) {
			t.Error("the Trees differ")
		}
	})
	if taken == 0 || refused == 0 {
		t.Errorf("%d batches were taken and %d refused: both are wanted", taken, refused)
	}
}

// TestRecordsOfWrongMembersAreRefused: a member that no batch takes is refused in a record, too, which nobody checked, and for the same reason on
// one processor and on two.
func TestRecordsOfWrongMembersAreRefused(t *testing.T) {
	for _, tt := range refusedMembers() {
		if bakery.NewBatch().Add(tt.member) == nil {
			continue // by itself it is right
		}
		var errs []string
		for _, few := range []int{0, math.MaxInt} {
			undo := bakery.FoldSidesOf(few)
			tree := bakery.NewTree()
			err := bakery.Fold(tree, recordOf(tree, resolved(append(smallBatch(), tt.member)...)))
			undo()
			errs = append(errs, fmt.Sprint(err))
			if err == nil || !tree.Equal(bakery.NewTree()) {
				t.Errorf("%s: %v, or the Tree changed", tt.name, err)
			}
		}
		if errs[0] != errs[1] {
			t.Errorf("%s: on two processors: %s\non one: %s", tt.name, errs[0], errs[1])
		}
	}
}

// checkSameTouches: of both Trees the same is known to have changed since they were as before.
func checkSameTouches(t *rapid.T, tree, was, other, otherWas *bakery.Tree) {
	for _, link := range was.Links() {
		touched, known := tree.State().Touched(link, was.State().Mark(link))
		want, wantKnown := other.State().Touched(link, otherWas.State().Mark(link))
		if known != wantKnown || !slices.Equal(touched, want) {
			t.Fatalf("%s: touched %v (%v), on one processor %v (%v)", link, touched, known, want, wantKnown)
		}
	}
}

// TestLargeBatchesBesideReaders: what is read and cloned while a batch is folded stays what it was.
func TestLargeBatchesBesideReaders(t *testing.T) {
	undo := bakery.FoldSidesOf(0)
	defer undo()
	tree := bakery.NewTree()
	var readers sync.WaitGroup
	defer readers.Wait()
	for i := range 30 {
		foldAll(t, tree, resolved(changingCircuits(60, i)...))
		read, hash := tree.Clone(), tree.Hash()
		for range 2 {
			readers.Go(func() {
				state := read.State()
				for _, link := range state.Links() {
					copied := state.Clone() // of one State several are made at once
					mark := copied.Mark(link)
					for c := range state.Children(link, tc.NewHandle(1, 3)) {
						c.HTB.Rate++
						if err := copied.Apply(tc.Op{Verb: tc.Change, Class: &c}); err != nil {
							t.Error(err)
						}
					}
					if at, known := copied.Touched(link, mark); !known || len(at) == 0 {
						t.Errorf("%s: touched %v, known %v", link, at, known)
					}
				}
				if read.Hash() != hash {
					t.Error("a Tree that nobody folds into changed")
				}
			})
		}
	}
}

// changingCircuits are n circuits below a site, of which some differ each time.
func changingCircuits(n, time int) []bakery.Member {
	members := []bakery.Member{stateSite(1, "1:", 3, 100)}
	for i := range n {
		rate := float32(10)
		if i%7 == time%7 {
			rate += float32(time)
		}
		if i%11 != time%11 {
			members = append(members, stateCircuit(int64(100+i), "1:3", uint16(16+i), rate))
		}
	}
	return members
}

// TestLargeBatchesShareWhatIsTheSame: of a large batch that says what the one before said only what differs was touched.
func TestLargeBatchesShareWhatIsTheSame(t *testing.T) {
	tree := bakery.NewTree()
	for _, ceil := range []float32{20, 25} {
		before := tree.Clone()
		if err := bakery.Fold(tree, recordOf(tree, largeCommit(t, ceil))); err != nil {
			t.Fatal(err)
		}
		if before.Seq == 0 {
			continue
		}
		for _, link := range tree.Links() {
			touched, known := tree.State().Touched(link, before.State().Mark(link))
			if !known || len(touched) != 100 {
				t.Errorf("%s: %d handles were touched (%v), want those of 100 circuits", link, len(touched), known)
			}
		}
	}
}
