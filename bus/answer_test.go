package bus

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAnswerVectors(t *testing.T) {
	for want, reply := range map[string]Reply{
		"a169726573706f6e736573816341636b":         Ack(),
		"a169726573706f6e73657381a1644661696c6178": Fail("x"),
	} {
		if got := marshalAnswer(CBOR, []Reply{reply}); !bytes.Equal(got, unhex(want)) {
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
	if got := string(marshalAnswer(JSON, []Reply{Ack(), Fail("x")})); got != `{"responses":["Ack",{"Fail":"x"}]}` {
		t.Errorf("json: %s", got)
	}
	if got := string(marshalAnswer(JSON, nil)); got != `{"responses":[]}` {
		t.Errorf("json: %s", got)
	}
}

func TestAnswerWhatCannotBeEncoded(t *testing.T) {
	replies := []Reply{Ack(), {Name: "Bad", Value: map[string]any{"c": make(chan int)}}, {Name: "Nan", Value: []float64{math.NaN()}}, Fail("not\xffutf8")}
	for codec, want := range map[Codec]string{
		CBOR: "the answer Bad can't be encoded: ",
		JSON: `{"responses":["Ack",{"Fail":"the answer Bad can't be encoded: `,
	} {
		got := marshalAnswer(codec, replies)
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
	half := Reply{Name: "Half", Value: make([]byte, MaxPayload/2-4096)}
	replies := []Reply{half, half, half, Ack()}
	doc := marshalAnswer(CBOR, replies)
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
}

func TestAnswerRefusesOtherDocuments(t *testing.T) {
	for payload, want := range map[string]string{
		"":                              "empty",
		`{"requests":[]}`:               "no responses",
		`{"responses":["Ack",5]}`:       "malformed reply: want text",
		"\xa1\x69responses\x81\x60":     "malformed reply: its name is empty",
		"\xa1\x69responses\x9a\xff\xff": "EOF",
	} {
		if _, err := parseAnswer([]byte(payload)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", payload, err, want)
		}
	}
}
