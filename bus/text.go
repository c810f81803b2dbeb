package bus

import (
	"errors"
	"strings"
	"unicode/utf8"
)

var errNotUTF8 = errors.New("text is not valid utf-8")

// appendText appends s as a CBOR text string. Text on the wire is always valid UTF-8: other bytes become U+FFFD.
func appendText(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// appendQuoted appends s as a JSON string: what must be escaped is, nothing else.
func appendQuoted(dst, s []byte) ([]byte, error) {
	if !utf8.Valid(s) {
		return dst, errNotUTF8
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i, c := range s {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"'), nil
}
