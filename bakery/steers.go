package bakery

import (
	"iter"
	"slices"

	"lqosd/bakery/tc"
)

// Steers is what the mappings ask of a dataplane, in the order of tc.CompareSteers. A
// mapping of the download serves both directions, unless there is one of the upload for the
// same prefix; on a stick, where each direction has classes of its own, only its own. What
// the class doesn't exist for, on the link of the direction, is left out and only counted.
func (t *Tree) Steers(roles Roles, exists func(link string, class tc.Handle) bool) (steers []tc.Steer, waiting int) {
	down, up := t.byDirection(roles)
	n := 0
	for range down {
		n++
	}
	for range up {
		n++
	}
	steers = make([]tc.Steer, 0, n)
	add := func(list iter.Seq[Mapping], upload bool) {
		link, there := roles.Link(upload), classMemo{}
		for m := range list {
			if !there.ask(m.Handle, func() bool { return exists(link, m.Handle) }) {
				waiting++
				continue
			}
			steers = append(steers, tc.Steer{Prefix: m.Prefix, Upload: upload, Class: m.Handle, CPU: m.CPU, Circuit: m.Circuit})
		}
	}
	add(down, false)
	add(up, true)
	return steers, waiting
}

// byDirection gives what counts for the download and for the upload, in order.
func (t *Tree) byDirection(roles Roles) (down, up iter.Seq[Mapping]) {
	down = func(yield func(Mapping) bool) { // they come first
		t.mappings.Scan(func(m Mapping) bool { return !m.Upload && yield(m) })
	}
	up = func(yield func(Mapping) bool) { t.mappings.Ascend(Mapping{Upload: true}, yield) }
	if roles.Stick() {
		return down, up
	}
	own := slices.Collect(up)
	if len(own) == 0 {
		return down, down
	}
	return down, slices.Values(overlaid(slices.Collect(down), own))
}

// overlaid is what counts for the upload, in order.
func overlaid(down, up []Mapping) []Mapping {
	both := make([]Mapping, 0, len(down)+len(up))
	for len(down) > 0 && len(up) > 0 {
		switch c := comparePrefixes(down[0], up[0]); {
		case c < 0:
			both, down = append(both, down[0]), down[1:]
		case c == 0:
			down = down[1:]
		default:
			both, up = append(both, up[0]), up[1:]
		}
	}
	return append(append(both, down...), up...)
}

// mappedTo reports whether a mapping counts for a prefix in a direction.
func (t *Tree) mappedTo(s tc.Steer, roles Roles) bool {
	if _, ok := t.mappings.Get(Mapping{Prefix: s.Prefix, Upload: s.Upload}); ok {
		return true
	}
	if !s.Upload || roles.Stick() {
		return false
	}
	_, ok := t.mappings.Get(Mapping{Prefix: s.Prefix})
	return ok
}
