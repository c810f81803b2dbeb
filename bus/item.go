package bus

import (
	"encoding/binary"
	"math"
)

// Major types and the simple values in use, RFC 8949 section 3.
const (
	majorUint   = 0 << 5
	majorNegInt = 1 << 5
	majorBytes  = 2 << 5
	majorText   = 3 << 5
	majorArray  = 4 << 5
	majorMap    = 5 << 5
	majorSimple = 7 << 5

	cborFalse     = majorSimple | 20
	cborTrue      = majorSimple | 21
	cborNull      = majorSimple | 22
	cborUndefined = majorSimple | 23
	cborFloat16   = majorSimple | 25
	cborFloat32   = majorSimple | 26
	cborFloat64   = majorSimple | 27
	cborBreak     = majorSimple | 31

	infoIndefinite = 31
)

// reader walks over CBOR that is known to be well-formed: what arrives is checked as a whole before anything reads it,
// and what we encode ourselves is right by construction.
type reader struct {
	b   []byte
	off int
}

// head is the first part of an item: its major type, the low five bits of its first byte, and the argument.
type head struct {
	major, info byte
	arg         uint64
}

// initial is the first byte of the item, as in the constants above.
func (h head) initial() byte { return h.major | h.info }

// indefinite reports a string, array or map that ends with a break.
func (h head) indefinite() bool { return h.info == infoIndefinite }

// isNull reports null and undefined.
func (h head) isNull() bool { return h.initial() == cborNull || h.initial() == cborUndefined }

// kind names the type of the item for error texts.
func (h head) kind() string {
	switch h.major {
	case majorUint, majorNegInt:
		return "an integer"
	case majorBytes:
		return "a byte string"
	case majorText:
		return "text"
	case majorArray:
		return "an array"
	case majorMap:
		return "a map"
	}
	switch h.initial() {
	case cborFalse, cborTrue:
		return "a boolean"
	case cborNull, cborUndefined:
		return "null"
	case cborFloat16, cborFloat32, cborFloat64:
		return "a float"
	}
	return "a simple value"
}

// float is the value of a float item of any width.
func (h head) float() float64 {
	switch h.initial() {
	case cborFloat16:
		return float16(uint16(h.arg))
	case cborFloat32:
		return float64(math.Float32frombits(uint32(h.arg)))
	}
	return math.Float64frombits(h.arg)
}

// isFloat reports a float item of any width.
func (h head) isFloat() bool {
	return h.major == majorSimple && h.info >= 25 && h.info <= 27
}

// float16 widens an IEEE 754 binary16: 1 sign bit, 5 of exponent (bias 15), 10 of fraction.
func float16(bits uint16) float64 {
	exp, frac := int(bits>>10)&0x1f, float64(bits&0x3ff)
	var v float64
	switch exp {
	case 0:
		v = math.Ldexp(frac, -24)
	case 0x1f:
		v = math.Inf(1)
		if frac != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(frac+1024, exp-25)
	}
	if bits&0x8000 != 0 {
		return -v
	}
	return v
}

// peek is the head of the next item, which stays the next one.
func (r *reader) peek() head {
	off := r.off
	h := r.head()
	r.off = off
	return h
}

// head consumes the head of the next item.
func (r *reader) head() head {
	first := r.b[r.off]
	h := head{major: first & 0xe0, info: first & 0x1f, arg: uint64(first & 0x1f)}
	r.off++
	switch h.info {
	case 24:
		h.arg = uint64(r.b[r.off])
		r.off++
	case 25:
		h.arg = uint64(binary.BigEndian.Uint16(r.b[r.off:]))
		r.off += 2
	case 26:
		h.arg = uint64(binary.BigEndian.Uint32(r.b[r.off:]))
		r.off += 4
	case 27:
		h.arg = binary.BigEndian.Uint64(r.b[r.off:])
		r.off += 8
	}
	return h
}

// atBreak consumes the break that ends an item of indefinite length, if it is next.
func (r *reader) atBreak() bool {
	if r.b[r.off] != cborBreak {
		return false
	}
	r.off++
	return true
}

// elements walks over the n-th elements of the array or map whose head was read: `for e := r.elements(h); e.next(); `.
// For a map every pair is one step.
func (r *reader) elements(h head) elements {
	return elements{r: r, left: h.arg, indefinite: h.indefinite()}
}

type elements struct {
	r          *reader
	left       uint64
	indefinite bool
}

// next reports whether another element, or pair, follows.
func (e *elements) next() bool {
	if e.indefinite {
		return !e.r.atBreak()
	}
	if e.left == 0 {
		return false
	}
	e.left--
	return true
}

// skip consumes the next item with everything in it. Recursion is bounded by maxDepth.
func (r *reader) skip() {
	h := r.head()
	switch h.major {
	case majorBytes, majorText:
		r.content(h)
	case majorArray:
		for e := r.elements(h); e.next(); {
			r.skip()
		}
	case majorMap:
		for e := r.elements(h); e.next(); {
			r.skip()
			r.skip()
		}
	}
}

// item consumes the next item and returns its bytes, which alias the input.
func (r *reader) item() []byte {
	start := r.off
	r.skip()
	return r.b[start:r.off:r.off]
}

// content consumes the bytes of the string whose head was read. They alias the input, unless the string came in parts.
func (r *reader) content(h head) []byte {
	if !h.indefinite() {
		start := r.off
		r.off += int(h.arg)
		return r.b[start:r.off:r.off]
	}
	var joined []byte
	for !r.atBreak() {
		joined = append(joined, r.content(r.head())...)
	}
	return joined
}

// appendHead appends the shortest head for the argument.
func appendHead(dst []byte, major byte, arg uint64) []byte {
	switch {
	case arg < 24:
		return append(dst, major|byte(arg))
	case arg <= math.MaxUint8:
		return append(dst, major|24, byte(arg))
	case arg <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), arg)
}
