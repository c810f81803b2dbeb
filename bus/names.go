package bus

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// names is what a type says of the names in its values: encoding/json takes "Key" for a field key, and the last of two that
// are the same. Here a name is as it is written, and given once. Types whose values have no names, or that read themselves,
// have none (nil).
type names struct {
	known map[string]int // index in order, of a struct
	order []field
	inner *names // of the elements of a list, the values of a map
	kind  reflect.Kind
}

// field is a field of a struct.
type field struct {
	name  string
	value *names
}

var namesByType sync.Map // reflect.Type → *names

func namesOf(t reflect.Type) *names {
	if known, ok := namesByType.Load(t); ok {
		return known.(*names)
	}
	known, _ := namesByType.LoadOrStore(t, typesNames{}.of(t))
	return known.(*names)
}

// typesNames are the types that are being looked at: a type may hold itself.
type typesNames map[reflect.Type]*names

func (all typesNames) of(t reflect.Type) *names {
	if known, ok := all[t]; ok {
		return known
	}
	if p := reflect.PointerTo(t); p.Implements(typeTextUnmarshaler) || p.Implements(typeJSONUnmarshaler) {
		return nil
	}
	n := &names{kind: t.Kind()}
	switch n.kind {
	case reflect.Pointer:
		return all.of(t.Elem())
	case reflect.Interface:
		return n
	case reflect.Struct:
		all[t] = n
		n.known = map[string]int{}
		all.addFields(n, t)
		return n
	case reflect.Map:
		all[t] = n
		n.inner = all.of(t.Elem())
		return n
	case reflect.Slice, reflect.Array:
		all[t] = n
		if n.inner = all.of(t.Elem()); n.inner == nil {
			all[t] = nil
		}
		return all[t]
	}
	return nil
}

// addFields goes into embedded structs without a name of their own, after the fields beside them: those come first.
func (all typesNames) addFields(n *names, t reflect.Type) {
	var embedded []reflect.Type
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				embedded = append(embedded, inner)
				continue
			}
		}
		if !f.IsExported() || name == "-" && options == "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if _, ok := n.known[name]; !ok {
			n.known[name] = len(n.order)
			n.order = append(n.order, field{name, all.of(f.Type)})
		}
	}
	for _, inner := range embedded {
		all.addFields(n, inner)
	}
}

// check looks at the names of a JSON value that has been decoded into this type.
func (n *names) check(t *jsonText) error {
	open := t.next()
	switch {
	case n == nil || open != '{' && open != '[':
		t.skip()
		return nil
	case n.kind == reflect.Interface:
		return n.checkAny(t, open)
	case open == '{' && n.kind == reflect.Struct:
		return n.checkFields(t)
	case open == '{' && n.kind == reflect.Map:
		return n.checkEntries(t, n.inner)
	case open == '[':
		return checkList(t, n.inner)
	}
	t.skip()
	return nil
}

func (n *names) checkAny(t *jsonText, open byte) error {
	if open == '{' {
		return n.checkEntries(t, n)
	}
	return checkList(t, n)
}

func checkList(t *jsonText, inner *names) error {
	for ok := t.enter('['); ok; ok = t.more() {
		if err := inner.check(t); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) checkEntries(t *jsonText, inner *names) error {
	var came onceEach
	for ok := t.enter('{'); ok; ok = t.more() {
		if err := came.add(t.name()); err != nil {
			return err
		}
		if err := inner.check(t); err != nil {
			return err
		}
	}
	return nil
}

// checkFields expects the fields in the order of the struct, and looks for those that don't keep it.
func (n *names) checkFields(t *jsonText) error {
	var few [32]bool
	came := few[:]
	if len(n.order) > len(few) {
		came = make([]bool, len(n.order))
	}
	var others onceEach
	at := 0
	for ok := t.enter('{'); ok; ok = t.more() {
		name, value := t.name(), (*names)(nil)
		if at >= len(n.order) || n.order[at].name != string(name) {
			var ok bool
			if at, ok = n.known[string(name)]; !ok {
				at = len(n.order)
			}
		}
		var err error
		if at < len(n.order) {
			if came[at] {
				err = errTwice(name)
			}
			came[at], value = true, n.order[at].value
			at++
		} else if err = n.checkUnknown(string(name)); err == nil {
			err = others.add(name)
		}
		if err == nil {
			err = value.check(t)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkUnknown refuses what is a field's name but for upper and lower case.
func (n *names) checkUnknown(name string) error {
	for _, f := range n.order {
		if strings.EqualFold(f.name, name) {
			return fmt.Errorf("field %s: unknown, want %s", name, f.name)
		}
	}
	return nil
}

// onceEach are names that came.
type onceEach map[string]struct{}

func (o *onceEach) add(name []byte) error {
	if _, ok := (*o)[string(name)]; ok {
		return errTwice(name)
	}
	if *o == nil {
		*o = onceEach{}
	}
	(*o)[string(name)] = struct{}{}
	return nil
}

func errTwice(name []byte) error { return fmt.Errorf("field %.100s: given twice", name) }
