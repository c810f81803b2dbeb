package bakery_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/internal/golden"
)

// FuzzRequest takes arbitrary documents of the bus all the way to a Tree. A request means the same in both codecs;
// what is refused changes nothing; what is taken is read from the log as it was written, its snapshot is
// the same Tree, and its tc lines are lines.
func FuzzRequest(f *testing.F) {
	for _, file := range []string{"trace.jsonl", "trace-head.jsonl", "ip.jsonl", "trace-bulk.jsonl"} {
		requests, err := golden.Case{Name: "example", Dir: goldenDir + "/example"}.Trace(file)
		if err != nil {
			f.Fatal(err)
		}
		seen := map[string]bool{}
		for _, r := range requests {
			if text := r.JSON(); !seen[r.Name] && len(text) < 2000 {
				f.Add([]byte(`{"requests":[` + text + `]}`))
				seen[r.Name] = true
			}
		}
	}
	f.Add([]byte(`{"requests":[{"BakeryExecuteTCCommands":{"commands":["class add dev eth1 parent 1:1 classid 1:5 htb rate 1mbit"],"force_mode":true}}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := bus.ParseSession(payload)
		if err != nil || len(s.Requests) > 100 {
			return
		}
		tree := bakery.NewTree()
		foldAll(t, tree, skeleton())
		batch := bakery.NewBatch()
		for _, r := range s.Requests {
			if member, ok := memberOf(r); ok {
				_ = batch.Add(member)
				continue
			}
			if c, err := bakery.DecodeCommand(r.Name, r.HasBody(), r.Decode); err == nil {
				sameInCBOR(t, r, c)
				fuzzFold(t, tree, c)
			}
		}
		if c, ok := batch.Commit().(bakery.Commit); ok {
			whole := resolved(c.Members...)
			fuzzFold(t, tree, whole)
		}
	})
}

// memberOf is a request that goes into a batch.
func memberOf(r bus.Request) (bakery.Member, bool) {
	var m bakery.Member
	var err error
	switch r.Name {
	case "BakeryAddSite":
		m.Site = new(bakery.AddSite)
		err = r.Decode(m.Site)
	case "BakeryAddCircuit":
		m.Circuit = new(bakery.AddCircuit)
		err = r.Decode(m.Circuit)
	default:
		return m, false
	}
	return m, err == nil
}

// sameInCBOR says a request in CBOR by way of JSON, as far as that can be said there.
func sameInCBOR(t *testing.T, r bus.Request, want bakery.Command) {
	var text json.RawMessage
	if !r.HasBody() || r.Decode(&text) != nil {
		return
	}
	again, err := bus.NewRequest(r.Name, text)
	if err != nil {
		return
	}
	got, err := bakery.DecodeCommand(again.Name, again.HasBody(), again.Decode)
	if err != nil {
		t.Fatalf("%s %s is refused in CBOR alone: %v", r.Name, text, err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s %s (-want +in CBOR):\n%s", r.Name, text, diff)
	}
}

func fuzzFold(t *testing.T, tree *bakery.Tree, c bakery.Command) {
	before := tree.Hash()
	r := recordOf(tree, c)
	if err := bakery.Fold(tree, r); err != nil {
		if tree.Hash() != before {
			t.Fatalf("%#v was refused (%v) and changed the tree", c, err)
		}
		return
	}
	checkStored(t, r)
	if again, err := bakery.DecodeSnapshot(tree.AppendSnapshot(nil)); err != nil || again.Hash() != tree.Hash() {
		t.Fatalf("after %#v the snapshot is another tree: %v", c, err)
	}
	if lines, is := c.(bakery.ExecuteTCCommands); is && len(lines.Opaque) > 0 {
		return
	}
	for line := range strings.Lines(string(bakery.AppendLines(nil, c, bakery.RatesExact))) {
		if _, err := tc.ParseLine(strings.TrimSuffix(line, "\n")); err != nil {
			t.Fatalf("%#v gives %q: %v", c, line, err)
		}
	}
}
