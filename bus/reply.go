package bus

import (
	"errors"
	"fmt"
)

// Reply is the answer to one request: "Name" when Value is nil, else {"Name": Value}. The server encodes Value by its
// json tags, in the codec of the question: []byte as a byte string in CBOR and base64 in JSON, nil slices as empty ones.
// A Reply that a client received keeps the value as it came (text as a string), for Decode.
type Reply struct {
	Name  string
	Value any
}

// The names of the two replies that every request may get.
const (
	nameAck  = "Ack"
	nameFail = "Fail"
)

// Ack says that what was asked is done. What done means is the handler's affair; see docs/bus.md.
func Ack() Reply { return Reply{Name: nameAck} }

// Fail says that what was asked was not done, and why.
func Fail(why string) Reply { return Reply{Name: nameFail, Value: why} }

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

// Decode fills what v points to from the value, by the rules of [Request.Decode]. A Fail is returned as its Err.
func (r Reply) Decode(v any) error {
	if err := r.Err(); err != nil {
		return err
	}
	body, err := r.body()
	if err == nil {
		err = decodeBody(body, v)
	}
	if err != nil {
		return fmt.Errorf("decoding reply %s: %w", r.Name, err)
	}
	return nil
}

// JSON is the reply as the server would write it to a client that speaks JSON.
func (r Reply) JSON() ([]byte, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	return variantJSON(r.Name, body)
}

func (r Reply) body() (raw, error) {
	if body, ok := r.Value.(raw); ok {
		return body, nil
	}
	return newRaw(r.Value)
}
