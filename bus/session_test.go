package bus

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func parse(payload []byte) (Session, Codec, error) { return parseSession(payload, maxElements) }

// requestText is a request in JSON.
func requestText(t testing.TB, r Request) string {
	t.Helper()
	var value any
	if r.HasBody() {
		value = r.body
	}
	text, err := marshalVariant(JSON, r.Name, value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// requestTexts is the requests of a session as JSON, malformed ones as their error.
func requestTexts(t testing.TB, s Session) (texts []string) {
	t.Helper()
	for _, r := range s.Requests {
		if err := r.Err(); err != nil {
			texts = append(texts, err.Error())
			continue
		}
		texts = append(texts, requestText(t, r))
	}
	return texts
}

func TestSessionVectors(t *testing.T) {
	ping := document(t, CBOR, Call{Name: "Ping"})
	if want := unhex("a1687265717565737473816450696e67"); !bytes.Equal(ping, want) {
		t.Errorf("Ping: got %x, want %x", ping, want)
	}
	framed := appendFrame(nil, 0, ping)
	if want := append(unhex("0000000000000000 1000000000000000 10000000"), ping...); !bytes.Equal(framed, want) {
		t.Errorf("framed: got %x, want %x", framed, want)
	}
	type setup struct {
		Queues uint64 `json:"queues_available"`
		Offset uint64 `json:"stick_offset"`
	}
	const mq = "a168726571756573747381a16d42616b6572794d715365747570a2707175657565735f617661696c61626c65046c737469636b5f6f666673657400"
	if got := document(t, CBOR, Call{"BakeryMqSetup", setup{4, 0}}); !bytes.Equal(got, unhex(mq)) {
		t.Errorf("BakeryMqSetup: got %x", got)
	}
	s, codec, err := parse(unhex(mq))
	if err != nil || codec != CBOR || len(s.Requests) != 1 {
		t.Fatalf("BakeryMqSetup: %+v, %v, %v", s, codec, err)
	}
	var got setup
	if err := s.Requests[0].Decode(&got); err != nil || s.Requests[0].Name != "BakeryMqSetup" || got != (setup{4, 0}) {
		t.Errorf("BakeryMqSetup: %+v, %v", got, err)
	}
}

func TestSession(t *testing.T) {
	s, codec, err := parse([]byte(`{"v":1,"key":"k1","requests":["Ping",{"Ping":null},{"A":{"b":9007199254740993}},{"A":[1,2.5]}],"x":[{}]}`))
	if err != nil || codec != JSON || s.Key != "k1" {
		t.Fatalf("got key %q, %v, %v", s.Key, codec, err)
	}
	want := []string{`"Ping"`, `"Ping"`, `{"A":{"b":9007199254740993}}`, `{"A":[1,2.5]}`}
	if diff := cmp.Diff(want, requestTexts(t, s)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s.Requests[1].HasBody() || !s.Requests[2].HasBody() {
		t.Error("HasBody is wrong")
	}
}

func TestSessionMalformedRequestsStayInPlace(t *testing.T) {
	s, _, err := parse([]byte(`{"requests":["Ping",5,{},{"A":1,"B":2},{"A":1,"A":2},[],null,"",{"":1},"` + strings.Repeat("n", 256) + `","Pong"]}`))
	if err != nil {
		t.Fatal(err)
	}
	const noVariant = "malformed request: want text or a map of one entry"
	want := []string{`"Ping"`, noVariant, noVariant, noVariant, noVariant, noVariant, noVariant,
		"malformed request: its name is empty",
		"malformed request: its name is empty",
		"malformed request: its name is longer than 255 bytes",
		`"Pong"`}
	if diff := cmp.Diff(want, requestTexts(t, s)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := s.Requests[1].Decode(new(int)); err == nil {
		t.Error("a malformed request decoded")
	}
}

// badDocuments are documents that don't decode, and a part of the reason.
var badDocuments = []struct{ name, payload, want string }{
	{"empty", "", "the document is empty"},
	{"not a map", "\x80", "got a list"},
	{"no requests", "\xa0", "the document has no requests"},
	{"no requests in json", "{}", "the document has no requests"},
	{"requests are no array", "\xa1\x68requests\xa0", "field requests: want a list, got a map"},
	{"requests are no array in json", `{"requests":{}}`, "field requests: want a list, got a map"},
	{"requests twice in cbor", "\xa2\x68requests\x80\x68requests\x80", "duplicate map key"},
	{"requests twice in json", `{"requests":[],"requests":[]}`, "field requests: given twice"},
	{"key twice in json", `{"key":"a","requests":[],"key":"b"}`, "field key: given twice"},
	{"another field twice in json", `{"x":[],"requests":[],"x":{}}`, "field x: given twice"},
	{"requests in upper case", "\xa1\x68Requests\x80", "field Requests: unknown, want requests"},
	{"requests in upper case in json", `{"Requests":["Ping"]}`, "field Requests: unknown, want requests"},
	{"key in upper case", "\xa2\x63KEY\x61a\x68requests\x80", "field KEY: unknown, want key"},
	{"key in upper case in json", `{"requests":[],"KEY":"a"}`, "field KEY: unknown, want key"},
	{"key is a number", `{"key":1,"requests":[]}`, "field key: want text, got a number"},
	{"key is a number in cbor", "\xa2\x63key\x01\x68requests\x80", "field key: want text, got an integer"},
	{"key too long", `{"key":"` + strings.Repeat("k", 129) + `","requests":[]}`, "at most 128 bytes"},
	{"key not utf-8", "\xa2\x63key\x61\xff\x68requests\x80", "UTF-8"},
	{"truncated", "\xa1\x68requests\x81", "unexpected EOF"},
	{"more after the end", "\xa1\x68requests\x80\x00", "extraneous"},
	{"nested too deep", "\xa1\x68requests" + strings.Repeat("\x81", 1<<20) + "\x00", "nested level"},
	{"nested too deep, indefinite", "\xa1\x68requests" + strings.Repeat("\x9f", 1<<20), "nested level"},
	{"maps nested too deep", "\xa1\x68requests\x81" + strings.Repeat("\xa1\x61a", 1<<16) + "\x00", "nested level"},
	{"json nested too deep", `{"requests":` + strings.Repeat("[", 1<<20), "nested deeper"},
	{"2^32 requests declared", "\xa1\x68requests\x9a\xff\xff\xff\xff", "number of elements"},
	{"2^64-1 requests declared", "\xa1\x68requests\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "too large"},
	{"2^63-1 pairs declared", "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "key-value pairs"},
	{"1 EiB of text declared", "\xa1\x68requests\x81\x7b\x10\x00\x00\x00\x00\x00\x00\x00", "unexpected EOF"},
	{"1 EiB of bytes declared", "\xa1\x68requests\x81\x5b\x10\x00\x00\x00\x00\x00\x00\x00", "unexpected EOF"},
	{"a text of bytes parts", "\xa1\x68requests\x81\x7f\x41a\xff", "wrong element type"},
	{"break without a start", "\xa1\x68requests\x81\xff", "break"},
	{"an odd map", "\xbf\x68requests\xff", "break"},
	{"a tag", "\xa1\x68requests\x81\xc1\x00", "tag isn't allowed"},
	{"tags upon tags", "\xa1\x68requests" + strings.Repeat("\xc1", 1<<20) + "\x80", "tag isn't allowed"},
	{"a bignum", "\xa1\x68requests\x81\xc2\x41\x01", "tag isn't allowed"},
	{"a reserved head", "\xa1\x68requests\x81\x1c", "additional information"},
	{"tiny requests", "\xa1\x68requests\x9a\x00\x0f\xff\xff" + strings.Repeat("\x00", 1<<20-1), "too short to be requests"},
	{"tiny requests, indefinite", "\xa1\x68requests\x9f" + strings.Repeat("\x60", 1<<20-1) + "\xff", "too short to be requests"},
	{"tiny requests in json", `{"requests":[0` + strings.Repeat(",0", 1<<19) + "]}", "too short to be requests"},
	{"json not utf-8", "{\"requests\":[\"\xff\"]}", "not valid utf-8"},
	{"json with more after the end", `{"requests":[]}{}`, "after top-level value"},
	{"json cut short", `{"requests":[`, "unexpected end of JSON input"},
	{"too many requests in json", `{"requests":[0` + strings.Repeat(",0", maxElements) + `]}`, "more than 1048576 elements"},
}

func TestSessionBadDocuments(t *testing.T) {
	for _, tt := range badDocuments {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			var codec Codec
			got := allocated(func() { _, codec, err = parse([]byte(tt.payload)) })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
			if json := strings.HasPrefix(tt.payload, "{"); json != (codec == JSON) {
				t.Errorf("codec is %s", codec)
			}
			if limit := 4*uint64(len(tt.payload)) + 128<<10; got > limit {
				t.Errorf("%d bytes allocated for %d", got, len(tt.payload))
			}
		})
	}
}

func TestSessionTooManyRequests(t *testing.T) {
	doc := document(t, CBOR, Call{Name: "Ping"}, Call{Name: "Ping"}, Call{Name: "Ping"})
	_, _, err := parseSession(doc, 2)
	if err == nil || err.Error() != "3 requests in one session, at most 2 are taken" {
		t.Errorf("got %v", err)
	}
}

// What a document holds in memory is at most so many times its size, whatever it is made of; the most is made of the
// shortest requests. What is allocated on the way there, garbage included, is bounded, too.
const (
	heldPerByte      = 32
	allocatedPerByte = 256
)

func TestSessionMemory(t *testing.T) {
	const n = maxElements - 1
	var names bytes.Buffer
	for i := range 1 << 17 {
		fmt.Fprintf(&names, "\x65%05x", i)
	}
	for _, tt := range []struct{ name, doc string }{
		{"zeros in a short document", "\xa1\x68requests\x9f" + strings.Repeat("\x00", smallDocument-12) + "\xff"},
		{"short names", "\xa1\x68requests\x9f" + strings.Repeat("\x63abc", n) + "\xff"},
		{"short maps", "\xa1\x68requests\x9f" + strings.Repeat("\xa1\x61a\x00", n) + "\xff"},
		{"names that differ", "\xa1\x68requests\x9f" + names.String() + "\xff"},
		{"short maps in json", `{"requests":[0` + strings.Repeat(`,{"a":0}`, n) + "]}"},
		{"a long list", "\xa1\x68requests\x81\x9f" + strings.Repeat("\x00", n) + "\xff"},
		{"a long map", "\xa1\x68requests\x81\xbf" + names.String() + "\xff"},
	} {
		var s Session
		var held uint64
		all := allocated(func() { held = retained(func() { s, _, _ = parse([]byte(tt.doc)) }) })
		size := uint64(len(tt.doc))
		t.Logf("%s: %d bytes, %d requests: %d.%d times held, %d times allocated", tt.name, size, len(s.Requests), held/size, held*10/size%10, all/size)
		if held > heldPerByte*size+256<<10 {
			t.Errorf("%s: %d bytes hold %d", tt.name, size, held)
		}
		if all > allocatedPerByte*size+256<<10 {
			t.Errorf("%s: for %d bytes %d were allocated", tt.name, size, all)
		}
		runtime.KeepAlive(s)
	}
}

// retained is by how many bytes f made the heap larger.
func retained(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
}

func calls() *rapid.Generator[[]Call] {
	call := rapid.Custom(func(t *rapid.T) Call {
		name := rapid.OneOf(rapid.SampledFrom([]string{"Ping", "BakeryMqSetup"}), rapid.StringN(1, 20, 255)).Draw(t, "name")
		return Call{Name: name, Args: anyValue(2).Draw(t, "args")}
	})
	return rapid.SliceOfN(call, 0, 40)
}

// floats makes float64 of all numbers, as JSON has no others.
func floats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	case []any:
		for i := range v {
			v[i] = floats(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = floats(v[name])
		}
	}
	return v
}

// A session in JSON and in CBOR is the same session.
func TestSessionCodecsAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := calls().Draw(t, "calls")
		key := rapid.StringN(0, 20, 128).Draw(t, "key")
		var sessions [2]Session
		for codec := range sessions {
			doc, err := marshalSession(new(bytes.Buffer), Codec(codec), key, want)
			if err != nil {
				t.Fatal(err)
			}
			s, got, err := parse(doc)
			if err != nil || got != Codec(codec) {
				t.Fatalf("%q: %v, %v", doc, got, err)
			}
			sessions[codec] = s
		}
		for i := range sessions[CBOR].Requests {
			var values [2]any
			for codec := range values {
				if err := sessions[codec].Requests[i].Decode(&values[codec]); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(floats(values[CBOR]), floats(values[JSON]), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-cbor +json)\n%s", diff)
			}
		}
		if len(sessions[CBOR].Requests) != len(want) || sessions[CBOR].Key != key {
			t.Fatalf("got %d requests and key %q, want %d and %q", len(sessions[CBOR].Requests), sessions[CBOR].Key, len(want), key)
		}
	})
}
