package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/lqosconf"
)

// talk sends one session of requests as JSON and gives the answers as JSON, the keys of maps in order.
func talk(t testing.TB, c *bus.Client, key string, requests ...string) []string {
	t.Helper()
	all := make([]bus.Call, len(requests))
	for i, r := range requests {
		call, err := bus.ParseCall([]byte(r))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = call
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	replies, err := c.DoWithKey(ctx, key, all...)
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]string, len(replies))
	for i, r := range replies {
		text, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = ordered(t, text)
	}
	return answers
}

// ordered is JSON with the keys of its maps in order.
func ordered(t testing.TB, text []byte) string {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// expect wants the answers to match regexps.
func expect(t testing.TB, answers []string, patterns ...string) {
	t.Helper()
	if len(answers) != len(patterns) {
		t.Fatalf("%d answers, want %d", len(answers), len(patterns))
	}
	for i, p := range patterns {
		if !regexp.MustCompile("^(?:" + p + ")$").MatchString(answers[i]) {
			t.Errorf("answer %d is %s, want %s", i+1, answers[i], p)
		}
	}
}

const (
	ackText    = `"Ack"`
	mqSetup    = `"BakeryMqSetup"`
	clearPrior = `"BakeryClearPriorSettings"`
)

// site is a request for a class below a queue's root, circuit one below that, and leaf its qdisc.
func site(minor int, mbps float64) string {
	return fmt.Sprintf(`{"BakeryAddStructuralHTBClass":{"interface":"eth1","parent":"0x1:","classid":"0x%x","rate_mbps":%g,"ceil_mbps":%g,"site_hash":%d,"r2q":10}}`,
		minor, mbps, mbps, -minor)
}

func circuit(parent, minor int, mbps float64) string {
	return fmt.Sprintf(`{"BakeryAddCircuitHTBClass":{"interface":"eth1","parent":"0x1:0x%x","classid":"0x%x","rate_mbps":%g,"ceil_mbps":%g,"circuit_hash":%d,"comment":"circuit %d","r2q":10}}`,
		parent, minor, mbps, mbps, minor, minor)
}

func execute(force bool, lines ...string) string {
	body, err := json.Marshal(map[string]any{"commands": lines, "force_mode": force})
	if err != nil {
		panic(err)
	}
	return `{"BakeryExecuteTCCommands":` + string(body) + `}`
}

func seq(t testing.TB, c *bus.Client) eventlog.Seq {
	t.Helper()
	var w waitReply
	if err := c.Ask(t.Context(), bus.Call{Name: "LqosdWait", Args: waitRequest{}}, &w); err != nil {
		t.Fatal(err)
	}
	return w.Seq
}

func TestSessionIsOneTransaction(t *testing.T) {
	noLeaks(t)
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	// Questions in between see what the commands before and after them did.
	expect(t, talk(t, c, "", mqSetup, `"GetBakeryStats"`, site(3, 100), circuit(3, 4, 10), `"Ping"`),
		ackText, `{"BakeryActiveCircuits":1}`, ackText, ackText, ackText)
	// Without a key the good ones of a session stay.
	expect(t, talk(t, c, "", circuit(3, 5, 10), circuit(0x99, 6, 10), circuit(3, 7, 10)), ackText, `{"Fail":".*"}`, ackText)
	end()
	var got []string
	r, err := eventlog.OpenReader(p.logDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for rec, err := range r.Records(1) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(rec.Seq, rec.TxEnd))
	}
	if want := []string{"1 false", "2 false", "3 true", "4 false", "5 true"}; !slices.Equal(got, want) {
		t.Errorf("records and ends of transactions %q, want %q", got, want)
	}
}

func TestKeys(t *testing.T) {
	noLeaks(t)
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	session := []string{mqSetup, site(3, 100), circuit(3, 4, 10)}
	for range 3 {
		expect(t, talk(t, c, "first", session...), ackText, ackText, ackText)
	}
	if got := seq(t, c); got != 3 {
		t.Errorf("%d records, want 3", got)
	}
	// All or nothing, whether the bakery refuses or the request can't be read.
	for _, wrong := range []string{circuit(0x99, 5, 1), `{"BakeryNonsense":1}`, `{"DelIpFlow":{}}`} {
		expect(t, talk(t, c, "second", site(6, 1), wrong, site(7, 1)), `{"Fail":"not appended: another .*"}`, `{"Fail":".*"}`, `{"Fail":"not appended: another .*"}`)
	}
	if got := seq(t, c); got != 3 {
		t.Errorf("%d records, want 3", got)
	}
	// The key of a refused session is not used up.
	expect(t, talk(t, c, "second", site(6, 1), site(7, 1)), ackText, ackText)
	end()

	p.serveHere(t)
	c = connect(t, p, bus.JSON)
	expect(t, talk(t, c, "first", session...), ackText, ackText, ackText)
	expect(t, talk(t, c, "second", site(6, 1), site(7, 1)), ackText, ackText)
	if got := seq(t, c); got != 5 {
		t.Errorf("%d records after the restart, want 5", got)
	}
}

// TestLongKeys sends keys up to the length that the log keeps, and longer ones.
func TestLongKeys(t *testing.T) {
	p := newPlace(t, "example")
	p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup), ackText)
	for _, n := range []int{1, 127, 128} {
		for range 2 {
			expect(t, talk(t, c, strings.Repeat("k", n), site(0x100+n, 1)), ackText)
		}
	}
	w := dialWire(t, p)
	for _, n := range []int{129, 255, 5000} {
		w.send(frame(1, []byte(`{"key":"`+strings.Repeat("k", n)+`","requests":[`+site(0x200+n, 1)+`]}`)))
		_, payload, err := w.answer()
		if err != nil || !regexp.MustCompile(`Fail.*key.*at most 128`).Match(payload) {
			t.Errorf("a key of %d bytes: answer %q, %v", n, payload, err)
		}
	}
	if got := seq(t, c); got != 4 {
		t.Errorf("%d records, want 4", got)
	}
}

func TestExecute(t *testing.T) {
	noLeaks(t)
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	good, other := "class add dev eth1 parent 1: classid 1:10 htb rate 1mbit ceil 2mbit", "class add dev eth1 parent 1: classid 1:11 htb rate 1mbit ceil 2mbit"
	badLine := "class add dev eth1 parent 1:99 classid 1:12 htb rate 1mbit"
	expect(t, talk(t, c, "", mqSetup), ackText)
	expect(t, talk(t, c, "", execute(false, good, badLine, other)), `{"Fail":"line 2, .*"}`)
	if got := seq(t, c); got != 1 {
		t.Errorf("%d records, want 1: the first bad line refuses them all", got)
	}
	expect(t, talk(t, c, "", execute(true, good, badLine, "  class  add dev eth1\tparent 1: classid 1:11 htb rate 1mbit ceil 2mbit", "nonsense")),
		`{"LqosdPartial":{"refused":\[{"line":2,"text":"class add .*","why":".*no such parent.*"},{"line":4,"text":"nonsense","why":".*"}\],"refused_total":2,"seq":2}}`)
	expect(t, talk(t, c, "", execute(true, badLine)), `{"Fail":"line 1, .*"}`)
	end()
	lines := p.tcFile(t)
	says(t, lines, good+"\n", other+"\n")
	if strings.Contains(lines, badLine) {
		t.Error("a refused line was written")
	}
}

func TestMappings(t *testing.T) {
	noLeaks(t)
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.JSON)
	add := func(address string, upload bool, more string) string {
		return fmt.Sprintf(`{"MapIpToFlow":{"ip_address":%q,"tc_handle":65540,"cpu":3,"upload":%v%s}}`, address, upload, more)
	}
	entry := func(address string, bits int, circuit, device uint64) string {
		return regexp.QuoteMeta(fmt.Sprintf(`{"circuit_id":%d,"cpu":3,"device_id":%d,"ip_address":%q,"prefix_length":%d,"tc_handle":65540}`,
			circuit, device, address, bits))
	}
	list := func(entries ...string) string { return `{"MappedIps":\[` + strings.Join(entries, ",") + `\]}` }
	del := func(address string, upload bool) string {
		return fmt.Sprintf(`{"DelIpFlow":{"ip_address":%q,"upload":%v}}`, address, upload)
	}
	class := func(link, id string, hash int) string {
		return fmt.Sprintf(`{"BakeryAddCircuitHTBClass":{"interface":%q,"parent":"0x1:","classid":%q,"rate_mbps":1,"ceil_mbps":9,"circuit_hash":%d,"comment":null,"r2q":10}}`, link, id, hash)
	}
	expect(t, talk(t, c, "", `"ListIpFlow"`, add("10.0.0.1", false, "")), list(), `{"Fail":"tc_handle 1:4: there is no such class on eth1"}`)
	expect(t, talk(t, c, "", mqSetup, class("eth1", "4", 7), class("eth0", "4", 7), class("eth1", "5", 8)), ackText, ackText, ackText, ackText)
	expect(t, talk(t, c, "", add("10.0.0.1", false, ""), `{"MapIpToFlow":{"ip_address":"10.0.0.1/32","tc_handle":65541,"cpu":3,"upload":false}}`,
		del("10.0.0.1", false), `{"MapIpToFlow":{"ip_address":"10.0.0.1/32","tc_handle":65541,"cpu":3,"upload":false}}`, del("10.0.0.1", false)),
		ackText, `{"Fail":"10.0.0.1/32 is mapped to 1:4 of circuit 7 already, and 1:5 of circuit 8 can't have it, too: DelIpFlow first, or ClearIpFlow"}`, ackText, ackText, ackText)
	expect(t, talk(t, c, "", add("2001:db8:1::7/56", false, ""), add("198.51.100.9", false, `,"circuit_id":18446744073709551615,"device_id":7`),
		add("192.0.2.77/24", false, ""), add("::ffff:203.0.113.5", false, ""), add("2001:db8::1", true, ""), `"ListIpFlow"`),
		ackText, ackText, ackText, ackText, ackText,
		list(entry("192.0.2.0", 24, 0, 0), entry("198.51.100.9", 32, math.MaxUint64, 7),
			entry("203.0.113.5", 32, 0, 0), entry("2001:db8:1::", 56, 0, 0), entry("2001:db8::1", 128, 0, 0)))
	// One of another direction, one of another length and one that isn't there harm nothing.
	expect(t, talk(t, c, "", del("2001:db8::1", false), del("192.0.2.0", false), del("10.0.0.1", false), del("192.0.2.0/24", false),
		del("198.51.100.9", false), `"ListIpFlow"`), ackText, ackText, ackText, ackText, ackText,
		list(entry("203.0.113.5", 32, 0, 0), entry("2001:db8:1::", 56, 0, 0), entry("2001:db8::1", 128, 0, 0)))
	// A reset of the tree leaves them.
	expect(t, talk(t, c, "", mqSetup, clearPrior, del("2001:db8:1::/56", false), `"ListIpFlow"`), ackText, ackText, ackText,
		list(entry("203.0.113.5", 32, 0, 0), entry("2001:db8::1", 128, 0, 0)))
	end()

	p.serveHere(t)
	c = connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", `"ListIpFlow"`), list(entry("203.0.113.5", 32, 0, 0), entry("2001:db8::1", 128, 0, 0)))
	expect(t, talk(t, c, "", `"ClearIpFlow"`, `"ClearHotCache"`, `"ListIpFlow"`), ackText, ackText, list())
}

func TestRecord(t *testing.T) {
	p := newPlace(t, "example")
	p.serveHere(t)
	c := connect(t, p, bus.JSON)
	expect(t, talk(t, c, "", mqSetup, site(3, 100)), ackText, ackText)
	expect(t, talk(t, c, "", `{"LqosdRecord":{"seq":1}}`, `{"LqosdRecord":{"seq":2}}`, `{"LqosdRecord":{"seq":3}}`, `{"LqosdRecord":{}}`),
		`{"LqosdRecord":{"kind":"MqSetup","record":{"command":{"down":{.*"link":"eth1",.*"up":{.*"link":"eth0",.*"sender":{.*},"seq":1,"time":".*Z"}}}`,
		`{"LqosdRecord":{"kind":"AddStructuralHTBClass","record":{.*"classid":"0x3",.*"rate_mbps":100(\.0)?,"site_hash":-3},.*"seq":2,.*}}}`,
		`{"Fail":"record 3 is not in the log: the newest is 2"}`,
		`{"Fail":"decoding LqosdRecord: field seq: missing"}`)
	expect(t, talk(t, c, "", `{"LqosdRecord":{"seq":0}}`), `{"Fail":"record 0 is not in the log: the newest is 2"}`)
	var r struct {
		Record struct {
			Sender bakery.Sender `json:"sender"`
			Time   time.Time     `json:"time"`
		} `json:"record"`
	}
	if err := c.Ask(t.Context(), bus.Call{Name: "LqosdRecord", Args: map[string]uint64{"seq": 2}}, &r); err != nil {
		t.Fatal(err)
	}
	if s := (bakery.Sender{UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), PID: int32(os.Getpid())}); r.Record.Sender != s {
		t.Errorf("the sender is %+v, want %+v", r.Record.Sender, s)
	}
	if age := time.Since(r.Record.Time); age < 0 || age > patience {
		t.Errorf("the record is %v old", age)
	}
}

func TestWait(t *testing.T) {
	p := newPlace(t, "example")
	p.serveHere(t)
	c, other := connect(t, p, bus.CBOR), connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", `{"LqosdWait":{}}`, `"LqosdWait"`, `{"LqosdWait":{"applied":true}}`),
		`{"LqosdWait":{"applied":false,"seq":0}}`, `{"LqosdWait":{"applied":false,"seq":0}}`, `{"LqosdWait":{"applied":true,"seq":0}}`)
	expect(t, talk(t, c, "", mqSetup, `{"LqosdWait":{"applied":true}}`), ackText, `{"LqosdWait":{"applied":true,"seq":1}}`)
	expect(t, talk(t, c, "", `{"LqosdWait":{"seq":2,"timeout_ms":20}}`), `{"Fail":"record 2 is not in the log: the newest is 1: .*deadline.*"}`)
	// One connection waits for what another sends.
	future := c.Go(bus.Call{Name: "LqosdWait", Args: map[string]any{"seq": 2}})
	expect(t, talk(t, other, "", clearPrior), ackText)
	replies, err := future.Wait(t.Context())
	if err != nil || replies[0].Name != "LqosdWait" {
		t.Errorf("answer %v %v", replies, err)
	}
}

func TestStatus(t *testing.T) {
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.JSON)
	expect(t, talk(t, c, "", mqSetup, site(3, 100), circuit(3, 4, 10), circuit(3, 5, 0.001),
		`{"MapIpToFlow":{"ip_address":"192.0.2.1","tc_handle":65540,"cpu":0,"upload":false}}`,
		execute(false, "filter add dev eth1 parent 1: matchall flowid 1:4"),
		`{"BakeryReportPreflight":{"ok":false,"message":"too little memory","safe_budget":1,"hard_limit":2,"estimated_total_memory_bytes":3,"memory_available_bytes":null,"memory_guard_min_available_bytes":4,"memory_ok":false,"interfaces":[]}}`),
		ackText, ackText, ackText, ackText, ackText, ackText, ackText)
	var s statusReply
	if err := c.Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
		t.Fatal(err)
	}
	if s.PID != os.Getpid() || s.Mode != "file" || s.Config != p.config() || s.Socket != p.socket() || s.Bakery != "running" ||
		s.LastSeq != 6 || s.AppliedSeq != 6 || s.LogError+s.SinkError != "" || time.Since(s.Started) > patience {
		t.Errorf("status %+v", s)
	}
	if q := s.Queues; q == nil || *q != (queueCount{4, "override_available_queues"}) {
		t.Errorf("queues %+v", q)
	}
	tree := s.Tree
	if tree == nil || tree.Generation != 1 || !slices.Equal(tree.Links, []string{"eth0", "eth1"}) || tree.Circuits != 2 ||
		tree.Mappings != 1 || tree.Opaque != 1 || tree.Classes != 2*4*2+3 || tree.Qdiscs != 2*(1+4+4) {
		t.Errorf("tree %+v", tree)
	}
	if tree.Warned != 1 || len(tree.Warnings) != 1 || tree.Warnings[0].Seq != 4 || tree.Warnings[0].RateMbps != 0.001 {
		t.Errorf("warnings %+v", tree.Warnings)
	}
	if s.Log == nil || s.Log.Records != 6 || s.Log.Last != 6 {
		t.Errorf("log %+v", s.Log)
	}
	if s.Preflight == nil || s.Preflight.OK || s.Preflight.Message != "too little memory" {
		t.Errorf("preflight %+v", s.Preflight)
	}
	if s.Bus.Open != 1 || s.Bus.Sessions < 2 {
		t.Errorf("bus %+v", s.Bus)
	}
	end()
	// A daemon that starts has applied what it holds: the file begins anew.
	p.serveHere(t)
	if err := connect(t, p, bus.JSON).Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
		t.Fatal(err)
	}
	if s.LastSeq != 6 || s.AppliedSeq != 6 {
		t.Errorf("after the restart last %d, applied %d", s.LastSeq, s.AppliedSeq)
	}
}

func TestConfigIsReadAgain(t *testing.T) {
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup), ackText)
	three := 3
	p.configure(t, "example", func(c *lqosconf.Config) {
		c.Queues.OverrideAvailableQueues = &three
		c.Queues.DefaultSQM = "fq_codel"
		c.Bridge.ToNetwork = "lan0"
	})
	// Before the next MqSetup the old links count.
	expect(t, talk(t, c, "", site(3, 1)), ackText)
	expect(t, talk(t, c, "", mqSetup, site(3, 1)), ackText, `{"Fail":".*eth1.* is not managed: the configuration names lan0 and eth0"}`)
	if err := os.WriteFile(p.config(), []byte("[queues]\ndefault_sqm = 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, talk(t, c, "", mqSetup, `"Ping"`), `{"Fail":".*lqos.conf.*default_sqm.*"}`, ackText)
	if err := os.Remove(p.config()); err != nil {
		t.Fatal(err)
	}
	expect(t, talk(t, c, "", mqSetup, clearPrior), `{"Fail":"reading the configuration: .*no such file.*"}`, ackText)
	if got := seq(t, c); got != 4 {
		t.Errorf("%d records, want 4", got)
	}
	end()
	says(t, p.tcFile(t), "qdisc add dev lan0 parent 7FFF:3 handle 3: htb default 2\n", "qdisc add dev lan0 parent 3:2 fq_codel\n",
		"qdisc delete dev lan0 root\n")
}

// TestClientThatLeaves checks that what was sent is carried out though nobody waits for the answers.
func TestClientThatLeaves(t *testing.T) {
	p := newPlace(t, "n1000")
	p.serveHere(t)
	requests := trace(t, "n1000", "trace.jsonl")
	w := dialWire(t, p)
	const n = 500
	for i, r := range requests[:n] {
		w.send(frame(uint64(i), []byte(`{"requests":[`+r.JSON()+`]}`)))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, talk(t, connect(t, p, bus.CBOR), "", fmt.Sprintf(`{"LqosdWait":{"seq":%d}}`, n)), `{"LqosdWait":{"applied":false,"seq":500}}`)
}
