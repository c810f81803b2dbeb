package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"lqosd/bus"
)

// TestKeyedBatch: a session with a key that holds a batch is taken once, wherever it is sent again; a refused one not at all.
func TestKeyedBatch(t *testing.T) {
	p := newBatchPlace(t)
	whole := batch(newSite(1, 3, 100), newCircuit(3, 4, 10, "192.0.2.4"))
	expect(t, talk(t, p.a, "whole", whole...), acks(5)...)
	p.holds(1, 1)
	// The answer got lost: on the same connection, on another, and after the network has changed.
	expect(t, talk(t, p.a, "whole", whole...), acks(5)...)
	expect(t, talk(t, p.b, "whole", whole...), acks(5)...)
	p.says(p.b, batch(newSite(1, 3, 100)), acks(4)...)
	expect(t, talk(t, p.a, "whole", whole...), acks(5)...)
	p.holds(2, 0)
	// A repetition leaves no batch.
	p.says(p.a, []string{batchCommit}, `{"Fail":"there is no batch.*"}`)

	// A commit alone has the key: repeated where its batch isn't.
	p.says(p.a, whole[:4], acks(4)...)
	expect(t, talk(t, p.a, "commit", batchCommit), ackText)
	p.holds(3, 1)
	expect(t, talk(t, connect(t, p.place, bus.CBOR), "commit", batchCommit), ackText)
	expect(t, talk(t, connect(t, p.place, bus.CBOR), "another", batchCommit), `{"Fail":"there is no batch.*"}`)
	p.holds(3, 1)

	// Refused as a whole, and the key isn't used up.
	bad := batch(newSite(1, 3, 100), newCircuit(9, 4, 10, ""))
	expect(t, talk(t, p.a, "bad", append([]string{mqSetup}, bad...)...),
		`{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":".*circuit 4: parent 1:9.*"}`)
	expect(t, talk(t, p.a, "bad", batch(newSite(1, 3, 100), `{"BakeryNonsense":{}}`)...),
		`{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":"not appended: .*"}`, `{"Fail":"unknown request BakeryNonsense"}`, `{"Fail":"not appended: .*"}`)
	expect(t, talk(t, p.a, "bad", batchStart, newSite(1, 2, 100), site(5, 100)), // whose commit would come later
		`{"Fail":"not appended: .*"}`, `{"Fail":"site -2: class_minor 2: .*"}`, `{"Fail":"not appended: .*"}`)
	p.holds(3, 1)
	expect(t, talk(t, p.a, "bad", batch(newSite(1, 3, 100))...), acks(4)...)
	p.holds(4, 0)
	p.end()

	// After a restart, too.
	p.serveHere(t)
	p.b = connect(t, p.place, bus.JSON)
	expect(t, talk(t, p.b, "whole", whole...), acks(5)...)
	expect(t, talk(t, p.b, "commit", batchCommit), ackText)
	p.holds(4, 0)
}

// TestSpeedLive changes a site's speed until the next batch says something else.
func TestSpeedLive(t *testing.T) {
	p := newBatchPlace(t)
	p.says(p.a, batch(newSite(1, 3, 100), newCircuit(3, 4, 10, "")), acks(5)...)
	speed := func(hash int, down, up string) string {
		return fmt.Sprintf(`{"BakeryChangeSiteSpeedLive":{"site_hash":%d,"download_bandwidth_min":%s,"upload_bandwidth_min":%s,"download_bandwidth_max":%[2]s,"upload_bandwidth_max":%[3]s}}`, hash, down, up)
	}
	p.says(p.a, []string{speed(-3, "55.5", "44"), speed(-4, "1", "1"), speed(4, "1", "1"), speed(-3, "-1", "1"), `{"BakeryChangeSiteSpeedLive":{"site_hash":-3}}`},
		ackText, `{"Fail":"there is no site -4"}`, `{"Fail":"there is no site 4"}`, `{"Fail":".*-1.*"}`, `{"Fail":"decoding BakeryChangeSiteSpeedLive: field .*: missing"}`)
	p.holds(2, 1)
	says(t, p.tcFile(t), "class change dev eth1 parent 1: classid 3 htb rate 55.5mbit ceil 55.5mbit prio 3 quantum",
		"class change dev eth0 parent 1: classid 3 htb rate 44.0mbit ceil 44.0mbit prio 3 quantum")
	// The batch in the making isn't touched, and its commit says what it says.
	p.says(p.a, []string{batchStart, batchQueues, newSite(1, 3, 100), speed(-3, "9", "9"), newCircuit(3, 4, 10, "")}, acks(5)...)
	p.end()
	if c, ok := class(t, p.tree(t), "eth1", "1:3"); !ok || c.HTB.Ceil.Mbps() != 9 {
		t.Errorf("before the commit the site is %+v, %v", c, ok)
	}
	p.end = p.serveHere(t)
	p.b = connect(t, p.place, bus.JSON)
	p.says(p.b, []string{speed(-3, "8", "7")}, ackText)
	p.end()
	for link, want := range map[string]float64{"eth1": 8, "eth0": 7} {
		if c, ok := class(t, p.tree(t), link, "1:3"); !ok || c.HTB.Ceil.Mbps() != want || c.HTB.Rate.Mbps() != want {
			t.Errorf("the site on %s is %+v, %v; want %v Mbit/s", link, c, ok, want)
		}
	}
	p.serveHere(t)
	p.b = connect(t, p.place, bus.JSON)
	p.says(p.b, batch(newSite(1, 3, 100)), acks(4)...)
	p.says(p.b, []string{`{"LqosdRecord":{"seq":5}}`}, `.*"download_bandwidth_max":100(\.0)?,.*`)
	says(t, p.tcFile(t), "class add dev eth1 parent 1: classid 3 htb rate 1.0mbit ceil 100.0mbit prio 3 quantum")
}

// TestReadersStateNothing: who may only read can't have a batch, nor anything else that changes something.
func TestReadersStateNothing(t *testing.T) {
	c := &conn{d: &daemon{bakeryErr: errors.New("a command came through")}, peer: bus.Peer{UID: 7}, right: mayRead}
	var s bus.Session
	requests := append(batch(newSite(1, 3, 100), newCircuit(3, 4, 10, "")), batchQueues, `{"BakeryAddSite":{}}`,
		`{"BakeryReportPreflight":{"ok":true,"message":""}}`, strings.Replace(newSite(1, 3, 100), "AddSite", "ChangeSiteSpeedLive", 1))
	for _, r := range requests {
		call, err := bus.ParseCall([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		request, err := bus.NewRequest(call.Name, call.Args)
		if err != nil {
			t.Fatal(err)
		}
		s.Requests = append(s.Requests, request)
	}
	for i, r := range c.Submit(t.Context(), s)() {
		if later, ok := r.Value.(bus.Later); ok {
			r = later()
		}
		if err := r.Err(); err == nil || err.Error() != "uid 7 may only read" {
			t.Errorf("%s: %s %v", requests[i], r.Name, err)
		}
	}
	if c.batch != nil {
		t.Error("there is a batch")
	}
}

// TestActsUnread: what a request does is done also where nobody reads its answer, and a report when it arrives.
func TestActsUnread(t *testing.T) {
	c := &conn{d: &daemon{log: slog.New(slog.DiscardHandler)}, right: mayCommand}
	for _, message := range []string{"first", "second"} {
		r, err := bus.NewRequest("BakeryReportPreflight", preflight{OK: true, Message: message})
		if err != nil {
			t.Fatal(err)
		}
		forget, err := bus.NewRequest("ClearHotCache", nil)
		if err != nil {
			t.Fatal(err)
		}
		wait := c.Submit(t.Context(), bus.Session{Requests: []bus.Request{r, forget}})
		if p := c.d.preflight; p == nil || p.Message != message {
			t.Errorf("before the answer to the %s report: %+v", message, p)
		}
		for i, reply := range wait() {
			if !reply.IsAck() {
				t.Errorf("request %d was put off: %+v", i, reply)
			}
		}
	}
}

// TestPreflight keeps the newest report of a client, and counts the circuits of both generations.
func TestPreflight(t *testing.T) {
	p := newBatchPlace(t)
	report := func(ok bool, message string) string {
		return fmt.Sprintf(`{"BakeryReportPreflight":{"ok":%v,"message":%q,"safe_budget":1,"hard_limit":2,"estimated_total_memory_bytes":3,"memory_available_bytes":null,`+
			`"memory_guard_min_available_bytes":4,"memory_ok":true,"interfaces":[{"name":"eth0"}]}}`, ok, message)
	}
	// Unknown requests are answered in their place.
	p.says(p.a, []string{batchStart, batchQueues, report(false, "first"), newSite(1, 3, 100), `"LqosdNonsense"`, newCircuit(3, 4, 10, ""), `"GetBakeryStats"`, report(true, "second"), batchCommit, `"GetBakeryStats"`},
		ackText, ackText, ackText, ackText, `{"Fail":"unknown request LqosdNonsense"}`, ackText, stats(1), ackText, ackText, stats(1))
	p.says(p.a, []string{`{"BakeryReportPreflight":{"ok":true}}`}, `{"Fail":"decoding BakeryReportPreflight: field message: missing"}`)
	var s statusReply
	if err := p.a.Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
		t.Fatal(err)
	}
	if s.Preflight == nil || !s.Preflight.OK || s.Preflight.Message != "second" {
		t.Errorf("preflight %+v", s.Preflight)
	}
	// A long message doesn't make the status longer than an answer may be.
	p.says(p.a, []string{fmt.Sprintf(`{"BakeryReportPreflight":{"ok":false,"message":%q}}`, strings.Repeat("é", 100_000))}, ackText)
	if err := p.a.Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil || s.Preflight.Message != strings.Repeat("é", maxPreflight/2)+"…" {
		t.Errorf("a message of %d bytes is kept, %v", len(s.Preflight.Message), err)
	}
	p.says(p.a, []string{circuit(3, 5, 10), `"GetBakeryStats"`, mqSetup, `"GetBakeryStats"`}, ackText, stats(0), ackText, stats(0))
}
