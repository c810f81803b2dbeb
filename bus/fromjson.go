package bus

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// appendFromJSON appends the CBOR form of one JSON value (RFC 8259), with nothing but white space around it. Numbers
// without point or exponent are integers if they fit 64 bits, all others floats in the narrowest width that holds them
// exactly. Text must be valid UTF-8; a lone surrogate escape becomes U+FFFD. Depth and number of elements are limited
// as for CBOR. The result is at most two and a half times as long as the text.
func appendFromJSON(dst, text []byte) ([]byte, error) {
	s := jsonScanner{src: text, dst: dst}
	if err := s.value(0); err != nil {
		return dst, fmt.Errorf("json: byte %d: %w", s.off, err)
	}
	if s.space(); s.off != len(s.src) {
		return dst, fmt.Errorf("json: byte %d: more after the end", s.off)
	}
	return s.dst, nil
}

// jsonScanner reads src and writes dst, in one pass. off stays where an error is.
type jsonScanner struct {
	src []byte
	off int
	dst []byte
	tmp []byte // unescaped text
}

func (s *jsonScanner) space() {
	for s.off < len(s.src) {
		switch s.src[s.off] {
		case ' ', '\t', '\n', '\r':
			s.off++
		default:
			return
		}
	}
}

// next skips white space and returns the byte after it, 0 at the end of the text.
func (s *jsonScanner) next() byte {
	s.space()
	return s.at(s.off)
}

func (s *jsonScanner) at(i int) byte {
	if i < len(s.src) {
		return s.src[i]
	}
	return 0
}

func (s *jsonScanner) unexpected(want string) error {
	if s.off >= len(s.src) {
		return fmt.Errorf("ends where %s should be", want)
	}
	return fmt.Errorf("%q where %s should be", rune(s.src[s.off]), want)
}

func (s *jsonScanner) value(depth int) error {
	switch c := s.next(); {
	case c == '{':
		return s.object(depth + 1)
	case c == '[':
		return s.array(depth + 1)
	case c == '"':
		return s.text()
	case c == '-' || (c >= '0' && c <= '9'):
		return s.number()
	case c == 't':
		return s.literal("true", cborTrue)
	case c == 'f':
		return s.literal("false", cborFalse)
	case c == 'n':
		return s.literal("null", cborNull)
	}
	return s.unexpected("a value")
}

func (s *jsonScanner) literal(word string, as byte) error {
	if len(s.src)-s.off < len(word) || string(s.src[s.off:s.off+len(word)]) != word {
		return s.unexpected("a value")
	}
	s.off += len(word)
	s.dst = append(s.dst, as)
	return nil
}

func (s *jsonScanner) array(depth int) error {
	return s.container(depth, majorArray, ']', s.value)
}

func (s *jsonScanner) object(depth int) error {
	return s.container(depth, majorMap, '}', func(depth int) error {
		if s.next() != '"' {
			return s.unexpected("a name in quotes")
		}
		if err := s.text(); err != nil {
			return err
		}
		if s.next() != ':' {
			return s.unexpected("a colon")
		}
		s.off++
		return s.value(depth)
	})
}

// container reads what is between the brackets; its head is made room for when the number of elements is known.
func (s *jsonScanner) container(depth int, major, end byte, element func(depth int) error) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	s.off++
	start, n := len(s.dst), uint64(0)
	s.dst = append(s.dst, major)
	for s.next() != end || n > 0 {
		if err := element(depth); err != nil {
			return err
		}
		if n++; n > maxElements {
			return fmt.Errorf("more than %d elements", maxElements)
		}
		switch s.next() {
		case ',':
			s.off++
			continue
		case end:
		default:
			return s.unexpected("a comma or the end")
		}
		break
	}
	s.off++
	s.setHead(start, major, n)
	return nil
}

// setHead replaces the one-byte head at start, moving what follows if the head for n elements is longer.
func (s *jsonScanner) setHead(start int, major byte, n uint64) {
	var room [9]byte
	h := appendHead(room[:0], major, n)
	if more := len(h) - 1; more > 0 {
		s.dst = append(s.dst, room[:more]...)
		copy(s.dst[start+len(h):], s.dst[start+1:len(s.dst)-more])
	}
	copy(s.dst[start:], h)
}

// text reads a string. Most have no escapes and are copied as they are.
func (s *jsonScanner) text() error {
	s.off++
	start := s.off
	for ; s.off < len(s.src); s.off++ {
		switch c := s.src[s.off]; {
		case c == '"':
			s.off++
			return s.appendText(s.src[start : s.off-1])
		case c == '\\':
			s.tmp = append(s.tmp[:0], s.src[start:s.off]...)
			return s.escaped()
		case c < ' ':
			return fmt.Errorf("control character %#02x in text", c)
		}
	}
	return s.unexpected("a closing quote")
}

func (s *jsonScanner) appendText(text []byte) error {
	if !utf8.Valid(text) {
		return errNotUTF8
	}
	s.dst = append(appendHead(s.dst, majorText, uint64(len(text))), text...)
	return nil
}

// escaped reads the rest of a string that has escapes, into tmp.
func (s *jsonScanner) escaped() error {
	for s.off < len(s.src) {
		c := s.src[s.off]
		switch {
		case c == '"':
			s.off++
			return s.appendText(s.tmp)
		case c < ' ':
			return fmt.Errorf("control character %#02x in text", c)
		case c != '\\':
			s.tmp = append(s.tmp, c)
			s.off++
		default:
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	return s.unexpected("a closing quote")
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads one escape, or the two of a surrogate pair.
func (s *jsonScanner) escape() error {
	c := s.at(s.off + 1)
	if plain := escapes[c]; plain != 0 {
		s.tmp = append(s.tmp, plain)
		s.off += 2
		return nil
	}
	if c != 'u' {
		return s.unexpected("an escape")
	}
	first, ok := s.hex4(s.off + 2)
	if !ok {
		return s.unexpected("four hex digits")
	}
	s.off += 6
	if utf16.IsSurrogate(first) && s.at(s.off) == '\\' && s.at(s.off+1) == 'u' {
		if second, ok := s.hex4(s.off + 2); ok {
			if pair := utf16.DecodeRune(first, second); pair != utf8.RuneError {
				s.off += 6
				first = pair
			}
		}
	}
	s.tmp = utf8.AppendRune(s.tmp, first) // a surrogate alone becomes U+FFFD
	return nil
}

func (s *jsonScanner) hex4(i int) (rune, bool) {
	if i+4 > len(s.src) {
		return 0, false
	}
	var v rune
	for _, c := range s.src[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// digits moves over at least one digit from i on and returns where they end; i itself if there is none.
func (s *jsonScanner) digits(i int) int {
	for c := s.at(i); c >= '0' && c <= '9'; c = s.at(i) {
		i++
	}
	return i
}

func (s *jsonScanner) number() error {
	end, integer := s.numberEnd()
	if end < 0 {
		return s.unexpected("a number")
	}
	text := s.src[s.off:end]
	if integer && s.integer(text) {
		s.off = end
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("number out of range")
	}
	s.off = end
	s.dst = appendFloat(s.dst, f)
	return nil
}

// numberEnd finds the end of the number at off, -1 if it is none, and whether it has neither fraction nor exponent.
func (s *jsonScanner) numberEnd() (end int, integer bool) {
	i := s.off
	if s.at(i) == '-' {
		i++
	}
	if s.at(i) == '0' {
		i++
	} else if e := s.digits(i); e > i {
		i = e
	} else {
		return -1, false
	}
	integer = true
	if s.at(i) == '.' {
		e := s.digits(i + 1)
		if e == i+1 {
			return -1, false
		}
		i, integer = e, false
	}
	if s.at(i)|0x20 == 'e' {
		i++
		if c := s.at(i); c == '+' || c == '-' {
			i++
		}
		e := s.digits(i)
		if e == i {
			return -1, false
		}
		i, integer = e, false
	}
	return i, integer
}

// integer appends the number if it fits a CBOR integer that a 64-bit type can hold.
func (s *jsonScanner) integer(text []byte) bool {
	if text[0] == '-' {
		v, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return false
		}
		if v < 0 {
			s.dst = appendHead(s.dst, majorNegInt, uint64(-1-v))
			return true
		}
		s.dst = append(s.dst, majorUint)
		return true
	}
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return false
	}
	s.dst = appendHead(s.dst, majorUint, v)
	return true
}

// appendFloat appends f in the narrowest of the three widths that gives the same value back.
func appendFloat(dst []byte, f float64) []byte {
	f32 := float32(f)
	if float64(f32) != f {
		return binary.BigEndian.AppendUint64(append(dst, cborFloat64), math.Float64bits(f))
	}
	if h, ok := narrow(f32); ok {
		return binary.BigEndian.AppendUint16(append(dst, cborFloat16), h)
	}
	return binary.BigEndian.AppendUint32(append(dst, cborFloat32), math.Float32bits(f32))
}

// narrow turns a finite binary32 into a binary16, if that holds it exactly. A normal binary16 has exponents -14..15 and
// 10 bits of fraction; a subnormal one is a multiple of 2^-24.
func narrow(f float32) (uint16, bool) {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exp, frac := int(bits>>23&0xff)-127, bits&0x7fffff
	switch {
	case f == 0:
		return sign, true
	case exp >= -14 && exp <= 15 && frac&0x1fff == 0:
		return sign | uint16(exp+15)<<10 | uint16(frac>>13), true
	case exp >= -24 && exp < -14:
		shift := uint(-1 - exp) // the fraction with its hidden bit, in units of 2^-24
		if whole := frac | 0x800000; whole&(1<<shift-1) == 0 {
			return sign | uint16(whole>>shift), true
		}
	}
	return 0, false
}
