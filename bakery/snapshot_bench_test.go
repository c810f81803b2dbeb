package bakery_test

import (
	"fmt"
	"testing"

	"lqosd/bakery"
)

// manyCircuits is a tree of circuits in 64 queues, each with a class and a leaf in both directions.
func manyCircuits(b testing.TB, n int) *bakery.Tree {
	tree := bakery.NewTree()
	foldAll(b, tree, bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 64, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 64, CapacityMbps: 1000, SQM: []string{"cake"}}})
	for i := range n {
		major, minor := i%64+1, i/64+3
		for _, link := range []string{"eth0", "eth1"} {
			foldAll(b, tree, circuit(link, fmt.Sprintf("%x:", major), fmt.Sprintf("%x", minor), int64(i+1), 5))
			if i < 30_000 { // a link has 65,534 handles
				foldAll(b, tree, leaf(link, uint32(major), uint32(minor), "cake", "diffserv4"))
			}
		}
	}
	return tree
}

// BenchmarkSnapshot encodes and decodes a tree: a roll does the one, a start the other.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		tree := manyCircuits(b, n)
		data := tree.AppendSnapshot(nil)
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			for b.Loop() {
				tree.AppendSnapshot(nil)
			}
			b.ReportMetric(float64(len(data)), "bytes")
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := bakery.DecodeSnapshot(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
