package bus

import (
	"bytes"
	"encoding/json"
)

// jsonText goes along a text that encoding/json has found to be JSON. What comes next is at its beginning, blanks aside.
type jsonText struct{ rest []byte }

// next is the first byte of what comes next, 0 at the end.
func (t *jsonText) next() byte {
	for i, c := range t.rest {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			t.rest = t.rest[i:]
			return c
		}
	}
	t.rest = nil
	return 0
}

// enter goes into a list or a map that begins with open, and tells whether there is anything in it.
func (t *jsonText) enter(open byte) bool {
	if t.next() != open {
		return false
	}
	t.rest = t.rest[1:]
	return !t.leave()
}

// more goes on behind a value in a list or a map: to the next one, or out of it.
func (t *jsonText) more() bool {
	if t.next() == ',' {
		t.rest = t.rest[1:]
		return true
	}
	t.leave()
	return false
}

func (t *jsonText) leave() bool {
	if c := t.next(); c != ']' && c != '}' {
		return false
	}
	t.rest = t.rest[1:]
	return true
}

// name passes over the name of an entry. It is a part of the text, but for names with escapes.
func (t *jsonText) name() []byte {
	quoted := t.skip()
	t.next()
	t.rest = t.rest[1:] // the colon
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') < 0 {
		return name
	}
	var unquoted string
	_ = json.Unmarshal(quoted, &unquoted) // it is JSON
	return []byte(unquoted)
}

// skip passes over a value, which is a part of the text.
func (t *jsonText) skip() []byte {
	t.next()
	depth, text := 0, t.rest
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += textLen(text[i:]) - 1
		case '[', '{':
			depth++
			continue
		case ']', '}':
			if depth--; depth < 0 { // that of what the value stands in
				return t.take(i)
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return t.take(i)
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return t.take(i + 1)
		}
	}
	return t.take(len(text))
}

func (t *jsonText) take(n int) []byte {
	taken := t.rest[:n]
	t.rest = t.rest[n:]
	return taken
}

// textLen is the length of a text from quote to quote.
func textLen(text []byte) int {
	end := 1
	for {
		n := bytes.IndexByte(text[end:], '"')
		if n < 0 {
			return len(text)
		}
		end += n + 1
		escapes := 0
		for text[end-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return end
		}
	}
}
