package main

import (
	"errors"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bus"
)

// state adds a circuit with addresses for about so much memory.
func state(t *testing.T, all *batches, o *openBatch, minor uint16, bytes int) error {
	t.Helper()
	return all.do(o, func(b *bakery.Batch) error {
		return b.Add(bakery.Member{Circuit: &bakery.AddCircuit{CircuitHash: int64(minor), Parent: 1 << 16, UpParent: 1 << 16, Minor: minor,
			Major: 1, UpMajor: 1, Addresses: strings.Repeat(" ", bytes/2),
			Bandwidths: bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: 2, UpMax: 2}}})
	})
}

// TestBatchesTogether: where all batches take too much, the one to which nothing was added for the longest time is dropped.
func TestBatchesTogether(t *testing.T) {
	all := newBatches()
	var list []*openBatch
	for range 12 {
		o := all.start()
		if err := state(t, all, o, 8, 24<<20); err != nil {
			t.Fatal(err)
		}
		list = append(list, o)
	}
	for i, o := range list {
		err := state(t, all, o, 9, 1000)
		if gone := errors.Is(err, errDropped); gone != (i < 2) { // 10 of 24 MiB are there, 11 would be over 256 MiB
			t.Errorf("batch %d: %v", i, err)
		}
	}
	_, done := all.commit(list[11], false)
	if all.committing < 20<<20 {
		t.Errorf("%d bytes are being committed", all.committing)
	}
	done()
	for _, o := range list[:11] {
		all.end(o)
	}
	if all.stated != 0 || all.committing != 0 || len(all.open) != 0 {
		t.Errorf("%d bytes are stated, %d are being committed, %d are open", all.stated, all.committing, len(all.open))
	}
}

// TestCommitsTogether: of sessions that arrive together the second commit doesn't wait for the first, which isn't answered before
// both are taken.
func TestCommitsTogether(t *testing.T) {
	c := &conn{d: &daemon{bakeryErr: errors.New("there is no log"), batches: newBatches()}, right: mayCommand}
	c.batch = c.d.batches.start()
	if err := state(t, c.d.batches, c.batch, 8, 100); err != nil {
		t.Fatal(err)
	}
	others := maxBatches/2 - c.batch.memory // the first one fits beside these
	c.d.batches.committing = others
	session := func(calls ...bus.Call) (s bus.Session) {
		for _, call := range calls {
			r, err := bus.NewRequest(call.Name, call.Args)
			if err != nil {
				t.Fatal(err)
			}
			s.Requests = append(s.Requests, r)
		}
		return s
	}
	commit := bus.Call{Name: "BakeryCommit"}
	waits := c.SubmitAll(t.Context(), []bus.Session{session(commit),
		session(bus.Call{Name: "BakeryStart"}, bus.Call{Name: "BakeryAddSite", Args: bakery.AddSite{SiteHash: 1, Parent: 1 << 16, UpParent: 1 << 16, Minor: 3}}, commit)})
	for i, wait := range waits {
		if replies := wait(); replies[len(replies)-1].Err() == nil {
			t.Errorf("session %d: %v", i, replies)
		}
	}
	if got := c.d.batches.committing; got != others {
		t.Errorf("%d bytes are being committed, %d by others", got, others)
	}
}
