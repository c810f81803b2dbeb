package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Codec is the encoding of a document. The server answers in the codec of the question.
type Codec uint8

// The two codecs. A JSON document is told from a CBOR one by its first byte, '{'.
const (
	CBOR Codec = iota
	JSON
)

// String is "cbor" or "json".
func (c Codec) String() string {
	if c == JSON {
		return "json"
	}
	return "cbor"
}

// Limits on a document, the same for both codecs.
const (
	maxDepth    = 32      // levels of arrays and maps, the document's own included
	maxElements = 1 << 20 // elements of one array, pairs of one map
)

var (
	checker = must(cbor.DecOptions{
		MaxNestedLevels:  maxDepth,
		MaxArrayElements: maxElements,
		MaxMapPairs:      maxElements,
		TagsMd:           cbor.TagsForbidden,
	}.DecMode())
	encoder = must(cbor.EncOptions{
		ShortestFloat:           cbor.ShortestFloat16,
		NaNConvert:              cbor.NaNConvert7e00,
		InfConvert:              cbor.InfConvertFloat16,
		Time:                    cbor.TimeRFC3339Nano,
		NilContainers:           cbor.NilContainerAsEmpty,
		OmitEmpty:               cbor.OmitEmptyGoValue,
		BinaryMarshaler:         cbor.BinaryMarshalerNone,
		TextMarshaler:           cbor.TextMarshalerTextString,
		JSONMarshalerTranscoder: jsonTranscoder{},
	}.UserBufferEncMode())
)

// must panics on options that the library refuses: a bug of ours, seen by the first test.
func must[T any](v T, err error) T {
	if err != nil {
		panic("bus: cbor options: " + err.Error())
	}
	return v
}

// jsonTranscoder lets values that marshal themselves to JSON, json.RawMessage above all, appear inside CBOR.
type jsonTranscoder struct{}

// Transcode reads one JSON value and writes it as CBOR.
func (jsonTranscoder) Transcode(dst io.Writer, src io.Reader) error {
	text, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	data, err := appendFromJSON(nil, text)
	if err != nil {
		return err
	}
	_, err = dst.Write(data)
	return err
}

// appendValue appends v in CBOR, in the shortest forms: integers and floats as narrow as they fit, lengths definite.
// Struct fields are named by their json tags, nil slices and maps are empty ones, byte slices are byte strings.
func appendValue(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, cborNull), nil
	case raw:
		return append(dst, v...), nil
	case string:
		return appendText(dst, v), nil
	case []byte:
		return append(appendHead(dst, majorBytes, uint64(len(v))), v...), nil
	case json.RawMessage:
		return appendFromJSON(dst, v)
	}
	buf := bytes.NewBuffer(dst)
	if err := encoder.MarshalToBuffer(v, buf); err != nil {
		return dst, fmt.Errorf("encoding %T: %w", v, err)
	}
	return buf.Bytes(), nil
}

// raw is one CBOR item that has passed the checks on arrival. It aliases the payload it came in.
type raw []byte

// MarshalCBOR makes a body that arrived part of something that is sent.
func (r raw) MarshalCBOR() ([]byte, error) {
	if len(r) == 0 {
		return []byte{cborNull}, nil
	}
	return r, nil
}

// MarshalJSON translates the body.
func (r raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return appendJSON(nil, &reader{b: r})
}

// newRaw encodes any value as a body; nil, a nil pointer and JSON null are no body.
func newRaw(v any) (raw, error) {
	if v == nil {
		return nil, nil
	}
	data, err := appendValue(nil, v)
	if err != nil {
		return nil, err
	}
	if len(data) == 1 && data[0] == cborNull {
		return nil, nil
	}
	return slices.Clip(data), nil
}
