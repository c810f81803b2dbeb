package bus

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// required is a field of a struct that must come, and not as null.
type required struct {
	name  string
	index []int // for reflect
}

// demands is what a struct type wants of the values that it is decoded from.
type demands struct {
	required []required
	pointers [][]int // the fields that are nil for null, for reflect
	fields   int     // how many there are; 0: it takes more to know that
}

var demandsByType sync.Map // reflect.Type → *demands

var (
	typeTextUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	typeJSONUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	typeCBORUnmarshaler = reflect.TypeFor[cbor.Unmarshaler]()
)

// demandsOf lists the required fields of a struct type: those that are neither pointers nor tagged omitempty or omitzero.
// Types that read themselves have none.
func demandsOf(t reflect.Type) *demands {
	if known, ok := demandsByType.Load(t); ok {
		return known.(*demands)
	}
	d := &demands{}
	if p := reflect.PointerTo(t); t.Kind() == reflect.Struct && !p.Implements(typeTextUnmarshaler) && !p.Implements(typeJSONUnmarshaler) {
		all := onceEach{}
		if d.addFields(t, nil, all) && !p.Implements(typeCBORUnmarshaler) {
			d.fields = len(all)
		}
	}
	known, _ := demandsByType.LoadOrStore(t, d)
	return known.(*demands)
}

// addFields goes into structs that are embedded by value without a name of their own. It tells whether all has the names of all fields:
// not where one hides the other, where a tag is for CBOR alone, and where a pointer is embedded, which is no field but has some.
func (d *demands) addFields(t reflect.Type, prefix []int, all onceEach) (known bool) {
	known = true
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		index := append(append([]int(nil), prefix...), f.Index...)
		embedded := f.Anonymous && name == ""
		switch {
		case embedded && f.Type.Kind() == reflect.Struct:
			known = d.addFields(f.Type, index, all) && known
			continue
		case embedded && f.Type.Kind() == reflect.Pointer, f.Tag.Get("cbor") != "":
			known = false
		}
		if !f.IsExported() || tag == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		known = all.add([]byte(name)) == nil && known
		switch {
		case f.Type.Kind() == reflect.Pointer:
			d.pointers = append(d.pointers, index)
		case !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero"):
			d.required = append(d.required, required{name, index})
		}
	}
	return known
}

// checkRequired looks for fields that did not come to the struct that was decoded. What is not zero has come; only when
// something is zero are the names looked at. onlyFields tells that every entry is a field, and no field came twice.
func (b body) checkRequired(v reflect.Value, onlyFields bool) error {
	d := demandsOf(v.Type())
	if onlyFields && b.complete(d, v) {
		return nil
	}
	var came map[string]presence
	for _, f := range d.required {
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

// complete tells of a CBOR map whose entries are all fields, each of them once, that none but pointers is missing or null. It may
// fail to see it, but doesn't say so of others. As many fields are missing as there are fewer entries than fields, and at most as many
// are null as there are bytes that say null or undefined; if those are no more than the pointers that are nil, they are these.
func (b body) complete(d *demands, v reflect.Value) bool {
	if b.codec != CBOR || b.none() || b.data[0]&cborMajor != cborMap {
		return false
	}
	entries := int(b.data[0] &^ cborMajor)
	if entries >= cborOneByte || d.fields == 0 { // a larger map, or one without a length
		return false
	}
	absent := d.fields - entries + bytes.Count(b.data, []byte{cborNull}) + bytes.Count(b.data, []byte{cborUndefined})
	for _, index := range d.pointers {
		if v.FieldByIndex(index).IsNil() {
			absent--
		}
	}
	return absent == 0
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
