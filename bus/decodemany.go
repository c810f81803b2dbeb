package bus

import (
	"math"
	"reflect"
)

// presized is how many elements of an array are made room for before any has been decoded: a declared length is a
// promise of the sender, and an element may take far more room here than on the wire.
const presized = 256

func newSliceDecoder(t reflect.Type) decoder {
	elem := lazyDecoderOf(t.Elem())
	return func(r *reader, v reflect.Value) *fault {
		h := r.head()
		if h.major != majorArray {
			return wrongKind("an array", h)
		}
		n := 0
		if !h.indefinite() {
			n = int(min(h.arg, presized))
		}
		v.Set(reflect.MakeSlice(t, 0, n))
		i := 0
		for e := r.elements(h); e.next(); i++ {
			v.Grow(1)
			v.SetLen(i + 1)
			if f := elem()(r, v.Index(i)); f != nil {
				return f.inElement(i)
			}
		}
		return nil
	}
}

// newArrayDecoder takes exactly as many elements as the array has; bytes may also come as a byte string.
func newArrayDecoder(t reflect.Type) decoder {
	elem := lazyDecoderOf(t.Elem())
	bytes := t.Elem().Kind() == reflect.Uint8
	return func(r *reader, v reflect.Value) *fault {
		if bytes && r.peek().major != majorArray {
			b, f := r.bytes()
			if f == nil && len(b) != t.Len() {
				f = faultf("want %d bytes, got %d", t.Len(), len(b))
			}
			if f == nil {
				reflect.Copy(v, reflect.ValueOf(b))
			}
			return f
		}
		h := r.head()
		if h.major != majorArray {
			return wrongKind("an array", h)
		}
		i := 0
		for e := r.elements(h); e.next(); i++ {
			if i == t.Len() {
				return faultf("want %d elements, got more", t.Len())
			}
			if f := elem()(r, v.Index(i)); f != nil {
				return f.inElement(i)
			}
		}
		if i < t.Len() {
			return faultf("want %d elements, got %d", t.Len(), i)
		}
		return nil
	}
}

func newMapDecoder(t reflect.Type) decoder {
	if t.Key().Kind() != reflect.String {
		return func(*reader, reflect.Value) *fault { return faultf("nothing decodes into %s: names are text", t) }
	}
	elem := lazyDecoderOf(t.Elem())
	return func(r *reader, v reflect.Value) *fault {
		h := r.head()
		if h.major != majorMap {
			return wrongKind("a map", h)
		}
		v.Set(reflect.MakeMap(t))
		for e := r.elements(h); e.next(); {
			name, f := r.text()
			if f != nil {
				return f
			}
			key := reflect.ValueOf(string(name)).Convert(t.Key())
			if v.MapIndex(key).IsValid() {
				return faultf("given twice").inField(key.String())
			}
			value := reflect.New(t.Elem()).Elem()
			if f := elem()(r, value); f != nil {
				return f.inField(key.String())
			}
			v.SetMapIndex(key, value)
		}
		return nil
	}
}

// decodeAny makes nil, bool, int64, uint64 (only above the reach of int64), float64, string, []byte, []any or
// map[string]any.
func decodeAny(r *reader, v reflect.Value) *fault {
	value, f := r.any()
	if f == nil && value == nil {
		v.SetZero()
	} else if f == nil {
		v.Set(reflect.ValueOf(value))
	}
	return f
}

func (r *reader) any() (any, *fault) {
	h := r.peek()
	switch h.major {
	case majorBytes:
		return anyOf(r.bytes())
	case majorText:
		text, f := r.text()
		return string(text), f
	case majorArray:
		return decodeNew[[]any](r)
	case majorMap:
		return decodeNew[map[string]any](r)
	case majorUint:
		if h.arg > math.MaxInt64 {
			return decodeNew[uint64](r)
		}
		return decodeNew[int64](r)
	case majorNegInt:
		return decodeNew[int64](r)
	}
	r.head()
	switch {
	case h.isNull():
		return nil, nil
	case h.isFloat():
		return h.float(), nil
	case h.initial() == cborFalse || h.initial() == cborTrue:
		return h.initial() == cborTrue, nil
	}
	return nil, faultf("simple value %d has no meaning here", h.arg)
}

func anyOf[T any](v T, f *fault) (any, *fault) { return v, f }

func decodeNew[T any](r *reader) (any, *fault) {
	var v T
	f := decoderOf(reflect.TypeFor[T]())(r, reflect.ValueOf(&v).Elem())
	return v, f
}
