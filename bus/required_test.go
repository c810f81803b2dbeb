package bus

import (
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// withoutLength is the same map without a length of its own: what is missing in it is found by looking at the names.
func withoutLength(b body) (same body, ok bool) {
	if b.codec != CBOR || b.none() || b.data[0]&cborMajor != cborMap || b.data[0]&^cborMajor >= cborOneByte {
		return b, false
	}
	return body{CBOR, append(append([]byte{0xbf}, b.data[1:]...), 0xff)}, true
}

// checkCounted decodes a body into a new value of a type. It must be taken or refused as if one had looked at the names.
func checkCounted(t rapid.TB, b body, target reflect.Type) {
	same, ok := withoutLength(b)
	if !ok {
		return
	}
	got, want := b.decode(reflect.New(target).Interface()), same.decode(reflect.New(target).Interface())
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v from %x: %v; by the names: %v", target, b.data, got, want)
	}
}

type (
	// Nothing has no fields.
	Nothing struct{}
	// Plain has one that must come.
	Plain struct {
		A int `json:"a"`
	}
	// Pointing has one that may.
	Pointing struct {
		X *int `json:"x"`
	}
	// Itself reads itself, and takes everything.
	Itself Plain
)

// UnmarshalCBOR takes everything.
func (*Itself) UnmarshalCBOR([]byte) error { return nil }

// A struct may have other fields than those that are written in it: some are hidden by others, and a pointer that is embedded is
// none. What is missing is found in all of them.
func TestDecodeRequiredOfOddStructs(t *testing.T) {
	odd := []any{
		struct {
			A int `json:"a"`
			*Nothing
		}{},
		struct {
			A int `json:"a"`
			*Plain
		}{},
		struct {
			A int `json:"a"`
			*Pointing
		}{},
		struct {
			Pointing
			A int  `json:"a"`
			X *int `json:"x"`
		}{},
		struct {
			A int  `json:"a"`
			X *int `json:"x" cbor:"-"`
		}{},
		struct {
			A int  `json:"a"`
			X *int `json:"x" cbor:"-,omitempty"`
		}{},
		struct {
			A int    `json:"a"`
			X ***int `json:"x"`
			Y *any   `json:"-"`
			Z *any
		}{},
		Itself{},
	}
	var types []reflect.Type
	for _, v := range odd {
		types = append(types, reflect.TypeOf(v))
	}
	types = append(types, reflect.StructOf([]reflect.StructField{ // a linter takes it for a slip
		{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"a"`},
		{Name: "Dash", Type: reflect.TypeFor[int](), Tag: `json:"-,"`},
	}))
	entries := []string{"616100", "6161f6", "617800", "6178f6", "612d00", "612df6", "615a81f6", "615af7", "617918f6"}
	for _, target := range types {
		for subset := range 1 << len(entries) {
			doc := []byte{cborMap}
			for i, entry := range entries {
				if subset>>i&1 == 1 {
					doc = append(doc, unhex(entry)...)
					doc[0]++
				}
			}
			checkCounted(t, body{CBOR, doc}, target)
		}
	}
}
