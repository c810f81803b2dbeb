package bus

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFromJSON(t *testing.T) {
	tests := []struct{ json, cbor string }{
		{`0`, "00"}, {`-0`, "00"}, {`23`, "17"}, {`24`, "1818"}, {`-1`, "20"}, {`9223372036854775807`, "1b7fffffffffffffff"},
		{`18446744073709551615`, "1bffffffffffffffff"}, {`-9223372036854775808`, "3b7fffffffffffffff"},
		{`18446744073709551616`, "fa5f800000"}, {`1.0`, "f93c00"}, {`-0.0`, "f98000"}, {`1e2`, "f95640"}, {`0.1`, "fb3fb999999999999a"},
		{`1E+2`, "f95640"}, {`100000.0`, "fa47c35000"},
		{`""`, "60"}, {`"a"`, "6161"}, {`"é€😀"`, "69c3a9e282acf09f9880"}, {`"\u00e9\u20ac\ud83d\ude00"`, "69c3a9e282acf09f9880"},
		{`"\ud83d"`, "63efbfbd"}, {`"\ud83d\u0041"`, "64efbfbd41"}, {`"\"\\\/\b\f\n\r\t"`, "68225c2f080c0a0d09"}, {`"a\u0000b"`, "63610062"},
		{`true`, "f5"}, {`false`, "f4"}, {`null`, "f6"},
		{` [ ] `, "80"}, {`[1,[2],{}]`, "83018102a0"}, {`{"a":1,"b":[2]}`, "a2616101616281" + "02"}, {`{"a":1,"a":2}`, "a2616101616102"},
		{"[" + strings.Repeat("1,", 23) + "1]", "9818" + strings.Repeat("01", 24)},
		{"[" + strings.Repeat("1,", 299) + "1]", "99012c" + strings.Repeat("01", 300)},
	}
	for _, tt := range tests {
		got, err := appendFromJSON(nil, []byte(tt.json))
		if err != nil || hex.EncodeToString(got) != tt.cbor {
			t.Errorf("%.40s: got %x, %v; want %s", tt.json, got, err, tt.cbor)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``: "ends where a value", `[1,]`: "a value", `[1 2]`: "comma", `{"a" 1}`: "colon", `{1:2}`: "name in quotes", `{"a":1,}`: "name in quotes",
		`01`: "more after", `1.`: "a number", `.5`: "a value", `+1`: "a value", `1e`: "a number", `-`: "a number", `1e999`: "out of range",
		`"a`: "closing quote", "\"a\nb\"": "control character", `"\x"`: "an escape", `"\u12g4"`: "four hex", `"\`: "an escape", `"\u12`: "four hex",
		"\"\xff\"": "utf-8", `nul`: "a value", `nulll`: "more after", `true false`: "more after", `[`: "ends", `{`: "ends", `{"a":`: "ends",
		strings.Repeat("[", 33) + strings.Repeat("]", 33): "deeper than 32",
		strings.Repeat(`{"a":`, 1<<20):                    "deeper than 32",
		"[" + strings.Repeat("1,", maxElements) + "1]":    "more than 1048576 elements",
	} {
		_, err := appendFromJSON(nil, []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
	}
}

// The worst that text can do is numbers like 0.1, which become nine bytes.
func TestFromJSONMemory(t *testing.T) {
	text := []byte("[" + strings.Repeat("0.1,", 1<<18) + "0.1]")
	got, err := appendFromJSON(nil, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > len(text)*5/2 {
		t.Errorf("%d bytes became %d", len(text), len(got))
	}
}

// What we write as JSON reads back as the same bytes.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, err := appendValue(nil, anyValue(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := appendJSON(nil, &reader{b: want})
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(text) {
			t.Fatalf("not json: %s", text)
		}
		got, err := appendFromJSON(nil, text)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("% x became %s became % x, %v", want, text, got, err)
		}
	})
}

// anyValue draws values that both codecs can hold.
func anyValue(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.Float32().AsAny(), rapid.IntRange(-30, 300).AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(anyValue(depth-1), 0, 30).AsAny(),
		rapid.MapOfN(rapid.StringN(0, 4, 10), anyValue(depth-1), 0, 1).AsAny())...)
}

// FuzzJSON compares what is accepted with encoding/json.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e3,"\u00e9\n",true,null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := appendFromJSON(nil, text)
		stricter := !utf8.Valid(text) ||
			err != nil && (strings.Contains(err.Error(), "out of range") || strings.Contains(err.Error(), "deeper"))
		if (err == nil) != json.Valid(text) && !stricter {
			t.Fatalf("%q: got %v, encoding/json says %t", text, err, json.Valid(text))
		}
		if err != nil {
			return
		}
		if err := checker.Wellformed(data); err != nil {
			t.Fatalf("%q became % x: %v", text, data, err)
		}
		again, err := appendJSON(nil, &reader{b: data})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := appendFromJSON(nil, again); err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
	})
}
