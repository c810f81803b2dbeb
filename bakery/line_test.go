package bakery_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// genWild is a command of any kind whose fields hold anything that the codec takes.
func genWild(t *rapid.T) bakery.Command {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\xff", "a\xc3", "\ufffd", `\ufffd`, "<&>\u2028\x00\"\\", "日本"}))
	float := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1e21}))
	words := rapid.SliceOfN(text, 0, 3)
	direction := func() bakery.Direction {
		return bakery.Direction{Link: text.Draw(t, "link"), FirstMajor: rapid.Uint16().Draw(t, "major"), Queues: rapid.Uint16().Draw(t, "queues"),
			CapacityMbps: float.Draw(t, "capacity"), SQM: words.Draw(t, "sqm")}
	}
	setup := func() bakery.MqSetup {
		return bakery.MqSetup{QueuesAvailable: rapid.Ptr(rapid.Int(), true).Draw(t, "queues"), StickOffset: rapid.Ptr(rapid.Int(), true).Draw(t, "offset"),
			Down: direction(), Up: direction(), R2Q: rapid.Uint64().Draw(t, "r2q")}
	}
	switch rapid.IntRange(0, 11).Draw(t, "kind") {
	case 0:
		return bakery.ClearPriorSettings{Links: words.Draw(t, "links")}
	case 1:
		return setup()
	case 2:
		c := rapid.Make[bakery.AddStructuralHTBClass]().Draw(t, "site")
		c.Parent, c.CeilMbps = text.Draw(t, "parent"), float.Draw(t, "ceil")
		return c
	case 3:
		c := rapid.Make[bakery.AddCircuitHTBClass]().Draw(t, "circuit")
		c.Comment = rapid.Ptr(text, true).Draw(t, "comment")
		return c
	case 4:
		c := rapid.Make[bakery.AddCircuitQdisc]().Draw(t, "leaf")
		c.SQM = words.Draw(t, "words")
		return c
	case 5:
		c := bakery.ExecuteTCCommands{Lines: words.Draw(t, "lines"), Force: rapid.Bool().Draw(t, "force")}
		for i := range c.Lines {
			if rapid.Bool().Draw(t, "opaque") {
				c.Opaque = append(c.Opaque, i)
			}
		}
		return c
	case 6:
		return rapid.Make[bakery.MapIPToFlow]().Draw(t, "mapping")
	case 7:
		return rapid.Make[bakery.DelIPFlow]().Draw(t, "unmapping")
	case 8:
		return bakery.ClearIPFlow{}
	case 9:
		return rapid.Make[bakery.ChangeSiteSpeedLive]().Draw(t, "speed")
	case 10:
		return genCommand(t)
	}
	c := bakery.Commit{Setup: setup(), Leaf: bakery.LeafRule{FastMbps: float.Draw(t, "fast"), SlowRTT: bakery.SlowRTT(rapid.IntRange(0, 1).Draw(t, "slow"))}}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		c.Members = append(c.Members, genWildMember(t, text))
	}
	return c
}

// genWildMember is a member whose fields hold anything that the codec takes.
func genWildMember(t *rapid.T, text *rapid.Generator[string]) bakery.Member {
	m := bakery.Member{Site: rapid.Ptr(rapid.Make[bakery.AddSite](), true).Draw(t, "site")}
	if m.Site == nil {
		c := rapid.Make[bakery.AddCircuit]().Draw(t, "circuit")
		c.Name = rapid.Ptr(text, true).Draw(t, "name")
		m.Circuit = &c
	}
	return m
}

// exchanged gives the line of a record, and what is made of it again.
func exchanged(t interface{ Fatalf(string, ...any) }, raw eventlog.Record) (text []byte, again bakery.Line, payload []byte, err error) {
	l, err := bakery.LineOf(raw)
	if err == nil {
		text, err = l.JSON()
	}
	if err == nil {
		again, err = bakery.ParseLine(text)
	}
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	_, payload, err = again.Record()
	return text, again, payload, err
}

// TestLineIsTheRecord: every record comes out of its line as it went in.
func TestLineIsTheRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		when := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, 0, math.MaxInt64})).Draw(t, "time")
		r := bakery.Record{Seq: eventlog.Seq(rapid.Uint64().Draw(t, "seq")), Time: time.Unix(0, when), Command: genWild(t),
			Sender: rapid.Make[bakery.Sender]().Draw(t, "sender")}
		raw := eventlog.Record{Seq: r.Seq, Data: bakery.AppendRecord(nil, r), TxEnd: rapid.Bool().Draw(t, "end"),
			Key: rapid.SampledFrom([]string{"", "k", "\xff", "\ufffd"}).Draw(t, "key")}
		text, l, payload, err := exchanged(t, raw)
		if err != nil || !bytes.Equal(payload, raw.Data) || l.Seq != raw.Seq || l.More == raw.TxEnd || l.IdempotencyKey() != raw.Key {
			t.Fatalf("%s: comes back as %+v with\n%x, want\n%x (%v)", text, l, payload, raw.Data, err)
		}
		if bytes.Count(text, []byte("\n")) != 1 || !json.Valid(text) {
			t.Fatalf("%q isn't one line of JSON", text)
		}
	})
}

// TestPlainLines: what JSON can hold stands in it, and only what it can't is carried as bytes.
func TestPlainLines(t *testing.T) {
	r := bakery.Record{Seq: 1, Time: testTime, Command: bakery.ExecuteTCCommands{Lines: []string{`\ufffd`, "\ufffd", "é<&>"}}}
	for _, c := range []struct {
		text  string
		plain bool
	}{{`\ufffd`, true}, {"\ufffd <é>", true}, {"\xff", false}} {
		r.Command = bakery.ExecuteTCCommands{Lines: []string{c.text}}
		text, l, _, err := exchanged(t, eventlog.Record{Seq: 1, TxEnd: true, Data: bakery.AppendRecord(nil, r)})
		if err != nil || (l.Payload == nil) != c.plain {
			t.Errorf("%s, want plain: %v; %v", text, c.plain, err)
		}
	}
}

// TestStrangePayloads: what this version can't read is carried, and isn't read later either.
func TestStrangePayloads(t *testing.T) {
	good := bakery.AppendRecord(nil, bakery.Record{Seq: 1, Time: testTime, Command: bakery.DelIPFlow{Address: "::1"}})
	changed := func(at int, b byte) []byte {
		p := slices.Clone(good)
		p[at] = b
		return p
	}
	padded := bakery.AppendRecord(nil, bakery.Record{Seq: 1, Time: testTime, Command: bakery.ClearIPFlow{}})
	padded = append(padded[:len(padded)-1], 0x80, 0) // pid 0 in two bytes
	for name, c := range map[string]struct {
		payload []byte
		err     error
	}{
		"a version to come": {changed(0, 2), eventlog.ErrNewerFormat},
		"a kind to come":    {changed(1, 99), eventlog.ErrNewerFormat},
		"damage":            {good[:len(good)-1], eventlog.ErrCorrupt},
		"nothing":           {[]byte{}, eventlog.ErrCorrupt},
		"longer than need":  {padded, nil},
		"unknown flag":      {changed(len(good)-len("::1")-2, 0x40), nil},
	} {
		text, l, payload, err := exchanged(t, eventlog.Record{Seq: 1, TxEnd: true, Data: c.payload})
		if !errors.Is(err, c.err) || l.Command != nil || !bytes.Equal(payload, c.payload) {
			t.Errorf("%s: %s gives %x, %v; want %x, %v", name, text, payload, err, c.payload, c.err)
		}
	}
}

const goodLine = `{"seq":1,"time":"2026-11-23T14:00:00Z","sender":{"uid":1,"gid":2,"pid":3},"kind":"DelIpFlow","command":{"ip_address":"::1","upload":false}}`

// TestWrongLines: a line with something amiss is refused, with the reason.
func TestWrongLines(t *testing.T) {
	commit := bakery.AppendRecord(nil, recordOf(bakery.NewTree(), documentedCommit()))
	line, err := bakery.LineOf(eventlog.Record{Seq: 1, TxEnd: true, Data: commit})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := line.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, old, new, want string }{
		{goodLine, `"seq":1`, `"seq":-1`, "field seq: wrong type, or out of range: number -1"},
		{goodLine, `"seq":1,`, ``, "field seq: missing"},
		{goodLine, `"seq":1`, `"SEQ":1`, "field seq: missing"},
		{goodLine, `"seq":1`, `"seq":1,"seq":1`, "field seq: there twice"},
		{goodLine, `"sender":{"uid":1,"gid":2,"pid":3},`, ``, "field sender: missing"},
		{goodLine, `"gid":2,`, ``, "field sender.gid: missing"},
		{goodLine, `"gid":2`, `"gid":null`, "field sender.gid: null"},
		{goodLine, `"time":"2026-11-23T14:00:00Z",`, ``, "field time: missing"},
		{goodLine, `2026-11-23`, `3026-11-23`, "can't be counted in nanoseconds"},
		{goodLine, `14:00:00`, `yesterday`, "yesterday"},
		{goodLine, `DelIpFlow`, `Nonsense`, `field kind: unknown kind "Nonsense"`},
		{goodLine, `"kind":"DelIpFlow",`, ``, `unknown kind ""`},
		{goodLine, `,"command":{"ip_address":"::1","upload":false}`, ``, "field command: missing"},
		{goodLine, `"upload":false`, `"upload":"no"`, "field upload: wrong type, or out of range: string"},
		{goodLine, `,"upload":false`, ``, "field command of DelIpFlow: field upload: missing"},
		{goodLine, `"upload":false`, `"upload":false,"cpu":1`, `unknown field "cpu"`},
		{goodLine, `"seq"`, `"extra":1,"seq"`, `unknown field "extra"`},
		{goodLine, `"::1"`, `"::1","ip_address":"::2"`, "field ip_address: there twice"},
		{goodLine, `false}}`, `false}} {}`, "something follows"},
		{goodLine, `false}}`, ``, "cut off"},
		{goodLine, goodLine, ``, "empty"},
		{goodLine, `}}`, `},"payload":"AQ=="}`, "one of the two"},
		{goodLine, `}}`, `},"key":"a","key_bytes":"AQ=="}`, "one of the two"},
		{string(batch), `{"site":{`, `{"circuit":null,"SITE":{`, "missing"},
		{string(batch), `"members":[`, `"members":[{},`, "field members[0]: must be a site or a circuit"},
		{string(batch), `"up_to"`, `"never"`, `field leaf.slow_rtt: unknown rule "never"`},
		{string(batch), `"class_minor":3`, `"class_minor":70000`, "out of range"},
	} {
		if !strings.Contains(c.text, c.old) {
			t.Fatalf("nothing to replace: %s in %s", c.old, c.text)
		}
		text := strings.Replace(c.text, c.old, c.new, 1)
		l, err := bakery.ParseLine([]byte(text))
		if err == nil {
			_, _, err = l.Record()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s in place of %s: %v, want %q", c.new, c.old, err, c.want)
		}
	}
}

// TestLinesOfOthers: order, blanks and what may be left out don't matter.
func TestLinesOfOthers(t *testing.T) {
	want := bakery.AppendRecord(nil, bakery.Record{Seq: 1, Time: testTime, Sender: bakery.Sender{UID: 1, GID: 2, PID: 3},
		Command: bakery.ExecuteTCCommands{Lines: []string{"a"}}})
	text := ` {"command": {"opaque": [], "force_mode": false, "commands": ["\u0061"]}, "more": false, "key": null,
		"kind": "ExecuteTCCommands", "sender": {"pid": 3, "gid": 2, "uid": 1}, "time": "2026-11-23T15:00:00+01:00", "seq": 1} `
	l, err := bakery.ParseLine([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, payload, err := l.Record(); err != nil || !bytes.Equal(payload, want) {
		t.Errorf("%x, %v, want %x", payload, err, want)
	}
}

// TestForgedPayload: what stands beside a payload can't say something else.
func TestForgedPayload(t *testing.T) {
	payload := bakery.AppendRecord(nil, bakery.Record{Seq: 1, Time: testTime, Command: bakery.ExecuteTCCommands{Lines: []string{"\xff"}}})
	text, _, _, err := exchanged(t, eventlog.Record{Seq: 1, TxEnd: true, Data: payload})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{`"uid":0`, `"uid":1`}, {"ExecuteTCCommands", "ClearIpFlow"}, {"14:00", "15:00"}} {
		l, err := bakery.ParseLine(bytes.Replace(text, []byte(c[0]), []byte(c[1]), 1))
		if err == nil {
			_, _, err = l.Record()
		}
		if err == nil || !strings.Contains(err.Error(), "isn't what the payload has") {
			t.Errorf("%s for %s: %v", c[1], c[0], err)
		}
	}
}
