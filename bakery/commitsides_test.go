package bakery_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
)

// genNetwork is most often a batch.
func genNetwork(t *rapid.T) bakery.Command {
	if rapid.IntRange(0, 2).Draw(t, "batch") > 0 {
		return genCommit(t)
	}
	return genCommand(t)
}

// TestSidesAreTheWhole: a batch whose directions are folded beside each other makes the Tree, and gives the reasons, that one does whose
// members are folded one after the other.
func TestSidesAreTheWhole(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		sides, whole := bakery.NewTree(), bakery.NewTree()
		for _, c := range rapid.SliceOfN(rapid.Custom(genNetwork), 0, 12).Draw(t, "commands") {
			undo := bakery.FoldSidesOf(0)
			err := bakery.Fold(sides, recordOf(sides, c))
			undo()
			undo = bakery.FoldSidesOf(math.MaxInt)
			want := bakery.Fold(whole, recordOf(whole, c))
			undo()
			if fmt.Sprint(err) != fmt.Sprint(want) {
				t.Fatalf("on two processors: %v\non one: %v", err, want)
			}
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
