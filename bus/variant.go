package bus

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// A variant is how requests and replies look on the wire: text alone, or a map of one entry from the name to the value.

// maxName is the longest name, in bytes.
const maxName = 255

var (
	errNoVariant   = errors.New("want text or a map of one entry")
	errNameNotUTF8 = errors.New("its name is not valid utf-8")
)

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("its name is empty")
	case len(name) > maxName:
		return fmt.Errorf("its name is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errNameNotUTF8
	}
	return nil
}

// variant takes a value apart into its name and its body; null is no body. The body is a copy.
func (b body) variant() (name string, value body, err error) {
	switch {
	case b.isText():
		if b.codec.unmarshal(b.data, &name) != nil {
			err = errNameNotUTF8
		}
	case !b.isMap():
		err = errNoVariant
	case b.codec == JSON:
		name, value, err = b.onlyEntryJSON()
	default:
		name, value, err = b.onlyEntryCBOR()
	}
	if err == nil {
		err = checkName(name)
	}
	if err != nil {
		return "", body{}, err
	}
	return name, value, nil
}

// onlyEntryCBOR reads a map of one entry. The library's RawMessage is a copy already.
func (b body) onlyEntryCBOR() (string, body, error) {
	var entries map[string]cbor.RawMessage
	if err := b.codec.unmarshal(b.data, &entries); err != nil || len(entries) != 1 {
		return "", body{}, errNoVariant
	}
	for name, data := range entries {
		return name, body{b.codec, data}.present(), nil
	}
	panic("unreachable")
}

// onlyEntryJSON reads a map of one entry, of which it is known that it is JSON.
func (b body) onlyEntryJSON() (string, body, error) {
	t := jsonText{b.data}
	if !t.enter('{') {
		return "", body{}, errNoVariant
	}
	name, value := string(t.name()), body{JSON, t.skip()}.present()
	if t.more() {
		return "", body{}, errNoVariant
	}
	return name, value.clone(), nil
}

// marshalVariant encodes a variant: text alone if v is nil.
func marshalVariant(codec Codec, name string, v any) ([]byte, error) {
	if v == nil {
		return codec.marshal(name)
	}
	return codec.marshal(map[string]any{name: v})
}
