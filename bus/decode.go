package bus

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"sync"
	"unicode/utf8"
)

// decodeBody decodes a body into what v points to, by the rules of [Request.Decode]. No body at all is an empty map to
// a struct and null to everything else.
func decodeBody(body raw, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return faultf("decoding needs a pointer to fill, not %T", v)
	}
	target = target.Elem()
	if len(body) == 0 {
		body = raw{cborNull}
		if target.Kind() == reflect.Struct {
			body = raw{majorMap}
		}
	}
	r := reader{b: body}
	if f := decodeOptional(&r, target, decoderOf(target.Type())); f != nil {
		return f
	}
	return nil
}

// decoder reads the next item into v, which is settable. It may leave the reader anywhere when it returns a fault.
type decoder func(r *reader, v reflect.Value) *fault

var decoders sync.Map // reflect.Type → decoder

func decoderOf(t reflect.Type) decoder {
	if d, ok := decoders.Load(t); ok {
		return d.(decoder)
	}
	d, _ := decoders.LoadOrStore(t, newDecoder(t))
	return d.(decoder)
}

// lazyDecoderOf is decoderOf for types that may contain themselves.
func lazyDecoderOf(t reflect.Type) func() decoder {
	return sync.OnceValue(func() decoder { return decoderOf(t) })
}

var (
	typeRawJSON         = reflect.TypeFor[json.RawMessage]()
	typeTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeJSONUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

func newDecoder(t reflect.Type) decoder {
	if t.Kind() == reflect.Pointer {
		return newPointerDecoder(t)
	}
	if t == typeRawJSON {
		return decodeRawJSON
	}
	plain := newPlainDecoder(t)
	if p := reflect.PointerTo(t); p.Implements(typeTextUnmarshaler) || p.Implements(typeJSONUnmarshaler) {
		return decodeMarshaled
	}
	return plain
}

func newPlainDecoder(t reflect.Type) decoder {
	switch t.Kind() {
	case reflect.Bool:
		return decodeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return decodeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return decodeUint
	case reflect.Float32, reflect.Float64:
		return decodeFloat
	case reflect.String:
		return decodeString
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return decodeBytes
		}
		return newSliceDecoder(t)
	case reflect.Array:
		return newArrayDecoder(t)
	case reflect.Map:
		return newMapDecoder(t)
	case reflect.Struct:
		return newStructDecoder(t)
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return decodeAny
		}
	}
	return func(*reader, reflect.Value) *fault { return faultf("nothing decodes into %s", t) }
}

// decodeOptional takes null for the zero value.
func decodeOptional(r *reader, v reflect.Value, d decoder) *fault {
	if r.peek().isNull() {
		switch v.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			r.head()
			v.SetZero()
			return nil
		}
		return faultf("null")
	}
	return d(r, v)
}

func newPointerDecoder(t reflect.Type) decoder {
	elem := lazyDecoderOf(t.Elem())
	return func(r *reader, v reflect.Value) *fault {
		if r.peek().isNull() {
			r.head()
			v.SetZero()
			return nil
		}
		p := reflect.New(t.Elem())
		v.Set(p)
		return elem()(r, p.Elem())
	}
}

func decodeBool(r *reader, v reflect.Value) *fault {
	h := r.head()
	if h.initial() != cborFalse && h.initial() != cborTrue {
		return wrongKind("a boolean", h)
	}
	v.SetBool(h.initial() == cborTrue)
	return nil
}

func decodeInt(r *reader, v reflect.Value) *fault {
	h := r.head()
	if h.major != majorUint && h.major != majorNegInt {
		return wrongKind("an integer", h)
	}
	n := int64(h.arg)
	if h.major == majorNegInt {
		n = -1 - n
	}
	if h.arg > math.MaxInt64 || v.OverflowInt(n) {
		limit := uint64(1)<<(v.Type().Bits()-1) - 1
		return faultf("%s is not within %s..%d", h.integer(), appendNegative(nil, limit), limit)
	}
	v.SetInt(n)
	return nil
}

func decodeUint(r *reader, v reflect.Value) *fault {
	h := r.head()
	if h.major != majorUint && h.major != majorNegInt {
		return wrongKind("an integer", h)
	}
	if h.major == majorNegInt || v.OverflowUint(h.arg) {
		return faultf("%s is not within 0..%d", h.integer(), uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	}
	v.SetUint(h.arg)
	return nil
}

// integer is the text of an integer item.
func (h head) integer() string {
	text, _ := appendJSON(nil, &reader{b: appendHead(nil, h.major, h.arg)})
	return string(text)
}

func decodeFloat(r *reader, v reflect.Value) *fault {
	h := r.head()
	var f float64
	switch {
	case h.isFloat():
		f = h.float()
	case h.major == majorUint:
		f = float64(h.arg)
	case h.major == majorNegInt:
		f = -1 - float64(h.arg)
	default:
		return wrongKind("a number", h)
	}
	if v.OverflowFloat(f) {
		return faultf("%g is out of the range of a %d-bit float", f, v.Type().Bits())
	}
	v.SetFloat(f)
	return nil
}

// text consumes a text item.
func (r *reader) text() ([]byte, *fault) {
	h := r.head()
	if h.major != majorText {
		return nil, wrongKind("text", h)
	}
	text := r.content(h)
	if !utf8.Valid(text) {
		return nil, &fault{why: errNotUTF8.Error()}
	}
	return text, nil
}

func decodeString(r *reader, v reflect.Value) *fault {
	text, f := r.text()
	if f == nil {
		v.SetString(string(text))
	}
	return f
}

// bytes consumes a byte string, or text that holds one in base64, as JSON does. The result is a copy.
func (r *reader) bytes() ([]byte, *fault) {
	h := r.head()
	switch h.major {
	case majorBytes:
		return append(make([]byte, 0, int(min(h.arg, uint64(len(r.b)-r.off)))), r.content(h)...), nil
	case majorText:
		out, err := base64.StdEncoding.AppendDecode([]byte{}, r.content(h))
		if err != nil {
			return nil, faultf("want base64: %v", err)
		}
		return out, nil
	}
	return nil, wrongKind("a byte string", h)
}

func decodeBytes(r *reader, v reflect.Value) *fault {
	b, f := r.bytes()
	if f == nil {
		v.SetBytes(b)
	}
	return f
}

// decodeRawJSON keeps a value of any shape, as JSON.
func decodeRawJSON(r *reader, v reflect.Value) *fault {
	text, err := appendJSON(nil, r)
	if err != nil {
		return faultf("%v", err)
	}
	v.SetBytes(text)
	return nil
}

// decodeMarshaled serves types that decode themselves: text goes to UnmarshalText, all else, as JSON, to UnmarshalJSON.
func decodeMarshaled(r *reader, v reflect.Value) *fault {
	self := v.Addr().Interface()
	if u, ok := self.(encoding.TextUnmarshaler); ok {
		if _, hasJSON := self.(json.Unmarshaler); !hasJSON || r.peek().major == majorText {
			text, f := r.text()
			if f != nil {
				return f
			}
			if err := u.UnmarshalText(text); err != nil {
				return faultf("%v", err)
			}
			return nil
		}
	}
	text, err := appendJSON(nil, r)
	if err == nil {
		err = self.(json.Unmarshaler).UnmarshalJSON(text)
	}
	if err != nil {
		return faultf("%v", err)
	}
	return nil
}
