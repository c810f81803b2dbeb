package bakery_test

import (
	"fmt"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

const benchMappings = 100_000

// manyMappings is a tree with circuits on both links, and addresses for them.
func manyMappings(b testing.TB) *bakery.Tree {
	tree := bakery.NewTree()
	foldAll(b, tree, bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 4, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 4, CapacityMbps: 1000, SQM: []string{"cake"}}})
	for i := range benchMappings / 4 {
		major, minor := i%4+1, i/4+3
		for _, link := range []string{"eth0", "eth1"} {
			foldAll(b, tree, circuit(link, fmt.Sprintf("%x:", major), fmt.Sprintf("%x", minor), int64(i+1), 5))
		}
	}
	for i := range benchMappings {
		circuit := i * 7919 % (benchMappings / 4) // not in the order of the addresses
		foldAll(b, tree, bakery.MapIPToFlow{Address: fmt.Sprintf("100.%d.%d.%d", 64+i>>16, i>>8&255, i&255),
			Handle: uint32(tc.NewHandle(uint16(circuit%4+1), uint16(circuit/4+3)))})
	}
	return tree
}

// BenchmarkSteers compiles 100,000 mappings of two links.
func BenchmarkSteers(b *testing.B) {
	tree := manyMappings(b)
	exists := func(link string, class tc.Handle) bool {
		_, ok := tree.State().Class(link, class)
		return ok
	}
	for b.Loop() {
		if steers, waiting := tree.Steers(twoLinks.Roles(), exists); len(steers) != 2*benchMappings || waiting != 0 {
			b.Fatal(len(steers), waiting)
		}
	}
}

// BenchmarkOneMapping is what a mapping costs that comes to 100,000 others, from the command
// to the dataplane.
func BenchmarkOneMapping(b *testing.B) {
	k := kerneltest.New(kerneltest.Link{Name: "eth1"}, kerneltest.Link{Name: "eth0"})
	d := kerneltest.NewDataplane(k, twoLinks.Roles())
	r := newApplyRig(b, twoLinks, k, func(o *bakery.Options) { o.Dataplane = d })
	r.must(smallNetwork()...)
	commands := make([]bakery.Command, benchMappings)
	for i := range commands {
		commands[i] = mapTo(fmt.Sprintf("100.%d.%d.%d", 64+i>>16, i>>8&255, i&255), "1:5")
	}
	r.must(commands...)
	r.applied()
	n := 0
	for b.Loop() {
		n++
		r.must(mapTo(fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), "1:6"))
		r.applied()
	}
	b.StopTimer()
	if e := len(d.Entries()); e != benchMappings+n {
		b.Errorf("%d entries", e)
	}
}
