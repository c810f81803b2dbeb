package bakery_test

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bus"
)

// body is the map in the body of a request.
type body struct {
	target  reflect.Type
	entries []string // in hex
}

// decode decodes the map, whose length begins it, or is known from its end.
func (b body) decode(length bool) (any, error) {
	text := "bf" + strings.Join(b.entries, "") + "ff"
	if length {
		text = fmt.Sprintf("%x%s", 0xa0+len(b.entries), strings.Join(b.entries, ""))
	}
	doc, err := hex.DecodeString("a16158" + text)
	if err != nil {
		return nil, err
	}
	var r bus.Request
	v := reflect.New(b.target).Interface()
	if err := r.UnmarshalCBOR(doc); err != nil {
		return nil, err
	}
	return v, r.Decode(v)
}

// bodies are the types of all bodies, with all fields that they may have, each with the values that fit it.
func bodies() map[reflect.Type][][]string {
	types := []reflect.Type{reflect.TypeFor[bakery.AddSite](), reflect.TypeFor[bakery.AddCircuit]()}
	for _, name := range bakery.Requests() {
		_, _ = bakery.DecodeCommand(name, true, func(v any) error {
			types = append(types, reflect.TypeOf(v).Elem())
			return nil
		})
	}
	values := []string{"00", "18f6", "19f7f6", "faf6000000", "f4", "60", "6161", "80", "81f6", "816161", "82f7f6", "f6", "f7"}
	all := map[reflect.Type][][]string{}
	for _, t := range types {
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			var fit []string
			for _, value := range values {
				b := body{t, []string{fmt.Sprintf("78%02x%x%s", len(name), name, value)}}
				if _, err := b.decode(false); err == nil || strings.Contains(err.Error(), ": missing") || strings.Contains(err.Error(), ": null") {
					fit = append(fit, b.entries[0])
				}
			}
			if len(fit) > 0 && name != "" {
				all[t] = append(all[t], fit)
			}
		}
	}
	return all
}

// Of a map that says its length, what is missing is found by counting. It must be as with one that doesn't.
func TestRequiredOfRequests(t *testing.T) {
	all := bodies()
	for target, fields := range all {
		t.Run(target.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := body{target: target}
				for _, fit := range rapid.Permutation(fields).Draw(t, "order") {
					if rapid.IntRange(0, 9).Draw(t, "comes") > 0 {
						b.entries = append(b.entries, rapid.SampledFrom(fit).Draw(t, "entry"))
					}
				}
				got, err := b.decode(true)
				want, wantErr := b.decode(false)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, %v; without the length %+v, %v", b.entries, got, err, want, wantErr)
				}
			})
		})
	}
}
