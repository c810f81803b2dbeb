package bus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"net/netip"
	"slices"
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

// decodeJSON decodes a body that came in JSON.
func decodeJSON(t testing.TB, text string, v any) error {
	t.Helper()
	return Request{Name: "X", body: body{JSON, []byte(text)}}.Decode(v)
}

// decodeCBOR decodes a body that is given as JSON and came in CBOR.
func decodeCBOR(t testing.TB, text string, v any) error {
	t.Helper()
	r, err := NewRequest("X", json.RawMessage(text))
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
		for _, decode := range []func(testing.TB, string, any) error{decodeJSON, decodeCBOR} {
			got := circuit{Comment: "left over", Optional: []int8{1}}
			if err := decode(t, body, &got); err != nil {
				t.Errorf("%s: %v", body, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", body, diff)
			}
		}
	}
}

func TestDecodeNamesTheField(t *testing.T) {
	tests := []struct{ name, old, new, json, cbor string }{
		{"missing", `"class_minor":7,`, ``, "class_minor: missing", ""},
		{"null", `"class_minor":7`, `"class_minor":null`, "class_minor: null", ""},
		{"null list", `"words":["a"]`, `"words":null`, "words: null", ""},
		{"too large", `"class_minor":7`, `"class_minor":65536`, "class_minor: 65536 is not within 0..65535", ""},
		{"negative", `"class_minor":7`, `"class_minor":-1`, "class_minor: -1 is not within 0..65535", "class_minor: want an integer of 0 or more, got a negative integer"},
		{"over int64", `:-5`, `:9223372036854775808`, "circuit_hash: 9223372036854775808 is not within -9223372036854775808..9223372036854775807", ""},
		{"float for an integer", `:-5`, `:5.5`, "circuit_hash: want an integer, got number 5.5", "circuit_hash: want an integer, got a float or a simple value"},
		{"text for an integer", `:-5`, `:"5"`, "circuit_hash: want an integer, got text", ""},
		{"over float32", `"rate":0.5`, `"rate":1e39`, "rate: 1e39 is not within the range of float32", "rate: 1E+39 is not within the range of float32"},
		{"text for a float", `"rate":0.5`, `"rate":"0.5"`, "rate: want a number, got text", ""},
		{"number for text", `"n"`, `1`, "circuit_name: want text, got a number", "circuit_name: want text, got an integer"},
		{"number for bool", `true`, `1`, "upload: want a boolean, got a number", "upload: want a boolean, got an integer"},
		{"element", `["a"]`, `["a",2]`, "words: want text, got a number", "words: want text, got an integer"},
		{"map for a list", `["a"]`, `{}`, "words: want a list, got a map", ""},
		{"element out of range", `"words"`, `"optional":[1,-129],"words"`, "optional: -129 is not within -128..127", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.Replace(circuitJSON, tt.old, tt.new, 1)
			if body == circuitJSON {
				t.Fatalf("%s is not in the body", tt.old)
			}
			var got circuit
			if err := decodeJSON(t, body, &got); err == nil || err.Error() != "decoding X: field "+tt.json {
				t.Errorf("json: got %v, want %q", err, tt.json)
			}
			want := tt.cbor
			if want == "" {
				want = tt.json
			}
			if err := decodeCBOR(t, body, &got); err == nil || err.Error() != "decoding X: field "+want {
				t.Errorf("cbor: got %v, want %q", err, want)
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
			data := unhex(strings.Replace(strings.Replace(form, "%s", tt.i, 1), "%s", tt.f, 1))
			var got numbers
			if err := (body{CBOR, data}).decode(&got); err != nil || got != tt.want {
				t.Errorf("%s: %x: got %+v, %v; want %+v", tt.name, data, got, err, tt.want)
			}
		}
	}
}

func TestDecodeRefusesCBOR(t *testing.T) {
	for _, tt := range []struct{ hex, want string }{
		{"a2616905616905", "duplicate map key"},
		{"a1616963fffefd", "invalid UTF-8"},
		{"a1616f62c328", "invalid UTF-8"},
		{"a16169f7", "field i: null"},
		{"a16169f0", "simple value 16"}, {"a16169f5", "field i: want an integer, got a float or a simple value"},
		{"a161693bffffffffffffffff", "field i: -18446744073709551616 is not within -2147483648..2147483647"},
		{"80", "want a map, got a list"},
		{"", "field i: missing"},
	} {
		var v struct {
			I int32   `json:"i"`
			O *string `json:"o"`
		}
		if err := (body{CBOR, unhex(tt.hex)}).decode(&v); err == nil || !strings.Contains(err.Error(), tt.want) {
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

// What is encoded decodes, in both codecs.
func TestDecodeWhatIsEncoded(t *testing.T) {
	want := everything{
		inner: inner{"outer"},
		Self: &everything{List: []inner{}, Map: map[string]uint8{}, Maps: map[string]inner{}, Bytes: []byte{}, JSON: json.RawMessage(`[]`),
			Any: "x", Time: time.Unix(0, 0).UTC(), Address: netip.MustParseAddr("::1")},
		List: []inner{{"a"}, {"b"}}, Map: map[string]uint8{"a": 255}, Maps: map[string]inner{"m": {"n"}},
		Bytes: []byte{0, 255}, Array: [3]byte{1, 2, 3}, Any: map[string]any{"i": int64(-1), "l": []any{true, nil, 2.5, uint64(math.MaxUint64)}},
		JSON: json.RawMessage(`{"a":[1,2.5,"x",null]}`), Address: netip.MustParseAddr("192.0.2.1"), Time: time.Unix(1700000000, 123).UTC(),
		Untaged: 7, Zero: 1, Prefix: map[string]netip.Addr{"p": netip.MustParseAddr("2001:db8::1")},
	}
	compare := cmp.Options{cmp.AllowUnexported(everything{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}
	for _, codec := range []Codec{CBOR, JSON} {
		data, err := codec.marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got everything
		if err := (body{codec, data}).decode(&got); err != nil {
			t.Fatal(err)
		}
		want.Any, got.Any = floats(want.Any), floats(got.Any)
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", codec, diff)
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
	if err := decodeJSON(t, `{"c":1}`, &channel); err == nil || !strings.Contains(err.Error(), "field c: want chan int") {
		t.Errorf("channel: %v", err)
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
			doc, err := marshalSession(new(bytes.Buffer), codec, "", []Call{{Name: "X", Args: want}})
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := parse(doc)
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

// What must come is known also from structs that are embedded, and only from the first level.
func TestDecodeRequired(t *testing.T) {
	type outer struct {
		inner
		Zero  int     `json:"zero"`
		List  []inner `json:"list"`
		Plain bool
	}
	for text, want := range map[string]string{
		`{"name":"","zero":0,"list":[{}],"Plain":false}`: "",
		`{"zero":0,"list":[],"Plain":false}`:             "field name: missing",
		`{"name":"n","list":[],"Plain":false}`:           "field zero: missing",
		`{"name":"n","zero":0,"list":null,"Plain":true}`: "field list: null",
		`{"name":"n","zero":0,"list":[]}`:                "field Plain: missing",
	} {
		for _, decode := range []func(testing.TB, string, any) error{decodeJSON, decodeCBOR} {
			err := decode(t, text, new(outer))
			if want == "" && err != nil || want != "" && (err == nil || err.Error() != "decoding X: "+want) {
				t.Errorf("%s: got %v, want %q", text, err, want)
			}
		}
	}
}

// What is missing or null is found by counting where that can be told; it is the same as by looking at each name.
func TestDecodeRequiredRapid(t *testing.T) {
	type inner struct {
		Number int `json:"number"`
	}
	type target struct {
		inner
		Flag    bool   `json:"flag"`
		Text    string `json:"text"`
		List    []any  `json:"list"`
		Value   any    `json:"value"`
		Pointer *int   `json:"pointer"`
		Another *inner `json:"another"`
		Option  int    `json:"option,omitempty"`
	}
	values := map[string][]string{ // those that may come, as CBOR; some hold the bytes of null and undefined
		"number": {"00", "18f6", "19f7f6", "17"}, "flag": {"f4", "f5"}, "text": {"60", "6161"}, "list": {"80", "81f6", "82f7f6"},
		"value": {"00", "f4", "a0", "81f6"}, "pointer": {"00", "18f7"}, "another": {"a1666e756d62657200", "a1666e756d62657218f6"},
		"option": {"00", "18f6"}, "unknown": {"f6", "00"},
	}
	required := []string{"number", "flag", "text", "list", "value"} // in the order of the struct
	rapid.Check(t, func(t *rapid.T) {
		came := map[string]string{}
		var entries []byte
		names := rapid.Permutation(slices.Sorted(maps.Keys(values))).Draw(t, "order")
		for _, name := range names {
			value := rapid.SampledFrom(append([]string{"", "f6", "f7"}, slices.Repeat(values[name], 4)...)).Draw(t, name)
			if came[name] = value; value != "" {
				entries = append(entries, 3<<5|byte(len(name)))
				entries = append(append(entries, name...), unhex(value)...)
			}
		}
		n := 0
		for _, v := range came {
			if v != "" {
				n++
			}
		}
		doc := append([]byte{5<<5 | byte(n)}, entries...)
		if rapid.Bool().Draw(t, "without a length") {
			doc = append(append([]byte{0xbf}, entries...), 0xff)
		}
		want := ""
		for _, name := range required {
			switch came[name] {
			case "":
				want = "field " + name + ": missing"
			case "f6", "f7":
				want = "field " + name + ": null"
			default:
				continue
			}
			break
		}
		got := ""
		if err := (body{CBOR, doc}).decode(new(target)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Fatalf("%x: got %q, want %q", doc, got, want)
		}
	})
}
