package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/internal/golden"
)

// TestHeadRecordings plays what clients of the second generation sent: in both codecs, request by request and in sessions
// of 1,024, as they do.
func TestHeadRecordings(t *testing.T) {
	noLeaks(t)
	for _, name := range caseNames(t) {
		for _, codec := range []bus.Codec{bus.CBOR, bus.JSON} {
			for _, size := range []int{1, 1024} {
				t.Run(fmt.Sprintf("%s/%s/%d", name, codec, size), func(t *testing.T) {
					testHeadRecording(t, name, codec, size)
				})
			}
		}
	}
}

func testHeadRecording(t *testing.T, name string, codec bus.Codec, size int) {
	c := recorded(name)
	p := newPlace(t, name)
	end := p.serveHere(t)
	mustPlay(t, connect(t, p, codec), trace(t, name, "trace-head.jsonl"), size)
	got := p.tcFile(t)
	if err := c.CheckHead(got); err != nil {
		t.Error(err)
	}
	end()
	if p.tcFile(t) != got || got != p.render(t) {
		t.Error("the log, rendered, is not tc-rust.txt")
	}
	if n := len(p.records(t, 1)); n != 1 {
		t.Errorf("%d records, want 1: a batch is one", n)
	}
	lines, err := c.HeadLines()
	if err != nil {
		t.Fatal(err)
	}
	tree := p.tree(t)
	checkHeadState(t, tree, lines)
	checkHeadRates(t, tree, trace(t, name, "trace-head.jsonl"))
	state, bad, err := tc.ParseScript(strings.NewReader(p.render(t, "--form", "state")))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if diffs := tc.Diff(state, tree.State()); len(diffs) > 0 {
		t.Errorf("the state form differs from the tree in %d places, the first: %v", len(diffs), diffs[0])
	}
}

// clientRTT is how clients write a round-trip time: in ms, which they don't say.
var clientRTT = regexp.MustCompile(`(?m) rtt (\d+)$`)

// checkHeadState compares a Tree with what the lines of a batch build; the lines have rounded rates.
func checkHeadState(t testing.TB, tree *bakery.Tree, lines string) {
	t.Helper()
	want, bad, err := tc.ParseScript(strings.NewReader(clientRTT.ReplaceAllString(leastRate.Replace(lines), " rtt ${1}ms")))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	rounded := tree.State().Clone()
	for _, link := range rounded.Links() {
		for c := range tree.State().Classes(link) {
			c.HTB.Rate, c.HTB.Ceil = asWritten(t, c.HTB.Rate), asWritten(t, c.HTB.Ceil)
			if err := rounded.Apply(tc.Op{Verb: tc.Change, Class: &c}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diffs := tc.Diff(rounded, want); len(diffs) > 0 {
		t.Errorf("the tree differs from the lines in %d places, the first: %v", len(diffs), diffs[0])
	}
}

// asWritten is what a rate becomes in the words of clients.
func asWritten(t testing.TB, r tc.Rate) tc.Rate {
	t.Helper()
	r, err := tc.ParseRate(string(tc.AppendMbps(nil, r.Mbps())))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stated are the fields of a site or a circuit that its classes are made of.
type stated struct {
	Parent   uint32  `json:"parent_class_id"`
	UpParent uint32  `json:"up_parent_class_id"`
	Minor    uint16  `json:"class_minor"`
	DownMin  float32 `json:"download_bandwidth_min"`
	DownMax  float32 `json:"download_bandwidth_max"`
	UpMin    float32 `json:"upload_bandwidth_min"`
	UpMax    float32 `json:"upload_bandwidth_max"`
}

// checkHeadRates compares the classes with what was sent: the rates, as numbers of 32 bits, are the same.
func checkHeadRates(t testing.TB, tree *bakery.Tree, requests []golden.Request) {
	t.Helper()
	checked := 0
	check := func(link string, parent uint32, minor uint16, rate, ceil float32) {
		p := tc.Handle(parent)
		id := tc.NewHandle(p.Major(), minor)
		c, ok := tree.State().Class(link, id)
		rate, ceil = max(rate, 0.01), max(ceil, 0.01) // what clients can't say is programmed as 10 kbit/s
		if !ok || c.Parent != p || float32(c.HTB.Rate.Mbps()) != rate || float32(c.HTB.Ceil.Mbps()) != ceil {
			t.Errorf("class %s of %s is %+v, %v; want rate %v, ceil %v below %s", id, link, c, ok, rate, ceil, p)
		}
		checked++
	}
	for _, r := range requests {
		if r.Name != "BakeryAddSite" && r.Name != "BakeryAddCircuit" {
			continue
		}
		var s stated
		if err := json.Unmarshal(r.Args, &s); err != nil {
			t.Fatal(err)
		}
		check(tree.Setup.Down.Link, s.Parent, s.Minor, s.DownMin, s.DownMax)
		check(tree.Setup.Up.Link, s.UpParent, s.Minor, s.UpMin, s.UpMax)
	}
	if checked < 40 {
		t.Errorf("only %d classes were compared", checked)
	}
}

// TestHeadRecordingsAreCompared plays one client's batch and holds another client's lines against it.
func TestHeadRecordingsAreCompared(t *testing.T) {
	p := newPlace(t, "example")
	p.serveHere(t)
	mustPlay(t, connect(t, p, bus.CBOR), trace(t, "example", "trace-head.jsonl"), 1024)
	if recorded("tree3_frac").CheckHead(p.tcFile(t)) == nil {
		t.Error("the lines of another client pass")
	}
}

// editCircuit gives the nth circuit of a batch other values.
func editCircuit(t testing.TB, requests []golden.Request, n int, edit func(args map[string]any)) []golden.Request {
	t.Helper()
	changed := append([]golden.Request{}, requests...)
	for i, r := range changed {
		if r.Name != "BakeryAddCircuit" {
			continue
		}
		if n--; n >= 0 {
			continue
		}
		changed[i].Args = edited(t, r.Args, edit)
		return changed
	}
	t.Fatal("the batch has no such circuit")
	return nil
}

// edited is a JSON map with other values.
func edited(t testing.TB, raw json.RawMessage, edit func(args map[string]any)) json.RawMessage {
	t.Helper()
	var args map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber() // hashes have 64 bits
	if err := d.Decode(&args); err != nil {
		t.Fatal(err)
	}
	edit(args)
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
