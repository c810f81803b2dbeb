package replay

import (
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// TestCompareGoneLink: a link that isn't there is a difference as long as the tree asks for something on it.
func TestCompareGoneLink(t *testing.T) {
	commands := someCommands()
	tree := bakery.NewTree()
	fold := func(c bakery.Command) {
		t.Helper()
		if err := bakery.Fold(tree, bakery.Record{Seq: tree.Seq + 1, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	differs := func() (links []string) {
		for _, d := range CompareKernel(tree.Seq, tree, Live{Links: map[string]tc.Observed{}}).Differences {
			if d.Object == "link" {
				links = append(links, d.Link)
			}
		}
		return links
	}
	fold(commands[0])
	if got := differs(); len(got) != 2 {
		t.Errorf("missing links: %v", got)
	}
	fold(bakery.ClearPriorSettings{})
	if got := differs(); len(got) != 0 {
		t.Errorf("nothing is asked for, and these are missing: %v", got)
	}
}
