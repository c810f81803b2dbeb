package tc

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// ByLink holds a value for each of a few links, in order of their names. The zero value is empty and ready. It does what a map
// does, in less time: a fold looks up some links all day.
type ByLink[V any] struct {
	list []ofLink[V]
}

type ofLink[V any] struct {
	name  string
	value V
}

// Interned is the one copy in memory of the name of a link: a ByLink finds a link by it without reading it. Of more names than a
// host has links there are several.
func Interned(name string) string {
	interned.Lock()
	defer interned.Unlock()
	one, known := interned.names[name]
	if !known {
		if one = strings.Clone(name); len(interned.names) < maxInterned {
			interned.names[one] = one
		}
	}
	return one
}

const maxInterned = 256

// interned are the names. They are kept: what package unique keeps goes with the last handle, while texts are still in use.
var interned = struct {
	sync.Mutex
	names map[string]string
}{names: map[string]string{}}

// Get gives the value of a link.
func (b *ByLink[V]) Get(name string) (v V, ok bool) {
	for i := range b.list {
		if at := b.list[i].name; unsafe.StringData(at) == unsafe.StringData(name) && len(at) == len(name) {
			return b.list[i].value, true
		}
	}
	for i := range b.list {
		if b.list[i].name == name {
			return b.list[i].value, true
		}
	}
	return v, false
}

// Set gives a link a value.
func (b *ByLink[V]) Set(name string, v V) {
	i, found := b.search(name)
	if !found {
		b.list = slices.Insert(b.list, i, ofLink[V]{name: Interned(name)})
	}
	b.list[i].value = v
}

// Delete removes a link.
func (b *ByLink[V]) Delete(name string) {
	if i, found := b.search(name); found {
		b.list = slices.Delete(b.list, i, i+1)
	}
}

func (b *ByLink[V]) search(name string) (int, bool) {
	return slices.BinarySearchFunc(b.list, name, func(l ofLink[V], name string) int { return cmp.Compare(l.name, name) })
}

// Len is the number of links.
func (b *ByLink[V]) Len() int { return len(b.list) }

// All gives the links and their values, in order of the names.
func (b *ByLink[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, l := range b.list {
			if !yield(l.name, l.value) {
				return
			}
		}
	}
}

// Names are the links in order.
func (b *ByLink[V]) Names() []string {
	names := make([]string, len(b.list))
	for i, l := range b.list {
		names[i] = l.name
	}
	return names
}

// Clone is a copy, with what clone makes of each value.
func (b *ByLink[V]) Clone(clone func(V) V) ByLink[V] {
	c := ByLink[V]{list: slices.Clone(b.list)}
	for i := range c.list {
		c.list[i].value = clone(c.list[i].value)
	}
	return c
}
