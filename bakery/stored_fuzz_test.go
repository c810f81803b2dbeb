package bakery_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lqosd/bakery"
)

// FuzzStored: no bytes in the place of a record or of a snapshot make the decoders panic, and what
// they accept is encoded alike.
func FuzzStored(f *testing.F) {
	name := "CircuitID: 9"
	two, four, id := 2, 4, uint64(77)
	for _, c := range []bakery.Command{
		bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}},
		bakery.MqSetup{QueuesAvailable: &four, StickOffset: &two, R2Q: 84,
			Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 4, CapacityMbps: 1000, SQM: []string{"cake diffserv4"}}},
		site("eth1", "0x1:", "0x3", 1, 2),
		bakery.AddCircuitHTBClass{Link: "eth1", Parent: "0x1:0x3", ClassID: "0x4", RateMbps: 1, CeilMbps: 105, CircuitHash: -1, Comment: &name, R2Q: 2084},
		leaf("eth1", 1, 4, "cake", "diffserv4", "rtt", "300"),
		lines("qdisc replace dev eth1 root handle 7FFF: mq"),
		opaque("filter add dev eth1 matchall"),
		bakery.MapIPToFlow{Address: "100.64.0.1", Handle: 0x10004, CPU: 1, Upload: true, CircuitID: &id, DeviceID: &id},
		bakery.DelIPFlow{Address: "fdd7::/56", Upload: true},
		bakery.ClearIPFlow{},
		resolved(append(smallBatch(), stateCircuit(83, "1:3", 7, 1, sqm("cake/none")))...),
		bakery.Commit{Leaf: bakery.LeafRule{SlowRTT: bakery.SlowRTTUpTo}},
		documentedSpeed(),
	} {
		f.Add(bakery.AppendRecord(nil, recordOf(bakery.NewTree(), c)))
	}
	tree, stated := bakery.NewTree(), bakery.NewTree()
	f.Add(tree.AppendSnapshot(nil))
	foldAll(f, stated, resolved(smallBatch()...))
	f.Add(stated.AppendSnapshot(nil))
	foldAll(f, tree, skeleton(), circuit("eth1", "1:", "3", 9, 0), leaf("eth1", 1, 3, "fq_codel"),
		bakery.MapIPToFlow{Address: "10.0.0.0/8", Handle: 0x10003}, opaque("filter add dev eth1 matchall"))
	f.Add(tree.AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzSnapshot(t, b)
		fuzzRecord(t, b)
	})
}

// skeleton is a setup of two links with two queues.
func skeleton() bakery.MqSetup {
	return resolved().Setup
}

// fuzzSnapshot: a Tree that was read is written, and read again as the same.
func fuzzSnapshot(t *testing.T, b []byte) {
	tree, err := bakery.DecodeSnapshot(b)
	if err != nil {
		return
	}
	again, err := bakery.DecodeSnapshot(tree.AppendSnapshot(nil))
	if err != nil || again.Hash() != tree.Hash() {
		t.Fatalf("a tree that was read is not read again: %v", err)
	}
}

func fuzzRecord(t *testing.T, payload []byte) {
	r, err := bakery.DecodeRecord(1, payload)
	if err != nil {
		return
	}
	checkStored(t, r)
	tree := bakery.NewTree()
	if bakery.Fold(tree, r) == nil {
		_ = bakery.AppendLines(nil, r.Command, bakery.RatesExact)
	}
}

// checkStored: a record is read as it was written.
func checkStored(t *testing.T, r bakery.Record) {
	t.Helper()
	again, err := bakery.DecodeRecord(r.Seq, bakery.AppendRecord(nil, r))
	if err != nil {
		t.Fatalf("%#v is written, and can't be read: %v", r.Command, err)
	}
	if diff := cmp.Diff(r, again, cmp.Comparer(sameFloat[float64]), cmp.Comparer(sameFloat[float32]), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-written +read)\n%s", diff)
	}
}
