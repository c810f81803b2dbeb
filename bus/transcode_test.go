package bus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func toCBOR(text string) ([]byte, error) {
	var b bytes.Buffer
	err := fromJSON{}.Transcode(&b, strings.NewReader(text))
	return b.Bytes(), err
}

func TestFromJSON(t *testing.T) {
	tests := []struct{ json, cbor string }{
		{`0`, "00"}, {`-0`, "00"}, {`23`, "17"}, {`24`, "1818"}, {`-1`, "20"}, {`9223372036854775807`, "1b7fffffffffffffff"},
		{`18446744073709551615`, "1bffffffffffffffff"}, {`-9223372036854775808`, "3b7fffffffffffffff"},
		{`18446744073709551616`, "fa5f800000"}, {`1.0`, "f93c00"}, {`-0.0`, "f98000"}, {`1e2`, "f95640"}, {`0.1`, "fb3fb999999999999a"},
		{`1E+2`, "f95640"}, {`100000.0`, "fa47c35000"}, {`"é"`, "62c3a9"}, {`true`, "f5"}, {`null`, "f6"},
		{` [ ] `, "80"}, {`[1,[2],{}]`, "83018102a0"}, {`{"a":[1,{"b":-5}]}`, "a161618201a1616224"},
	}
	for _, tt := range tests {
		got, err := toCBOR(tt.json)
		if err != nil || hex.EncodeToString(got) != tt.cbor {
			t.Errorf("%.40s: got %x, %v; want %s", tt.json, got, err, tt.cbor)
		}
	}
	for text, want := range map[string]string{
		`{"a":[1e999]}`: "out of range", `[1,]`: "beginning of value", ``: "EOF", "\"\xff\"": "utf-8",
		strings.Repeat("[", 33) + strings.Repeat("]", 33): "deeper than 32",
	} {
		if _, err := toCBOR(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestToJSON(t *testing.T) {
	for data, want := range map[string]string{
		"1bffffffffffffffff": `18446744073709551615`, "3b7fffffffffffffff": `-9223372036854775808`, "3bffffffffffffffff": `-18446744073709551616`,
		"430001ff": `"AAH/"`, "f93c00": `1`, "f7": `null`, "613c": `"<"`, "9f01ff": `[1]`, "a2616201616102": `{"a":2,"b":1}`,
	} {
		if got, err := (body{CBOR, unhex(data)}).MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v; want %s", data, got, err, want)
		}
	}
	for data, want := range map[string]string{"f97e00": "NaN", "f97c00": "Inf", "a10102": "map key"} {
		if got, err := (body{CBOR, unhex(data)}).MarshalJSON(); err == nil {
			t.Errorf("%s (%s): got %s", data, want, got)
		}
	}
}

// What goes from JSON to CBOR and back is what it was.
func TestTranscodeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := marshalJSON(anyValue(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, string(text))
	})
}

func checkRoundTrip(t interface{ Fatalf(string, ...any) }, text string) {
	data, err := toCBOR(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	back, err := body{CBOR, data}.MarshalJSON()
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var want, got any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(back, &got); err != nil {
		t.Fatalf("%s: %v", back, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s became %s: (-want +got)\n%s", text, back, diff)
	}
}

// anyValue draws values that both codecs can hold.
func anyValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.String().AsAny(),
		rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).AsAny(), rapid.IntRange(-30, 300).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(anyValue(depth-1), 0, 30).AsAny(),
		rapid.MapOfN(rapid.StringN(0, 4, 10), anyValue(depth-1), 0, 3).AsAny())...)
}
