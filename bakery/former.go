package bakery

import (
	"iter"

	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
)

// identity is who a class was before ClearPriorSettings. First-generation clients
// name every class, clear, and send the same classes again as tc lines, which have no
// names: a class of the same handle and parent is then the same site or circuit.
type identity struct {
	parent tc.Handle
	note   Note
}

// former are the identities that the classes of a link had. Nobody writes it, so that Trees share it.
type former struct {
	notes *radix.Map[tc.Handle, Note] // also of classes that nobody named, or that went
	// parent is what a class sat in; false if it wasn't there.
	parent func(id tc.Handle) (tc.Handle, bool)
}

// get is who a class was, if a command had named it.
func (f *former) get(id tc.Handle) (identity, bool) {
	n, ok := f.notes.Get(id)
	if !ok || !n.named() {
		return identity{}, false
	}
	parent, ok := f.parent(id)
	return identity{parent, n}, ok
}

// all are the identities by handle.
func (f *former) all() iter.Seq2[tc.Handle, identity] {
	return func(yield func(tc.Handle, identity) bool) {
		f.notes.Scan(func(id tc.Handle, _ Note) bool {
			i, ok := f.get(id)
			return !ok || yield(id, i)
		})
	}
}

// named reports a Note of a class that a command named since the last reset.
func (n Note) named() bool { return n.From == 0 && n.Role != RoleTC }

// keepIdentities remembers the classes that commands named since the last reset, which follows: nobody writes the State
// and the notes any more, and they are kept as they are.
func (t *Tree) keepIdentities() {
	if !t.named {
		return
	}
	var kept tc.ByLink[*former]
	old := t.state
	for link, notes := range t.notes.All() {
		f := &former{notes: notes, parent: func(id tc.Handle) (tc.Handle, bool) {
			c, ok := old.Class(link, id)
			return c.Parent, ok
		}}
		for range f.all() {
			kept.Set(link, f)
			break
		}
	}
	if kept.Len() > 0 {
		t.former = kept
	}
}
