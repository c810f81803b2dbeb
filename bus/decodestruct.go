package bus

import (
	"reflect"
	"strings"
)

// plan is what decoding into a struct type needs to know of it.
type plan struct {
	fields []field
	byName map[string]int // index into fields
}

type field struct {
	name     string
	index    []int // for reflect
	optional bool  // may be missing or null
	decode   func() decoder
}

// maxFields bounds the fields of a struct, so that the set of those seen needs no allocation.
const maxFields = 128

type fieldSet [maxFields / 64]uint64

func (s *fieldSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }
func (s *fieldSet) add(i int)      { s[i/64] |= 1 << (i % 64) }

func newPlan(t reflect.Type) *plan {
	p := &plan{byName: map[string]int{}}
	p.addFields(t, nil)
	return p
}

// addFields takes the exported fields, and those of structs that are embedded by value without a name of their own.
func (p *plan) addFields(t reflect.Type, prefix []int) {
	for sf := range t.Fields() {
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		index := append(append([]int(nil), prefix...), sf.Index...)
		if sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct {
			p.addFields(sf.Type, index)
			continue
		}
		if !sf.IsExported() || (name == "-" && options == "") {
			continue
		}
		if name == "" {
			name = sf.Name
		}
		f := field{
			name:     name,
			index:    index,
			optional: sf.Type.Kind() == reflect.Pointer || strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"),
			decode:   lazyDecoderOf(sf.Type),
		}
		switch old, taken := p.byName[name]; {
		case !taken:
			p.byName[name] = len(p.fields)
			p.fields = append(p.fields, f)
		case len(index) < len(p.fields[old].index):
			p.fields[old] = f
		}
	}
}

// find is the index of the named field, -1 if there is none. Senders mostly keep to the order of the fields, so the
// one after the last is tried first.
func (p *plan) find(name []byte, guess int) int {
	if guess < len(p.fields) && p.fields[guess].name == string(name) {
		return guess
	}
	if i, ok := p.byName[string(name)]; ok {
		return i
	}
	return -1
}

func newStructDecoder(t reflect.Type) decoder {
	p := newPlan(t)
	if len(p.fields) > maxFields {
		return func(*reader, reflect.Value) *fault { return faultf("%s has over %d fields", t, maxFields) }
	}
	return p.decode
}

func (p *plan) decode(r *reader, v reflect.Value) *fault {
	h := r.head()
	if h.major != majorMap {
		return wrongKind("a map", h)
	}
	var seen fieldSet
	guess := 0
	for e := r.elements(h); e.next(); {
		key := r.head()
		if key.major != majorText {
			return faultf("field name is %s, not text", key.kind())
		}
		i := p.find(r.content(key), guess)
		if i < 0 {
			r.skip()
			continue
		}
		guess = i + 1
		if f := p.fields[i].read(r, v, seen.has(i)); f != nil {
			return f.inField(p.fields[i].name)
		}
		seen.add(i)
	}
	return p.absent(v, &seen)
}

func (fd *field) read(r *reader, v reflect.Value, seen bool) *fault {
	if seen {
		return faultf("given twice")
	}
	target := v.FieldByIndex(fd.index)
	if r.peek().isNull() {
		if !fd.optional {
			return faultf("null")
		}
		r.head()
		target.SetZero()
		return nil
	}
	return fd.decode()(r, target)
}

// absent clears the optional fields that did not come and refuses the lack of any other.
func (p *plan) absent(v reflect.Value, seen *fieldSet) *fault {
	for i := range p.fields {
		if seen.has(i) {
			continue
		}
		if !p.fields[i].optional {
			return faultf("missing").inField(p.fields[i].name)
		}
		v.FieldByIndex(p.fields[i].index).SetZero()
	}
	return nil
}
