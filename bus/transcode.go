package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Documents are not translated from one codec to the other. Two kinds of values are: those that write or read themselves as
// JSON (json.RawMessage, say) inside CBOR, and what is printed as JSON though it came as CBOR. Map entries lose their
// order on the way.

// fromJSON is how the CBOR encoder gets at what marshals itself to JSON.
type fromJSON struct{}

// Transcode reads one JSON value and writes it as CBOR. Integers stay exact within 64 bits; other numbers are floats.
func (fromJSON) Transcode(dst io.Writer, src io.Reader) error {
	text, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	if err := checkJSON(text); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	if v, err = exact(v); err != nil {
		return err
	}
	data, err := cborEncoder.Marshal(v)
	if err != nil {
		return err
	}
	_, err = dst.Write(data)
	return err
}

// toJSON is how the CBOR decoder fills what unmarshals itself from JSON.
type toJSON struct{}

// Transcode reads one CBOR value and writes it as JSON: byte strings as base64. NaN, the infinities, and names that are no
// text are errors.
func (toJSON) Transcode(dst io.Writer, src io.Reader) error {
	data, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	var v any
	if err := cborDecoder.Unmarshal(data, &v); err != nil {
		return err
	}
	text, err := marshalJSON(v)
	if err != nil {
		return err
	}
	_, err = dst.Write(text)
	return err
}

// exact makes int64, uint64 or float64 of every json.Number in v.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return exactNumber(v.String())
	case []any:
		for i := range v {
			if v[i], err = exact(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = exact(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func exactNumber(text string) (any, error) {
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("json: number out of range: %s", text)
	}
	return f, nil
}
