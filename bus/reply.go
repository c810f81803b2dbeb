package bus

import (
	"errors"
	"fmt"
	"strings"
)

// Reply is the answer to one request: "Name" when Value is nil, else {"Name": Value}. The server encodes Value by its
// json tags, in the codec of the question: []byte as a byte string in CBOR and base64 in JSON, nil slices as empty ones.
// A Reply that a client received keeps the value as it came (text as a string), for Decode.
type Reply struct {
	Name  string
	Value any
}

// Later is a Value that is not there yet: the server calls it when it writes the answer down, and takes its Reply in place of
// the one that it stands in. Of a session's large answers only one is there at a time, and none for which there is no room.
type Later func() Reply

// The names of the two replies that every request may get.
const (
	nameAck  = "Ack"
	nameFail = "Fail"
)

// Ack says that what was asked is done. What done means is the handler's affair; see docs/bus.md.
func Ack() Reply { return Reply{Name: nameAck} }

// Fail says that what was asked was not done, and why.
//
// What is not UTF-8 in it becomes U+FFFD.
func Fail(why string) Reply {
	return Reply{Name: nameFail, Value: strings.ToValidUTF8(why, "\uFFFD")}
}

// Failf is Fail with a format.
func Failf(format string, args ...any) Reply { return Fail(fmt.Sprintf(format, args...)) }

// IsAck reports the reply Ack.
func (r Reply) IsAck() bool { return r.Name == nameAck }

// Err is the reason of a Fail as an error, nil for every other reply.
func (r Reply) Err() error {
	if r.Name != nameFail {
		return nil
	}
	if why, ok := r.Value.(string); ok {
		return errors.New(why)
	}
	text, err := r.JSON()
	return errors.Join(errors.New(string(text)), err)
}

// UnmarshalCBOR reads a reply as it stands in an answer. Text is kept as a string, so that a Fail that arrives equals the
// one that was sent.
func (r *Reply) UnmarshalCBOR(data []byte) error { return r.read(body{CBOR, data}) }

// UnmarshalJSON is UnmarshalCBOR for JSON.
func (r *Reply) UnmarshalJSON(text []byte) error { return r.read(body{JSON, text}) }

func (r *Reply) read(b body) error {
	name, value, err := b.variant()
	if err != nil {
		return fmt.Errorf("malformed reply: %w", err)
	}
	*r = Reply{Name: name}
	switch {
	case value.isText():
		var text string
		err = value.codec.unmarshal(value.data, &text)
		r.Value = text
	case !value.none():
		r.Value = value
	}
	return err
}

// Decode fills what v points to from the value, by the rules of [Request.Decode]. A Fail is returned as its Err.
func (r Reply) Decode(v any) error {
	if err := r.Err(); err != nil {
		return err
	}
	value, ok := r.Value.(body)
	var err error
	if !ok {
		value, err = newBody(r.Value)
	}
	if err == nil {
		err = value.decode(v)
	}
	if err != nil {
		return fmt.Errorf("decoding reply %s: %w", r.Name, err)
	}
	return nil
}

// JSON is the reply as the server would write it to a client that speaks JSON. The entries of maps that came in CBOR are in
// the order of their names.
func (r Reply) JSON() ([]byte, error) { return marshalVariant(JSON, r.Name, r.Value) }
