package tc

import (
	"fmt"
	"slices"
)

// DifferenceKind is what happened to a qdisc or class.
type DifferenceKind uint8

// The kinds of change.
const (
	Added    DifferenceKind = iota
	Removed                 // From only
	Changed                 // other options or parameters
	Moved                   // a class with another parent, and perhaps other parameters
	Replaced                // a qdisc of another kind or handle in the same place
)

// String is the kind in lower case.
func (k DifferenceKind) String() string {
	words := [...]string{"added", "removed", "changed", "moved", "replaced"}
	if int(k) < len(words) {
		return words[k]
	}
	return fmt.Sprintf("difference-%d", uint8(k))
}

// Difference is what one qdisc or class has different in two States.
type Difference struct {
	Kind     DifferenceKind
	Link     string
	From, To Object        // From is empty for Added, To for Removed
	Fields   []FieldChange // what differs, for Changed, Moved and Replaced
}

// FieldChange is one option that differs, in tc(8)'s words; "" is not given.
type FieldChange struct{ Name, From, To string }

// String is the change on one line: "changed class 1:5 on eth0: rate 1mbit →
// 2mbit".
func (d Difference) String() string {
	s := fmt.Sprintf("%v %v on %s", d.Kind, d.Object(), d.Link)
	for i, f := range d.Fields {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		s += fmt.Sprintf("%s%s %s → %s", sep, f.Name, orZero(f.From, "-"), orZero(f.To, "-"))
	}
	return s
}

// Diff are the differences between two States: link by link, the qdiscs by
// place and then the classes by id. A qdisc of to without a handle is the same
// as one of from with any. Quantum and prio of a class that has children on both
// sides are not compared: the kernel has no use for them. To compare what is wanted with what a kernel has,
// bring both to the kernel's form with Canonical.
func Diff(from, to *State) []Difference {
	var list []Difference
	diff(from, to, func(d Difference) bool {
		list = append(list, d)
		return true
	})
	return list
}

// Differ reports whether Diff has anything to tell.
func Differ(from, to *State) bool {
	found := false
	diff(from, to, func(Difference) bool {
		found = true
		return false
	})
	return found
}

// diff tells the differences until tell doesn't want more.
func diff(from, to *State, tell func(Difference) bool) {
	for _, name := range unionLinks(from, to) {
		f, t := from.link(name), to.link(name)
		d := differ{from: f, to: t, name: name, tell: tell}
		merge(f.qdiscs.Keys(), t.qdiscs.Keys(), func(place Handle) bool {
			a, _ := f.qdiscs.Get(place)
			b, _ := t.qdiscs.Get(place)
			d.qdisc(a, b)
			return !d.enough
		})
		if d.enough {
			return
		}
		merge(f.classes.Keys(), t.classes.Keys(), func(id Handle) bool {
			a, _ := f.classes.Get(id)
			b, _ := t.classes.Get(id)
			d.class(a, b)
			return !d.enough
		})
		if d.enough {
			return
		}
	}
}

func unionLinks(a, b *State) []string {
	names := append(a.Links(), b.Links()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// merge visits every key of two sorted lists once, in order, until visit is false.
func merge(a, b []Handle, visit func(Handle) bool) {
	for more := true; more && (len(a) > 0 || len(b) > 0); {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			more = visit(a[0])
			a = a[1:]
		case len(a) == 0 || b[0] < a[0]:
			more = visit(b[0])
			b = b[1:]
		default:
			more = visit(a[0])
			a, b = a[1:], b[1:]
		}
	}
}

type differ struct {
	from, to *link
	name     string
	tell     func(Difference) bool
	enough   bool // tell doesn't want more
}

func (d *differ) add(kind DifferenceKind, from, to Object, fields []FieldChange) {
	d.enough = !d.tell(Difference{Kind: kind, Link: d.name, From: from, To: to, Fields: fields})
}

func (d *differ) qdisc(a, b *Qdisc) {
	from, to := Object{Qdisc: a}, Object{Qdisc: b}
	switch {
	case a == b:
	case a == nil:
		d.add(Added, from, to, nil)
	case b == nil:
		d.add(Removed, from, to, nil)
	case a.Options.Kind() != b.Options.Kind() || !sameHandle(a, b):
		var fields []FieldChange
		if a.Options.Kind() != b.Options.Kind() {
			fields = append(fields, FieldChange{"kind", a.Options.Kind(), b.Options.Kind()})
		} else {
			fields = optionChanges(a.Options, b.Options)
		}
		if !sameHandle(a, b) {
			fields = append(fields, FieldChange{"handle", a.Handle.String(), b.Handle.String()})
		}
		d.add(Replaced, from, to, fields)
	case !sameOptions(a.Options, b.Options):
		d.add(Changed, from, to, optionChanges(a.Options, b.Options))
	}
}

// optionChanges are the fields that differ between options of one kind.
func optionChanges(a, b Options) []FieldChange {
	a, b = compared(a, b)
	return fieldChanges(a.fields(), b.fields())
}

// sameHandle reports whether b can be the qdisc that a is, as far as handles go.
func sameHandle(a, b *Qdisc) bool { return b.Handle == 0 || a.Handle == b.Handle }

func (d *differ) class(a, b *Class) {
	from, to := Object{Class: a}, Object{Class: b}
	switch {
	case a == b:
	case a == nil:
		d.add(Added, from, to, nil)
	case b == nil:
		d.add(Removed, from, to, nil)
	case a.Parent != b.Parent:
		fields := []FieldChange{{"parent", a.Parent.String(), b.Parent.String()}}
		d.add(Moved, from, to, append(fields, d.classFields(a, b)...))
	case !a.HTB.sameAs(b.HTB, d.inner(a.ID)):
		d.add(Changed, from, to, d.classFields(a, b))
	}
}

// inner reports a class with children on both sides.
func (d *differ) inner(id Handle) bool { return d.from.hasChildren(id) && d.to.hasChildren(id) }

func (d *differ) classFields(a, b *Class) []FieldChange {
	return ClassFields(*a, *b, d.inner(a.ID))
}

// ClassFields are the parameters that differ between two classes, wherever they are. Those of inner classes, which
// have children on both sides, lack quantum and prio.
func ClassFields(a, b Class, inner bool) []FieldChange {
	was := a.HTB
	if inner {
		was.Quantum, was.Prio = b.HTB.Quantum, b.HTB.Prio
	}
	return fieldChanges(was.fields(), b.HTB.fields())
}

// QdiscFields are kind or options that differ between two qdiscs, wherever they are.
func QdiscFields(a, b Qdisc) []FieldChange {
	switch {
	case a.Options.Kind() != b.Options.Kind():
		return []FieldChange{{"kind", a.Options.Kind(), b.Options.Kind()}}
	case sameOptions(a.Options, b.Options):
		return nil
	}
	return optionChanges(a.Options, b.Options)
}

// fieldChanges are the fields that differ, in the order in which to has them,
// then those that only from has.
func fieldChanges(from, to []field) []FieldChange {
	var list []FieldChange
	for _, t := range to {
		old := ""
		if i := indexField(from, t.name); i >= 0 {
			old = from[i].value
		}
		if old != t.value {
			list = append(list, FieldChange{t.name, old, t.value})
		}
	}
	for _, f := range from {
		if indexField(to, f.name) < 0 {
			list = append(list, FieldChange{f.name, f.value, ""})
		}
	}
	return list
}

func indexField(list []field, name string) int {
	return slices.IndexFunc(list, func(f field) bool { return f.name == name })
}
