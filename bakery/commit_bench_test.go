package bakery_test

import (
	"testing"

	"lqosd/bakery"
)

// BenchmarkCommit folds a batch of 10,000 circuits into a tree that has it, but for one circuit in
// a hundred.
func BenchmarkCommit(b *testing.B) {
	tree := bakery.NewTree()
	commits := []bakery.Commit{largeCommit(b, 20), largeCommit(b, 25)}
	for i := 0; b.Loop(); i++ {
		r := recordOf(tree, commits[i%2])
		if err := bakery.Fold(tree, r); err != nil {
			b.Fatal(err)
		}
	}
}

// largeCommit is 10,000 circuits over 16 queues, resolved; every hundredth has another ceil.
func largeCommit(t testing.TB, ceil float32) bakery.Commit {
	c := resolved()
	c.Setup.Down.Queues, c.Setup.Up.Queues = 16, 16
	for q := range uint32(16) {
		c.Members = append(c.Members, bakery.Member{Site: &bakery.AddSite{SiteHash: int64(q), Parent: (q + 1) << 16, UpParent: (q + 1) << 16, Minor: 3, Bandwidths: both(1000)}})
	}
	for i := range 10_000 {
		q, rates := uint32(i%16+1), both(20)
		if i%100 == 0 {
			rates = both(ceil)
		}
		c.Members = append(c.Members, bakery.Member{Circuit: &bakery.AddCircuit{CircuitHash: int64(i), Parent: q<<16 | 3, UpParent: q<<16 | 3,
			Minor: uint16(4 + i/16), Bandwidths: rates, Major: uint16(q), UpMajor: uint16(q)}})
	}
	return c
}
