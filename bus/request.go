package bus

import (
	"errors"
	"fmt"
)

// Request is one request of a session: a name and, unless it is a bare word, a body. Its body aliases the frame it came
// in; decoding copies, so nothing that Decode fills does.
type Request struct {
	Name string // empty if the request is malformed; see Err

	// body is the single value of the enum; for a malformed request it is what stood in its place.
	body raw
}

// NewRequest makes the request that the server would hand to [Conn.Submit] for a call.
func NewRequest(name string, args any) (Request, error) {
	if why := checkName([]byte(name)); why != "" {
		return Request{}, fmt.Errorf("making request %q: %s", name, why)
	}
	body, err := newRaw(args)
	if err != nil {
		return Request{}, fmt.Errorf("making request %s: %w", name, err)
	}
	return Request{Name: name, body: body}, nil
}

// HasBody tells {"Name":{…}} from "Name" and {"Name":null}.
func (r Request) HasBody() bool { return r.Name != "" && len(r.body) > 0 }

// Err says why a malformed request is none; nil for every other. The handler answers Fail in its place.
func (r Request) Err() error {
	if r.Name != "" {
		return nil
	}
	if len(r.body) == 0 {
		return errors.New("malformed request: empty")
	}
	_, _, why := readVariant(&reader{b: r.body})
	return errors.New("malformed request: " + why)
}

// Decode fills v, a pointer to a struct with json tags, from the body.
//
//   - A field that is a pointer or tagged omitempty is optional: missing or null makes it nil or zero.
//   - Any other field that is missing or null is an error. Fields the struct does not have are ignored; a field that comes
//     twice is an error. Names match exactly.
//   - Integers may come in any width and must fit the Go type. They never come as floats.
//   - Floats may come in any width, or as integers; a float32 is rounded to nearest. NaN and the infinities pass.
//   - A []byte comes as a byte string or as text in base64.
//   - Types with UnmarshalText get text; types with UnmarshalJSON get JSON.
//
// A body that is missing decodes as a map without entries. Other targets work as well: slices, map[string]T,
// json.RawMessage, any (integers become int64). Errors name the request and the field:
// "decoding BakeryAddSite: field class_minor: 70000 is not within 0..65535".
func (r Request) Decode(v any) error {
	if err := r.Err(); err != nil {
		return err
	}
	if err := decodeBody(r.body, v); err != nil {
		return fmt.Errorf("decoding %s: %w", r.Name, err)
	}
	return nil
}

// JSON is the request as a client would write it in JSON. For logs and tests.
func (r Request) JSON() ([]byte, error) {
	if r.Name == "" && len(r.body) > 0 {
		return appendJSON(nil, &reader{b: r.body})
	}
	return variantJSON(r.Name, r.body)
}
