package bus

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReply(t *testing.T) {
	if err := Ack().Err(); err != nil || !Ack().IsAck() {
		t.Errorf("Ack: %v", err)
	}
	if err := Failf("site %d", 5).Err(); err == nil || err.Error() != "site 5" {
		t.Errorf("Fail: %v", err)
	}
	if err := Fail("no").Decode(new(int)); err == nil || err.Error() != "no" {
		t.Errorf("decoding a Fail: %v", err)
	}
	if err := (Reply{Name: "Fail", Value: 5}).Err(); err == nil || err.Error() != `{"Fail":5}` {
		t.Errorf("a Fail without text: %v", err)
	}
}

// A reply decodes the same before it is sent and after, in both codecs.
func TestReplyDecode(t *testing.T) {
	type mapping struct {
		Address string  `json:"ip_address"`
		Circuit *uint64 `json:"circuit_id"`
	}
	sent := Reply{Name: "MappedIps", Value: []mapping{{Address: "192.0.2.1"}, {Address: "::"}}}
	replies := []Reply{sent}
	for _, codec := range []Codec{CBOR, JSON} {
		got, err := parseAnswer(marshalAnswer(codec, []Reply{sent}))
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, got...)
	}
	for i, r := range replies {
		var got []mapping
		if err := r.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.Value, got); diff != "" {
			t.Errorf("%d: (-want +got)\n%s", i, diff)
		}
		text, err := r.JSON()
		want := `{"MappedIps":[{"ip_address":"192.0.2.1","circuit_id":null},{"ip_address":"::","circuit_id":null}]}`
		if i == 1 { // maps that came in CBOR are sorted
			want = `{"MappedIps":[{"circuit_id":null,"ip_address":"192.0.2.1"},{"circuit_id":null,"ip_address":"::"}]}`
		}
		if err != nil || string(text) != want {
			t.Errorf("%d: %s, %v", i, text, err)
		}
	}
	if err := replies[1].Decode(new(int)); err == nil || err.Error() != "decoding reply MappedIps: want an integer, got a list" {
		t.Errorf("got %v", err)
	}
}
