package bus

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// circuit has the shapes that the protocol uses.
type circuit struct {
	Hash     int64    `json:"circuit_hash"`
	Name     *string  `json:"circuit_name"`
	Minor    uint16   `json:"class_minor"`
	Rate     float32  `json:"rate"`
	Ceil     float64  `json:"ceil"`
	Upload   bool     `json:"upload"`
	Words    []string `json:"words"`
	Comment  string   `json:"comment,omitempty"`
	Optional []int8   `json:"optional,omitempty"`
}

const circuitJSON = `{"circuit_hash":-5,"circuit_name":"n","class_minor":7,"rate":0.5,"ceil":10,"upload":true,"words":["a"]}`

// decodeJSON decodes a body that is given as JSON.
func decodeJSON(t testing.TB, body string, v any) error {
	t.Helper()
	r, err := NewRequest("X", json.RawMessage(body))
	if err != nil {
		t.Fatal(err)
	}
	return r.Decode(v)
}

func TestDecode(t *testing.T) {
	name := "n"
	want := circuit{Hash: -5, Name: &name, Minor: 7, Rate: 0.5, Ceil: 10, Upload: true, Words: []string{"a"}}
	for _, body := range []string{
		circuitJSON,
		`{"new_in_2030":{"a":[1,{"b":2}]},` + circuitJSON[1:],
		`{"words":["a"],"upload":true,"ceil":10,"rate":0.5,"class_minor":7,"circuit_name":"n","circuit_hash":-5}`,
		`{"comment":null,"optional":null,` + circuitJSON[1:],
	} {
		got := circuit{Comment: "left over", Optional: []int8{1}}
		if err := decodeJSON(t, body, &got); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", body, diff)
		}
	}
}

func TestDecodeNamesTheField(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"missing", `"class_minor":7,`, ``, "field class_minor: missing"},
		{"null", `"class_minor":7`, `"class_minor":null`, "field class_minor: null"},
		{"null list", `"words":["a"]`, `"words":null`, "field words: null"},
		{"too large", `"class_minor":7`, `"class_minor":65536`, "field class_minor: 65536 is not within 0..65535"},
		{"negative", `"class_minor":7`, `"class_minor":-1`, "field class_minor: -1 is not within 0..65535"},
		{"over int64", `:-5`, `:9223372036854775808`, "field circuit_hash: 9223372036854775808 is not within -9223372036854775808..9223372036854775807"},
		{"float for an integer", `:-5`, `:5.0`, "field circuit_hash: want an integer, got a float"},
		{"text for an integer", `:-5`, `:"5"`, "field circuit_hash: want an integer, got text"},
		{"over float32", `"rate":0.5`, `"rate":1e39`, "field rate: 1e+39 is out of the range of a 32-bit float"},
		{"text for a float", `"rate":0.5`, `"rate":"0.5"`, "field rate: want a number, got text"},
		{"number for text", `"n"`, `1`, "field circuit_name: want text, got an integer"},
		{"number for bool", `true`, `1`, "field upload: want a boolean, got an integer"},
		{"element", `["a"]`, `["a",2]`, "field words[1]: want text, got an integer"},
		{"null element", `["a"]`, `[null]`, "field words[0]: want text, got null"},
		{"map for a list", `["a"]`, `{}`, "field words: want an array, got a map"},
		{"element out of range", `"words"`, `"optional":[1,-129],"words"`, "field optional[1]: -129 is not within -128..127"},
		{"twice", `"words"`, `"upload":false,"words"`, "field upload: given twice"},
		{"case matters", `"upload"`, `"Upload"`, "field upload: missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.Replace(circuitJSON, tt.old, tt.new, 1)
			if body == circuitJSON {
				t.Fatalf("%s is not in the body", tt.old)
			}
			var got circuit
			err := decodeJSON(t, body, &got)
			if err == nil || err.Error() != "decoding X: "+tt.want {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDecodeCBORForms(t *testing.T) {
	type numbers struct {
		I int32   `json:"i"`
		F float32 `json:"f"`
	}
	tests := []struct {
		name, i, f string
		want       numbers
	}{
		{"shortest", "05", "f93800", numbers{5, 0.5}},
		{"wide", "1b0000000000000005", "fb3fe0000000000000", numbers{5, 0.5}},
		{"f32", "1a00000005", "fa3f000000", numbers{5, 0.5}},
		{"negative, integer for a float", "3800", "1a00000002", numbers{-1, 2}},
		{"negative integer for a float", "20", "3903e7", numbers{-1, -1000}},
		{"infinite", "00", "f97c00", numbers{0, float32(math.Inf(1))}},
	}
	for _, tt := range tests {
		for _, form := range []string{"a26169%s6166%s", "bf6169%s6166%sff", "bf7f6169ff%s7f6166ff%sff"} {
			body := unhex(strings.Replace(strings.Replace(form, "%s", tt.i, 1), "%s", tt.f, 1))
			if err := checker.Wellformed(body); err != nil {
				t.Fatalf("%s: %x: %v", tt.name, body, err)
			}
			var got numbers
			if err := decodeBody(body, &got); err != nil || got != tt.want {
				t.Errorf("%s: %x: got %+v, %v; want %+v", tt.name, body, got, err, tt.want)
			}
		}
	}
}

func TestDecodeRefusesCBOR(t *testing.T) {
	for _, tt := range []struct{ hex, want string }{
		{"a2616905616905", "field i: given twice"},
		{"a10005", "field name is an integer, not text"},
		{"a1616963fffefd", "field i: want an integer, got text"},
		{"a1616f62c328", "field o: text is not valid utf-8"},
		{"a16169f7", "field i: null"},
		{"a16169f0", "field i: want an integer, got a simple value"},
		{"a161693bffffffffffffffff", "field i: -18446744073709551616 is not within -2147483648..2147483647"},
		{"80", "want a map, got an array"},
		{"f6", "null"},
		{"", "field i: missing"},
	} {
		var v struct {
			I int32   `json:"i"`
			O *string `json:"o"`
		}
		body := unhex(tt.hex)
		if err := decodeBody(body, &v); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %v, want %q", tt.hex, err, tt.want)
		}
	}
}

type inner struct {
	Name string `json:"name"`
}

type everything struct {
	inner
	Self    *everything           `json:"self"`
	List    []inner               `json:"list"`
	Map     map[string]uint8      `json:"map"`
	Maps    map[string]inner      `json:"maps"`
	Bytes   []byte                `json:"bytes"`
	Array   [3]byte               `json:"array"`
	Any     any                   `json:"any"`
	JSON    json.RawMessage       `json:"json"`
	Address netip.Addr            `json:"address"`
	Time    time.Time             `json:"time"`
	Skip    string                `json:"-"`
	Untaged int                   // goes by its Go name
	Zero    int                   `json:"zero,omitzero"`
	Prefix  map[string]netip.Addr `json:"prefix,omitempty"`
}

// What appendValue encodes, decodes; and what JSON makes of it, too.
func TestDecodeWhatIsEncoded(t *testing.T) {
	want := everything{
		inner: inner{"outer"},
		Self: &everything{List: []inner{}, Map: map[string]uint8{}, Maps: map[string]inner{}, Bytes: []byte{}, JSON: json.RawMessage(`[]`),
			Any: "x", Time: time.Unix(0, 0).UTC(), Address: netip.MustParseAddr("::1")},
		List: []inner{{"a"}, {"b"}}, Map: map[string]uint8{"a": 255}, Maps: map[string]inner{"m": {"n"}},
		Bytes: []byte{0, 255}, Array: [3]byte{1, 2, 3}, Any: map[string]any{"i": int64(-1), "l": []any{true, nil, 2.5, uint64(math.MaxUint64), []byte{1}}},
		JSON: json.RawMessage(`{"a":[1,2.5,"x",null]}`), Address: netip.MustParseAddr("192.0.2.1"), Time: time.Unix(1700000000, 123).UTC(),
		Untaged: 7, Zero: 1, Prefix: map[string]netip.Addr{"p": netip.MustParseAddr("2001:db8::1")},
	}
	body, err := newRaw(want)
	if err != nil {
		t.Fatal(err)
	}
	var got everything
	if err := decodeBody(body, &got); err != nil {
		t.Fatal(err)
	}
	compare := cmp.Options{cmp.AllowUnexported(everything{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("cbor: (-want +got)\n%s", diff)
	}
	text, err := body.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want.Any.(map[string]any)["l"].([]any)[4] = "AQ==" // JSON has no bytes
	got = everything{}
	if err := decodeJSON(t, string(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("json: (-want +got)\n%s", diff)
	}
}

func TestDecodeNestedPath(t *testing.T) {
	var v everything
	for body, want := range map[string]string{
		`{"name":"","self":{"name":1}}`:                 "field self.name: want text, got an integer",
		`{"list":[{"name":""},{"name":[]}]}`:            "field list[1].name: want text, got an array",
		`{"maps":{"eth0":{"nam":""}}}`:                  "field maps.eth0.name: missing",
		`{"map":{"a":1,"a":2}}`:                         "field map.a: given twice",
		`{"array":"AQI="}`:                              "field array: want 3 bytes, got 2",
		`{"array":[1,2,3,4]}`:                           "field array: want 3 elements, got more",
		`{"bytes":"?"}`:                                 "field bytes: want base64: illegal base64 data at input byte 0",
		`{"address":"192.0.2.256"}`:                     `field address: ParseAddr("192.0.2.256"): IPv4 field has value >255`,
		`{"address":5}`:                                 "field address: want text, got an integer",
		`{"list":[` + strings.Repeat(`{},`, 5) + `{}]}`: "field list[0].name: missing",
	} {
		if err := decodeJSON(t, body, &v); err == nil || err.Error() != "decoding X: "+want {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

func TestDecodeOtherTargets(t *testing.T) {
	var n uint64
	if err := decodeJSON(t, `5`, &n); err != nil || n != 5 {
		t.Errorf("number: %d, %v", n, err)
	}
	var list []string
	if err := decodeJSON(t, `["a","b"]`, &list); err != nil || len(list) != 2 {
		t.Errorf("list: %q, %v", list, err)
	}
	list = []string{"left over"}
	if err := (Request{Name: "X"}).Decode(&list); err != nil || list != nil {
		t.Errorf("no body: %q, %v", list, err)
	}
	var none struct {
		A *int `json:"a"`
	}
	if err := (Request{Name: "X"}).Decode(&none); err != nil {
		t.Errorf("no body, all optional: %v", err)
	}
	if err := (Request{Name: "X"}).Decode(none); err == nil {
		t.Error("a struct that can't be filled was taken")
	}
	var channel struct {
		C chan int `json:"c"`
	}
	if err := decodeJSON(t, `{"c":1}`, &channel); err == nil || !strings.Contains(err.Error(), "nothing decodes into chan int") {
		t.Errorf("channel: %v", err)
	}
}

// A list of a million elements that are wrong from the first is not made room for.
func TestDecodeMemory(t *testing.T) {
	body := append(appendHead(nil, majorArray, 1<<20), make([]byte, 1<<20)...)
	type large struct {
		A [512]int64 `json:"a"`
	}
	var v []large
	if got := allocated(func() {
		if err := decodeBody(body, &v); err == nil {
			t.Error("integers decoded as structs")
		}
	}); got > 4<<20 {
		t.Errorf("%d bytes allocated for a list whose first element is wrong", got)
	}
}

// A struct that was encoded decodes as it was, from both codecs.
func TestDecodeRapid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := circuit{
			Hash: rapid.Int64().Draw(t, "hash"), Name: rapid.Ptr(rapid.String(), true).Draw(t, "name"),
			Minor: rapid.Uint16().Draw(t, "minor"), Rate: rapid.Float32().Draw(t, "rate"), Ceil: rapid.Float64().Draw(t, "ceil"),
			Upload: rapid.Bool().Draw(t, "upload"), Words: rapid.SliceOf(rapid.String()).Draw(t, "words"),
			Comment: rapid.String().Draw(t, "comment"), Optional: rapid.SliceOfN(rapid.Int8(), 1, 5).Draw(t, "optional"),
		}
		for _, codec := range []Codec{CBOR, JSON} {
			doc, err := appendSession(nil, codec, "", []Call{{Name: "X", Args: want}})
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := (&sessionParser{maxRequests: 1}).parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			var got circuit
			if err := s.Requests[0].Decode(&got); err != nil {
				t.Fatalf("%s: %s: %v", codec, hex.EncodeToString(doc), err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", codec, diff)
			}
		}
	})
}
