package replay

import (
	"net/netip"
	"slices"

	"lqosd/bakery"
)

// Changes are the differences between the Trees before and after one record. It looks only at what
// the record touched, where that is known.
func Changes(before, after *bakery.Tree, c bakery.Command) []Difference {
	r := DiffReport{Differences: []Difference{}}
	if !changesMappings(c) {
		links := append(before.State().Links(), after.State().Links()...)
		slices.Sort(links)
		for _, link := range slices.Compact(links) {
			from, to := before.State(), after.State()
			if at, known := to.Touched(link, from.Mark(link)); known {
				from, to = from.Part(link, at), to.Part(link, at)
			} else {
				from, to = from.Only(link), to.Only(link)
			}
			r.states(from, to, nameOf(before, after), nil)
		}
		r.opaque(lineTexts(before), lineTexts(after))
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

// oneMapping adds the difference of a prefix's mapping, if there is one.
func (r *DiffReport) oneMapping(before, after *bakery.Tree, address string, upload bool) {
	p, err := parsePrefix(address)
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
