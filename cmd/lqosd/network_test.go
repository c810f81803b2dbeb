package main

import (
	"encoding/json"
	"errors"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/internal/golden"
)

// network is a batch, and what a log that has it holds.
type network struct {
	calls []bus.Call
	id    string
}

// headNetworks are n networks that a client of tree3_frac may send one after the other.
func headNetworks(t testing.TB, n int) []network {
	t.Helper()
	var list []network
	for _, requests := range headBatches(t, n) {
		list = append(list, network{calls(requests), batchIdentity(t, requests)})
	}
	return list
}

// headBatches are their batches: circuits change, come and go.
func headBatches(t testing.TB, n int) [][]golden.Request {
	t.Helper()
	whole := trace(t, "tree3_frac", "trace-head.jsonl")
	list := make([][]golden.Request, n)
	for k := range list {
		requests := editCircuit(t, whole, k, func(args map[string]any) { args["download_bandwidth_max"] = 100 + k })
		last := len(requests) - 1 // the commit; circuits are before it
		list[k] = append(requests[:last-k:last-k], requests[last])
	}
	return list
}

// batchIdentity is the identity of the record that a batch gives.
func batchIdentity(t testing.TB, requests []golden.Request) string {
	t.Helper()
	b := bakery.NewBatch()
	for _, r := range requests {
		var m bakery.Member
		var err error
		switch r.Name {
		case "BakeryAddSite":
			m.Site = new(bakery.AddSite)
			err = json.Unmarshal(r.Args, m.Site)
		case "BakeryAddCircuit":
			m.Circuit = new(bakery.AddCircuit)
			err = json.Unmarshal(r.Args, m.Circuit)
		default:
			continue
		}
		if err = errors.Join(err, b.Add(m)); err != nil {
			t.Fatal(err)
		}
	}
	return identity(b.Commit())
}

// commitIdentity tells commits from each other, without what the daemon resolves.
func commitIdentity(c bakery.Commit) string {
	body, err := json.Marshal(c.Members)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// sameAsAlone wants the model to be what its last commit makes of nothing: what it leaves out is gone.
func (v *victim) sameAsAlone(t testing.TB) {
	t.Helper()
	alone, rec := bakery.NewTree(), v.last
	rec.Seq = 1
	if err := bakery.Fold(alone, rec); err != nil {
		t.Fatal(err)
	}
	if diffs := tc.Diff(v.model.State(), alone.State()); len(diffs) > 0 {
		t.Fatalf("after record %d the tree differs from the network in %d places, the first: %v", v.checked, len(diffs), diffs[0])
	}
	got, want := v.model.MappingCount(), alone.MappingCount()
	if got != want || got == 0 || v.model.Circuits() != alone.Circuits() {
		t.Fatalf("after record %d the tree has %d mappings and %d circuits, want %d and %d", v.checked, got, v.model.Circuits(), want, alone.Circuits())
	}
}
