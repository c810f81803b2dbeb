package bakery

import (
	"cmp"
	"slices"

	"lqosd/bakery/tc"
)

// deeds are ops on a link; of each object the newest counts. Of a link that is built they are tens of thousands, of which hardly
// ever one is looked for: so they are a list, shared with who else has it, and are sorted when somebody looks.
type deeds struct {
	list   []tc.Op
	sorted bool // by object, and it isn't shared
}

func (d *deeds) none() bool { return len(d.list) == 0 }

// addAll adds ops, which nobody may change any more.
func (d *deeds) addAll(ops []tc.Op) {
	if d.none() {
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
		return tc.Op{}, false
	}
	for i+1 < len(d.list) && objectOf(d.list[i+1]) == k {
		i++
	}
	return d.list[i], true
}

// objects gives the objects of all of them, in order.
func (d *deeds) objects(yield func(ofLink) bool) {
	d.sort()
	for i, op := range d.list {
		k := objectOf(op)
		if i+1 < len(d.list) && objectOf(d.list[i+1]) == k {
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
