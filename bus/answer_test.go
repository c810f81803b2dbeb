package bus

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswerVectors(t *testing.T) {
	var a answerer
	for want, reply := range map[string]Reply{
		"a169726573706f6e736573816341636b":         Ack(),
		"a169726573706f6e73657381a1644661696c6178": Fail("x"),
	} {
		if got := a.encode(CBOR, []Reply{reply}); !bytes.Equal(got, unhex(want)) {
			t.Errorf("%+v: got %x, want %s", reply, got, want)
		}
		got, err := parseAnswer(unhex(want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Reply{reply}, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if got := string(a.encode(JSON, []Reply{Ack(), Fail("x")})); got != `{"responses":["Ack",{"Fail":"x"}]}` {
		t.Errorf("json: %s", got)
	}
	if got := string(a.encode(JSON, nil)); got != `{"responses":[]}` {
		t.Errorf("json: %s", got)
	}
}

func TestAnswerWhatCannotBeEncoded(t *testing.T) {
	var a answerer
	replies := []Reply{Ack(), {Name: "Bad", Value: map[string]any{"c": make(chan int)}}, {Name: "Nan", Value: []float64{math.NaN()}}, Fail("not\xffutf8")}
	for codec, want := range map[Codec]string{
		CBOR: "the answer Bad can't be encoded: ",
		JSON: `{"responses":["Ack",{"Fail":"the answer Bad can't be encoded: `,
	} {
		got := a.encode(codec, replies)
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("%s: got %q", codec, got)
		}
		back, err := parseAnswer(got)
		if err != nil || len(back) != len(replies) {
			t.Fatalf("%s: %d replies, %v", codec, len(back), err)
		}
		if back[1].Err() == nil || back[3].Err().Error() != "not\uFFFDutf8" {
			t.Errorf("%s: got %+v", codec, back)
		}
	}
}

func TestAnswerTooLarge(t *testing.T) {
	var a answerer
	half := Reply{Name: "Half", Value: make([]byte, MaxPayload/2-4096)}
	replies := []Reply{half, half, half, Ack()}
	doc := a.encode(CBOR, replies)
	if len(doc) > MaxPayload {
		t.Fatalf("%d bytes, a frame takes %d", len(doc), MaxPayload)
	}
	got, err := parseAnswer(doc)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Err() != nil || got[1].Err() != nil || !got[3].IsAck() {
		t.Errorf("what had room is not there: %v, %v, %v", got[0].Name, got[1].Name, got[3].Name)
	}
	if got[2].Err() == nil || got[2].Err().Error() != "the answer is too large" {
		t.Errorf("got %v, want a Fail", got[2].Name)
	}
	if a.encode(CBOR, nil); cap(a.doc) > keptBuffer {
		t.Errorf("a buffer of %d bytes is kept", cap(a.doc))
	}
}

func TestAnswerRefusesOtherDocuments(t *testing.T) {
	for payload, want := range map[string]string{
		"":                              "empty",
		`{"requests":[]}`:               "no responses",
		`{"responses":["Ack",5]}`:       "malformed reply 1",
		"\xa1\x69responses\x81\x60":     "malformed reply 0: its name is empty",
		"\xa1\x69responses\x9a\xff\xff": "EOF",
	} {
		if _, err := parseAnswer([]byte(payload)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", payload, err, want)
		}
	}
}

func TestAnswerAllocations(t *testing.T) {
	var a answerer
	replies := []Reply{Ack(), Fail("no")}
	a.encode(CBOR, replies)
	if got := testing.AllocsPerRun(100, func() { a.encode(CBOR, replies) }); got > 0 {
		t.Errorf("a small answer takes %.0f allocations", got)
	}
}
