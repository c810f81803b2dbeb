package bus

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// required is a field of a struct that must come, and not as null.
type required struct {
	name  string
	index []int // for reflect
}

var requiredByType sync.Map // reflect.Type → []required

var (
	typeTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeJSONUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
)

// requiredOf lists the required fields of a struct type: those that are neither pointers nor tagged omitempty or omitzero.
// Types that read themselves have none.
func requiredOf(t reflect.Type) []required {
	if known, ok := requiredByType.Load(t); ok {
		return known.([]required)
	}
	var fields []required
	if p := reflect.PointerTo(t); t.Kind() == reflect.Struct && !p.Implements(typeTextUnmarshaler) && !p.Implements(typeJSONUnmarshaler) {
		fields = appendRequired(nil, t, nil)
	}
	known, _ := requiredByType.LoadOrStore(t, fields)
	return known.([]required)
}

// appendRequired goes into structs that are embedded by value without a name of their own.
func appendRequired(fields []required, t reflect.Type, prefix []int) []required {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		index := append(append([]int(nil), prefix...), f.Index...)
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			fields = appendRequired(fields, f.Type, index)
			continue
		case !f.IsExported(), name == "-" && options == "", f.Type.Kind() == reflect.Pointer, strings.Contains(options, "omitempty"), strings.Contains(options, "omitzero"):
			continue
		case name == "":
			name = f.Name
		}
		fields = append(fields, required{name, index})
	}
	return fields
}

// checkRequired looks for fields that did not come to the struct that was decoded. What is not zero has come; only when
// something is zero are the names looked at.
func (b body) checkRequired(v reflect.Value) error {
	var came map[string]presence
	for _, f := range requiredOf(v.Type()) {
		if !v.FieldByIndex(f.index).IsZero() {
			continue
		}
		if came == nil {
			var err error
			if came, err = b.came(); err != nil {
				return err
			}
		}
		switch came[f.name] {
		case missing:
			return fmt.Errorf("field %s: missing", f.name)
		case null:
			return fmt.Errorf("field %s: null", f.name)
		}
	}
	return nil
}

// came are the entries of a map that was decoded.
func (b body) came() (came map[string]presence, err error) {
	if b.codec == CBOR {
		err = cborDecoder.Unmarshal(b.data, &came)
		return came, err
	}
	came = map[string]presence{}
	t := jsonText{b.data}
	for ok := t.enter('{'); ok; ok = t.more() {
		came[string(t.name())] = presenceOf(JSON, t.skip())
	}
	return came, nil
}

// presence is what it takes to know of a value that it is there.
type presence uint8

const (
	missing presence = iota
	null
	there
)

// UnmarshalCBOR notes that there is a value.
func (p *presence) UnmarshalCBOR(data []byte) error {
	*p = presenceOf(CBOR, data)
	return nil
}

func presenceOf(codec Codec, data []byte) presence {
	if isNull(codec, data) {
		return null
	}
	return there
}
