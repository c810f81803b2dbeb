package diff

import (
	"net/netip"
	"slices"

	"lqosd/bakery"
	"lqosd/replay"
)

// Changes are the differences between the Trees before and after one record. It looks only at what
// the record touched, where that is known.
func Changes(before, after *bakery.Tree, c bakery.Command) []Difference {
	r := Report{Differences: []Difference{}}
	if !OnlyMaps(c) {
		links := append(before.State().Links(), after.State().Links()...)
		slices.Sort(links)
		for _, link := range slices.Compact(links) {
			from, to := before.State(), after.State()
			if at, known := to.Touched(link, from.Mark(link)); known {
				from, to = from.Part(link, at), to.Part(link, at)
			} else {
				from, to = from.Only(link), to.Only(link)
			}
			r.states(from, to, NameOf(before, after), nil)
		}
		r.opaque(LineTexts(before), LineTexts(after))
	}
	switch c := c.(type) {
	case bakery.MapIPToFlow:
		r.oneMapping(before, after, c.Address, c.Upload)
	case bakery.DelIPFlow:
		r.oneMapping(before, after, c.Address, c.Upload)
	case bakery.ClearIPFlow, bakery.Commit:
		r.mappings(before.Mappings, after.Mappings)
	}
	return r.Differences
}

// OnlyMaps reports a command that leaves qdiscs and classes alone.
func OnlyMaps(c bakery.Command) bool {
	switch c.(type) {
	case bakery.MapIPToFlow, bakery.DelIPFlow, bakery.ClearIPFlow:
		return true
	}
	return false
}

// oneMapping adds the difference of a prefix's mapping, if there is one.
func (r *Report) oneMapping(before, after *bakery.Tree, address string, upload bool) {
	p, err := replay.ParsePrefix(address)
	if err != nil {
		return // the fold took it: it can't be
	}
	r.mappings(only(before, p, upload), only(after, p, upload))
}

// only gives the mapping of a prefix in one direction.
func only(t *bakery.Tree, p netip.Prefix, upload bool) func(func(bakery.Mapping) bool) {
	return func(yield func(bakery.Mapping) bool) {
		if m, ok := t.Mapping(p, upload); ok {
			yield(m)
		}
	}
}
