package bus

import (
	"fmt"
)

// Request is one request of a session: a name and, unless it is a bare word, a body.
type Request struct {
	Name string // empty if the request is malformed; see Err

	// body is the value of the one entry; for a malformed request it is what stood in its place.
	body body
}

// NewRequest makes the request that the server would hand to [Conn.Submit] for a call.
func NewRequest(name string, args any) (Request, error) {
	if err := checkName(name); err != nil {
		return Request{}, fmt.Errorf("making request %q: %w", name, err)
	}
	b, err := newBody(args)
	if err != nil {
		return Request{}, fmt.Errorf("making request %s: %w", name, err)
	}
	return Request{Name: name, body: b}, nil
}

// UnmarshalCBOR reads a request as it stands in a session. A malformed one is no error here, so that its neighbours can be
// served; see Err.
func (r *Request) UnmarshalCBOR(data []byte) error { return r.read(body{CBOR, data}) }

// UnmarshalJSON is UnmarshalCBOR for JSON.
func (r *Request) UnmarshalJSON(text []byte) error { return r.read(body{JSON, text}) }

func (r *Request) read(b body) error {
	name, value, err := b.variant()
	if err != nil {
		value = b.clone()
	}
	r.Name, r.body = name, value
	return nil
}

// HasBody tells {"Name":{…}} from "Name" and {"Name":null}.
func (r Request) HasBody() bool { return r.Name != "" && !r.body.none() }

// Err says why a malformed request is none; nil for every other. The handler answers Fail in its place.
func (r Request) Err() error {
	if r.Name != "" {
		return nil
	}
	_, _, err := r.body.variant()
	return fmt.Errorf("malformed request: %w", err)
}

// Decode fills v, a pointer to a struct with json tags, from the body.
//
//   - A field that is a pointer or tagged omitempty or omitzero is optional: missing or null makes it nil or zero.
//   - Any other field of the struct, or of one embedded in it, that is missing or null is an error. Fields the struct does
//     not have are ignored, but for those that differ from one of its own in upper and lower case alone: they are errors, and
//     so is a field that comes twice. CBOR says so of the struct's own fields, JSON of those of structs inside, too.
//   - Integers may come in any width and must fit the Go type. They never come as floats.
//   - Floats may come in any width, or as integers; a float32 is rounded to nearest. NaN and the infinities pass.
//   - A []byte comes as a byte string in CBOR, and as text in base64 in JSON.
//   - Types with UnmarshalText get text; types with UnmarshalJSON get JSON.
//
// All else is as in encoding/json and github.com/fxamacker/cbor. A body that is missing decodes as a map without entries.
// Other targets work as well: slices, map[string]T, json.RawMessage, any. Errors name the request and the field:
// "decoding BakeryAddSite: field class_minor: 70000 is not within 0..65535".
func (r Request) Decode(v any) error {
	if err := r.Err(); err != nil {
		return err
	}
	if err := r.body.decode(v); err != nil {
		return fmt.Errorf("decoding %s: %w", r.Name, err)
	}
	return nil
}
