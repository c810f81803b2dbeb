package bus

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDocument gives arbitrary bytes to everything that reads documents, questions and answers, in both codecs. What is
// read can go back as it came; what is said in one codec can be said in the other, and means the same there.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"requests":["Ping",{"A":[1,-2.5e3,"\u00e9\n",true,null]}],"key":"k"}`))
	f.Add(unhex("a1687265717565737473816450696e67"))
	f.Add(unhex("a168726571756573747381a16158a461610061780064746578746077776f72647380"))
	f.Add([]byte("\xa1\x68requests\x84\x60\x60\x60\x60"))
	f.Add(marshalAnswer(CBOR, []Reply{Ack(), Fail("why"), {Name: "MappedIps", Value: []int{1, 2}}}))
	f.Add(marshalAnswer(JSON, []Reply{Ack(), Fail("why"), {Name: "MappedIps", Value: []int{1, 2}}}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		fuzzAnswer(payload)
		s, codec, err := parse(payload)
		if err != nil {
			return
		}
		if codec == JSON && s.Requests == nil {
			t.Fatal("no requests and no error")
		}
		if n := len(s.Requests); beginsWithFew(payload) && n > len(payload)/minRequestSize {
			t.Fatalf("%d requests in %d bytes, which weren't counted", n, len(payload))
		}
		for _, r := range s.Requests {
			fuzzBody(t, payload, r)
		}
		fuzzTranscoded(t, s, codec)
	})
}

// withPointers are half of the fields.
type withPointers struct {
	Plain
	Pointing
	Text  *string  `json:"text"`
	Words []string `json:"words"`
	Value any      `json:"value"`
	Inner *Plain   `json:"inner"`
}

// fuzzBody decodes a body as everything.
func fuzzBody(t *testing.T, payload []byte, r Request) {
	_ = r.Err()
	for _, v := range []any{new(circuit), new(any), new(json.RawMessage), new(everything), new([]string), new(map[string]float32)} {
		_ = r.Decode(v)
	}
	for _, v := range []any{circuit{}, everything{}, withPointers{}} {
		checkCounted(t, r.body, reflect.TypeOf(v))
	}
	text, jsonErr := r.body.MarshalJSON()
	_, cborErr := r.body.MarshalCBOR()
	if r.body.codec == JSON && jsonErr != nil || r.body.codec == CBOR && cborErr != nil {
		t.Fatalf("%q: arrived and can't go back: %v, %v", payload, jsonErr, cborErr)
	}
	if r.body.codec == JSON && cborErr == nil && !r.body.none() {
		checkRoundTrip(t, string(text))
	}
}

func fuzzAnswer(payload []byte) {
	replies, err := parseAnswer(payload)
	if err != nil {
		return
	}
	for _, r := range replies {
		_, _ = r.Err(), r.IsAck()
		_ = r.Decode(new(any))
	}
}

// fuzzTranscoded says a session in the other codec. What can't be said there (NaN in JSON, 1e999 in CBOR) is left out.
func fuzzTranscoded(t *testing.T, s Session, codec Codec) {
	other := CBOR
	if codec == CBOR {
		other = JSON
	}
	var calls []Call
	var want []any
	for _, r := range s.Requests {
		call := Call{Name: r.Name}
		if r.HasBody() {
			call.Args = r.body
		}
		var v any
		if _, err := marshalVariant(other, call.Name, call.Args); r.Err() != nil || err != nil || r.HasBody() && r.Decode(&v) != nil {
			continue
		}
		calls, want = append(calls, call), append(want, floats(v))
	}
	doc, err := marshalSession(new(bytes.Buffer), other, s.Key, calls)
	if err != nil {
		t.Fatalf("saying it in %v: %v", other, err)
	}
	said, got, err := parse(doc)
	if err != nil || got != other || said.Key != s.Key || len(said.Requests) != len(calls) {
		t.Fatalf("%q was read as %v, %v, key %q, %d requests", doc, got, err, said.Key, len(said.Requests))
	}
	for i, r := range said.Requests {
		var v any
		if r.HasBody() {
			if err := r.Decode(&v); err != nil {
				t.Fatalf("%q: %v", doc, err)
			}
		}
		if r.Name != calls[i].Name {
			t.Fatalf("%q became %q", calls[i].Name, r.Name)
		}
		if codec == JSON { // in JSON a number is a float where nobody says what it is, and bytes are text
			if diff := cmp.Diff(want[i], floats(v)); diff != "" {
				t.Fatalf("%q in %v (-want +got):\n%s", doc, other, diff)
			}
		}
	}
}
