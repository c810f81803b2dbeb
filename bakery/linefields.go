package bakery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// sameFields wants a JSON value to have the fields that another one has, each once, at every depth. It may have empty ones in addition. The
// values themselves were read already.
func sameFields(text, want []byte) error {
	got, err := readFields(json.NewDecoder(bytes.NewReader(text)))
	if err != nil {
		return err
	}
	wanted, err := readFields(json.NewDecoder(bytes.NewReader(want)))
	if err != nil {
		return err
	}
	return compareFields(got, wanted, nil)
}

// empty and null are values that encoding/json may leave out.
type (
	empty struct{} // "", false, []
	null  struct{}
)

// readFields reads a value: map[string]any, []any, empty, null, or nil for any other.
func readFields(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		fields := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			text, _ := name.(string)
			if _, twice := fields[text]; twice {
				return nil, fmt.Errorf("field %s: there twice", text)
			}
			if fields[text], err = readFields(dec); err != nil {
				return nil, err
			}
		}
		_, err := dec.Token()
		return fields, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := readFields(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		if len(list) == 0 {
			return empty{}, err
		}
		return list, err
	case nil:
		return null{}, nil
	case "", false:
		return empty{}, nil
	}
	return nil, nil
}

func compareFields(got, want any, path []string) error {
	fault := func(name, what string) error {
		return fmt.Errorf("field %s: %s", strings.Join(append(path, name), "."), what)
	}
	switch want := want.(type) {
	case map[string]any:
		fields, _ := got.(map[string]any)
		for name := range want {
			if _, there := fields[name]; !there {
				return fault(name, "missing")
			}
		}
		for name, value := range fields {
			wanted, known := want[name]
			switch {
			case !known && value != (empty{}) && value != (null{}):
				return fault(name, "unknown")
			case known && value == (null{}) && wanted != (null{}):
				return fault(name, "null")
			case known:
				if err := compareFields(value, wanted, append(path, name)); err != nil {
					return err
				}
			}
		}
	case []any:
		list, _ := got.([]any)
		for i := range min(len(list), len(want)) {
			if err := compareFields(list[i], want[i], append(path, fmt.Sprint(i))); err != nil {
				return err
			}
		}
	}
	return nil
}
