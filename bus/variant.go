package bus

import (
	"fmt"
	"unicode/utf8"
)

// A variant is how requests and replies look on the wire: text alone, or a map of one entry from the name to the value.

// maxName is the longest name, in bytes.
const maxName = 255

func checkName(name []byte) string {
	switch {
	case len(name) == 0:
		return "its name is empty"
	case len(name) > maxName:
		return fmt.Sprintf("its name is longer than %d bytes", maxName)
	case !utf8.Valid(name):
		return "its name is not valid utf-8"
	}
	return ""
}

// readVariant consumes one variant. A value that is null is no value. If the item is no variant, why says so, and the
// reader stays somewhere within it.
func readVariant(r *reader) (name []byte, body raw, why string) {
	h := r.head()
	switch {
	case h.major == majorText:
		name = r.content(h)
		return name, nil, checkName(name)
	case h.major != majorMap:
		return nil, nil, "want text or a map of one entry, got " + h.kind()
	}
	e := r.elements(h)
	if !e.next() {
		return nil, nil, "want a map of one entry, got an empty one"
	}
	key := r.head()
	if key.major != majorText {
		return nil, nil, "its name is " + key.kind() + ", not text"
	}
	name = r.content(key)
	body = r.item()
	if e.next() {
		return nil, nil, "want a map of one entry, got several"
	}
	if len(body) == 1 && (body[0] == cborNull || body[0] == cborUndefined) {
		body = nil
	}
	return name, body, checkName(name)
}

// appendVariant appends a variant: text alone if v is nil.
func appendVariant(dst []byte, name string, v any) ([]byte, error) {
	if v == nil {
		return appendText(dst, name), nil
	}
	return appendValue(appendText(append(dst, majorMap|1), name), v)
}

// variantJSON is a variant in JSON.
func variantJSON(name string, body raw) ([]byte, error) {
	if len(body) == 0 {
		return appendQuoted(nil, []byte(name))
	}
	dst, err := appendQuoted([]byte{'{'}, []byte(name))
	if err != nil {
		return nil, err
	}
	if dst, err = appendJSON(append(dst, ':'), &reader{b: body}); err != nil {
		return nil, err
	}
	return append(dst, '}'), nil
}
