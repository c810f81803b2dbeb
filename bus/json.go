package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// marshalJSON is json.Marshal, but <, > and & stay as they are.
func marshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// unmarshalJSON is json.Unmarshal, but a syntax error says where it is, and names are as strict as those of CBOR.
func unmarshalJSON(text []byte, v any) error {
	err := json.Unmarshal(text, v)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("json: byte %d: %w", syntax.Offset, err)
	case err != nil:
		return err
	}
	if n := namesOf(reflect.TypeOf(v).Elem()); n != nil {
		return n.check(&jsonText{text})
	}
	return nil
}

// checkJSON applies the limits that encoding/json does not know: text in UTF-8, and the depth and size of lists and maps. It
// counts brackets and commas outside of quotes; whether they stand where they may is left to encoding/json.
func checkJSON(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("json: not valid utf-8")
	}
	var commas [maxDepth + 1]int
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("json: nested deeper than %d levels", maxDepth)
			}
			commas[depth] = 0
		case c == ']' || c == '}':
			depth = max(depth-1, 0)
		case c == ',':
			if commas[depth]++; commas[depth] >= maxElements {
				return fmt.Errorf("json: more than %d elements", maxElements)
			}
		}
	}
	return nil
}
