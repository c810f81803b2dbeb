package bakery

import (
	"cmp"
	"slices"

	"lqosd/bakery/tc"
)

// deeds are ops on a link; of each object the newest counts. Of a link that is built they are tens of thousands, of which hardly
// ever one is looked for: so they are what was built, or a list that is sorted when somebody looks.
type deeds struct {
	link   string
	built  *tc.State // each object of it was added; nil: none
	list   []tc.Op   // after that
	sorted bool      // by object, and the list isn't shared
}

func (d *deeds) none() bool { return d.built == nil && len(d.list) == 0 }

// addAll adds ops, which nobody may change any more.
func (d *deeds) addAll(ops []tc.Op) {
	if len(d.list) == 0 {
		d.list = slices.Clip(ops) // so that appending makes it another one
	} else {
		d.list = append(d.list, ops...)
	}
	d.sorted = false
}

// of is the newest op on an object.
func (d *deeds) of(k ofLink) (tc.Op, bool) {
	d.sort()
	i, ok := slices.BinarySearchFunc(d.list, k, func(op tc.Op, k ofLink) int { return cmp.Compare(objectOf(op), k) })
	if !ok {
		return d.added(k)
	}
	for i+1 < len(d.list) && objectOf(d.list[i+1]) == k {
		i++
	}
	return d.list[i], true
}

// added is the op that added an object of what was built.
func (d *deeds) added(k ofLink) (tc.Op, bool) {
	if d.built == nil {
		return tc.Op{}, false
	}
	at := k.key(d.link)
	if at.class {
		c, ok := d.built.Class(d.link, at.at)
		return tc.Op{Verb: tc.Add, Class: &c}, ok
	}
	q, ok := d.built.Qdisc(d.link, at.at)
	return tc.Op{Verb: tc.Add, Qdisc: &q}, ok
}

// objects gives the objects of all of them; one that was built and changed later comes twice.
func (d *deeds) objects(yield func(ofLink) bool) {
	if d.built != nil {
		for q := range d.built.Qdiscs(d.link) {
			if !yield(keyOf(d.link, tc.Object{Qdisc: &q}).ofLink()) {
				return
			}
		}
		for c := range d.built.Classes(d.link) {
			if !yield(keyOf(d.link, tc.Object{Class: &c}).ofLink()) {
				return
			}
		}
	}
	d.sort()
	for i, op := range d.list {
		k := objectOf(op)
		if i > 0 && objectOf(d.list[i-1]) == k {
			continue
		}
		if !yield(k) {
			return
		}
	}
}

func (d *deeds) sort() {
	if !d.sorted {
		d.list = slices.Clone(d.list)
		slices.SortStableFunc(d.list, func(a, b tc.Op) int { return cmp.Compare(objectOf(a), objectOf(b)) })
		d.sorted = true
	}
}

func objectOf(op tc.Op) ofLink { return keyOf("", opObject(op)).ofLink() }
