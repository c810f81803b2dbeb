package bus

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
)

// appendJSON consumes the next item and appends it as JSON. Integers keep every digit; a float always has a point or an
// exponent, so that it stays a float; byte strings become base64 (RFC 4648 section 4, padded); NaN and the infinities,
// which JSON lacks, become the texts "NaN", "Infinity" and "-Infinity". Map keys other than text are an error.
func appendJSON(dst []byte, r *reader) ([]byte, error) {
	h := r.head()
	switch h.major {
	case majorUint:
		return strconv.AppendUint(dst, h.arg, 10), nil
	case majorNegInt:
		return appendNegative(dst, h.arg), nil
	case majorBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, r.content(h))
		return append(dst, '"'), nil
	case majorText:
		return appendQuoted(dst, r.content(h))
	case majorArray:
		return appendJSONArray(dst, r, h)
	case majorMap:
		return appendJSONMap(dst, r, h)
	}
	return appendJSONSimple(dst, h)
}

// appendNegative appends -1-arg, which may be one below the reach of int64.
func appendNegative(dst []byte, arg uint64) []byte {
	if arg == math.MaxUint64 {
		return append(dst, "-18446744073709551616"...)
	}
	return strconv.AppendUint(append(dst, '-'), arg+1, 10)
}

func appendJSONArray(dst []byte, r *reader, h head) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for e, first := r.elements(h), true; e.next(); first = false {
		if !first {
			dst = append(dst, ',')
		}
		if dst, err = appendJSON(dst, r); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendJSONMap(dst []byte, r *reader, h head) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	for e, first := r.elements(h), true; e.next(); first = false {
		if !first {
			dst = append(dst, ',')
		}
		key := r.head()
		if key.major != majorText {
			return dst, fmt.Errorf("map key is %s, not text", key.kind())
		}
		if dst, err = appendQuoted(dst, r.content(key)); err != nil {
			return dst, err
		}
		dst = append(dst, ':')
		if dst, err = appendJSON(dst, r); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func appendJSONSimple(dst []byte, h head) ([]byte, error) {
	switch h.initial() {
	case cborFalse:
		return append(dst, "false"...), nil
	case cborTrue:
		return append(dst, "true"...), nil
	case cborNull, cborUndefined:
		return append(dst, "null"...), nil
	}
	if h.isFloat() {
		return appendJSONFloat(dst, h.float()), nil
	}
	return dst, fmt.Errorf("simple value %d has no meaning here", h.arg)
}

func appendJSONFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if format == 'f' && bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
