package bus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
)

// body is one value as it arrived, in the codec it arrived in. It has passed the checks of the document around it. The zero
// value is no body.
type body struct {
	codec Codec
	data  []byte
}

// Major types of CBOR, RFC 8949 section 3, in the place they have in the first byte of an item; and two whole items.
const (
	cborMajor     = 7 << 5
	cborOneByte   = 24 // of the other bits: from here on the length isn't in them
	cborText      = 3 << 5
	cborArray     = 4 << 5
	cborMap       = 5 << 5
	cborNull      = 7<<5 | 22
	cborUndefined = 7<<5 | 23
)

// cborHead is the number in the head of an item of a major type, how many elements or bytes it has, and what follows the head; false where it is
// another item, or the number isn't in the head itself or in the one, two or four bytes behind it.
func cborHead(data []byte, major byte) (n int, rest []byte, ok bool) {
	if len(data) == 0 || data[0]&cborMajor != major {
		return 0, nil, false
	}
	switch more := data[0] &^ cborMajor; {
	case more < cborOneByte:
		return int(more), data[1:], true
	case more == cborOneByte && len(data) > 1:
		return int(data[1]), data[2:], true
	case more == cborOneByte+1 && len(data) > 2:
		return int(binary.BigEndian.Uint16(data[1:])), data[3:], true
	case more == cborOneByte+2 && len(data) > 4:
		return int(binary.BigEndian.Uint32(data[1:])), data[5:], true
	}
	return 0, nil, false
}

// newBody encodes a value in CBOR.
func newBody(v any) (body, error) {
	data, err := cborEncoder.Marshal(v)
	return body{CBOR, data}.present(), err
}

func (b body) none() bool { return len(b.data) == 0 }

// present is the body, or none if it is null.
func (b body) present() body {
	if isNull(b.codec, b.data) {
		return body{}
	}
	return b
}

func isNull(codec Codec, data []byte) bool {
	if codec == JSON {
		return string(data) == "null"
	}
	return len(data) == 1 && (data[0] == cborNull || data[0] == cborUndefined)
}

func (b body) isText() bool { return b.begins('"', cborText) }
func (b body) isMap() bool  { return b.begins('{', cborMap) }

// begins looks at the first byte: the whole of it in JSON, the major type in CBOR.
func (b body) begins(text, major byte) bool {
	switch {
	case b.none():
		return false
	case b.codec == JSON:
		return b.data[0] == text
	}
	return b.data[0]&cborMajor == major
}

// decode fills what v points to, by the rules of [Request.Decode]. No body is a map without entries to a struct, and null
// to everything else.
func (b body) decode(v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decoding needs a pointer to fill, not %T", v)
	}
	target = target.Elem()
	target.SetZero()
	if b.none() {
		b = body{JSON, []byte("null")}
		if target.Kind() == reflect.Struct {
			b.data = []byte("{}")
		}
	}
	onlyFields, err := b.codec.unmarshalFields(b.data, v)
	if err != nil {
		return inField(err)
	}
	return b.checkRequired(target, onlyFields)
}

// clone lets go of the document.
func (b body) clone() body { return body{b.codec, bytes.Clone(b.data)} }

// MarshalJSON is the body in JSON. It lets a body that arrived be part of something that is sent.
func (b body) MarshalJSON() ([]byte, error) {
	if b.none() {
		return []byte("null"), nil
	}
	if b.codec == JSON {
		return b.data, nil
	}
	var text bytes.Buffer
	err := toJSON{}.Transcode(&text, bytes.NewReader(b.data))
	return text.Bytes(), err
}

// MarshalCBOR is the body in CBOR.
func (b body) MarshalCBOR() ([]byte, error) {
	if b.none() {
		return []byte{cborNull}, nil
	}
	if b.codec == CBOR {
		return b.data, nil
	}
	var data bytes.Buffer
	err := fromJSON{}.Transcode(&data, bytes.NewReader(b.data))
	return data.Bytes(), err
}
