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

// variant takes a value apart into its name and its body; null is no body.
func (b body) variant() (name string, value body, err error) {
	switch {
	case b.isText():
		name, err = b.onlyName()
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

func (b body) onlyName() (name string, err error) {
	if b.codec == CBOR {
		if name, rest, known := cutKnownName(b.data); known && len(rest) == 0 {
			return name, nil
		}
	}
	if b.codec.unmarshal(b.data, &name) != nil {
		return "", errNameNotUTF8
	}
	learnName(name)
	return name, nil
}

// cborMapOfOne is the first byte of a map of one entry in its shortest form: its name follows, and then the value.
const cborMapOfOne = cborMap | 1

// onlyEntryCBOR reads a map of one entry. The value is a part of the document.
func (b body) onlyEntryCBOR() (name string, value body, err error) {
	if len(b.data) > 1 && b.data[0] == cborMapOfOne && b.data[1]&cborMajor == cborText {
		name, rest, known := cutKnownName(b.data[1:])
		if !known {
			if rest, err = cborDecoder.UnmarshalFirst(b.data[1:], &name); err != nil {
				return "", body{}, errNoVariant
			}
			learnName(name)
		}
		return name, body{b.codec, rest}.present(), nil
	}
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

// variantOf is what a variant is encoded from: text alone if v is nil.
func variantOf(name string, v any) any {
	if v == nil {
		return name
	}
	return map[string]any{name: v}
}

func marshalVariant(codec Codec, name string, v any) ([]byte, error) {
	return codec.marshal(variantOf(name, v))
}
