package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/replay"
)

// Selection chooses differences: those that Only names, all without it, but those that Ignore names.
// Terms of Only with one key are alternatives; those with different keys have to hold together.
type Selection struct{ Only, Ignore []Term }

// Term is KEY=VALUE: it names the differences of which a key has one of the values.
type Term struct {
	Key    string
	Values []string
}

// The words that a Term's values are, by its key; names of links, sites and circuits are free.
var (
	changeWords = []string{"added", "removed", "changed", "moved", "replaced"}
	termWords   = map[string][]string{
		"object": {"class", "qdisc", "mapping", "line", "link"}, "change": changeWords, "field": fieldWords,
		"link": nil, "site": nil, "circuit": nil,
	}
	// fieldWords are the fields that a difference can have: our own, and those of tc(8).
	fieldWords = strings.Fields(`site class parent kind handle tc_handle cpu owner circuit circuit_id device_id stated
		rate ceil burst cburst prio quantum mtu mpu overhead linklayer
		ack-filter atm autorate avpkt bandwidth buckets ce_threshold ce_threshold_selector corrupt default defrate delay depth
		diffserv direct_qlen distribution divisor drop_batch duplicate ecn flow-mode flow_limit flows fwmark gap harddrop headdrop
		horizon horizon-policy ingress initial_quantum interval latency limit loss low_rate_threshold max maxrate memlimit
		memory_limit min nat offload orphan_mask pacing peakrate perturb probability raw redflowlimit refill_delay reorder rtt
		slot split-gso target timer_slack wash`)
)

// KnownTerms are all Terms of one word whose values aren't names, as ParseTerm reads them.
func KnownTerms() (terms []string) {
	for _, key := range slices.Sorted(maps.Keys(termWords)) {
		for _, word := range termWords[key] {
			terms = append(terms, key+"="+word)
		}
	}
	return terms
}

// ParseTerm reads "field=quantum,prio". The name of a site or circuit may hold commas, so that is one value.
func ParseTerm(s string) (Term, error) {
	key, value, ok := strings.Cut(s, "=")
	words, known := termWords[key]
	switch {
	case !ok || value == "":
		return Term{}, fmt.Errorf("%q: want KEY=VALUE, like field=quantum,prio or site=\"Tower 1\"", s)
	case !known:
		return Term{}, fmt.Errorf("%q: there is no %q: the keys are %s", s, key, strings.Join(slices.Sorted(maps.Keys(termWords)), ", "))
	case key == "site" || key == "circuit":
		return Term{key, []string{value}}, nil
	}
	t := Term{key, strings.Split(value, ",")}
	for _, v := range t.Values {
		if words != nil && !slices.Contains(words, v) {
			return Term{}, fmt.Errorf("%q: %q is no %s: it can be %s", s, v, key, strings.Join(words, ", "))
		}
	}
	return t, nil
}

// Select gives the report of the differences that are chosen. It refuses a site, a circuit or a link of Only
// that neither side has: most likely it is misspelt.
func (r Report) Select(s Selection) (Report, error) {
	only := map[string][]Term{}
	for _, t := range s.Only {
		found, err := r.find(t, true)
		if err != nil {
			return r, err
		}
		only[t.Key] = append(only[t.Key], found)
	}
	ignore := make([]Term, len(s.Ignore))
	for i, t := range s.Ignore {
		ignore[i], _ = r.find(t, false)
	}
	return r.filter(func(d Difference) (Difference, bool) {
		for key, terms := range only {
			if key != "field" && !slices.ContainsFunc(terms, d.is) {
				return d, false
			}
		}
		for _, t := range ignore {
			if t.Key != "field" && d.is(t) {
				return d, false
			}
		}
		return d.selectFields(only["field"], ignore)
	}), nil
}

// selectFields leaves fields out, and a difference of which none is left.
func (d Difference) selectFields(only, ignore []Term) (Difference, bool) {
	if d.From == "" || d.To == "" {
		return d, len(only) == 0
	}
	has := func(terms []Term, f FieldChange) bool {
		return slices.ContainsFunc(terms, func(t Term) bool { return t.Key == "field" && slices.Contains(t.Values, f.Name) })
	}
	before := len(d.Fields)
	d.Fields = slices.DeleteFunc(slices.Clone(d.Fields), func(f FieldChange) bool {
		return has(ignore, f) || len(only) > 0 && !has(only, f)
	})
	if d.Change == "moved" && !slices.ContainsFunc(d.Fields, func(f FieldChange) bool { return f.Name == "site" || f.Name == "parent" }) {
		d.Change, d.Was = "changed", nil
	}
	return d, len(d.Fields) > 0 || before == 0 && len(only) == 0
}

// find replaces the names and hashes of a term by what listings call those sites or circuits.
func (r Report) find(t Term, must bool) (Term, error) {
	role := map[string]bakery.Role{"site": bakery.RoleSite, "circuit": bakery.RoleCircuit}[t.Key]
	var found []string
	for _, tree := range r.trees {
		for at, n := range tree.Notes {
			switch {
			case n.Role != role || !replay.Called(n, t.Values[0]):
			case t.Key == "site":
				found = append(found, siteName(n, at.ID))
			default:
				found = append(found, n.Name(at.ID))
			}
		}
		if t.Key == "link" {
			found = append(found, tree.Links()...)
		}
	}
	if t.Key != "site" && t.Key != "circuit" && t.Key != "link" {
		return t, nil
	}
	for _, v := range t.Values {
		if must && (len(found) == 0 || t.Key == "link" && !slices.Contains(found, v)) {
			return t, fmt.Errorf("%s=%s: neither side has such a %s", t.Key, v, t.Key)
		}
	}
	if t.Key != "link" {
		t.Values = found
	}
	return t, nil
}

// is reports whether the term names the difference.
func (d Difference) is(t Term) bool {
	switch t.Key {
	case "object":
		return slices.Contains(t.Values, d.Object)
	case "link":
		return slices.Contains(t.Values, d.Link)
	case "change":
		return d.did(t.Values)
	case "site":
		in := func(site string) bool { return slices.Contains(t.Values, site) }
		return slices.ContainsFunc(d.Site, in) || slices.ContainsFunc(d.Was, in)
	case "circuit":
		return d.Role == bakery.RoleCircuit.String() && slices.Contains(t.Values, d.Name)
	}
	return false
}

// did reports one of some changes; what is moved or replaced is changed, too.
func (d Difference) did(changes []string) bool {
	return slices.Contains(changes, d.Change) || slices.Contains(changes, "changed") && d.Change != "added" && d.Change != "removed"
}

// ParseFailOn checks the words that Fails takes.
func ParseFailOn(words []string) error {
	known := append(slices.Clone(changeWords), "drift")
	for _, w := range words {
		if !slices.Contains(known, w) {
			return fmt.Errorf("%q: must be of %s", w, strings.Join(known, ", "))
		}
	}
	return nil
}

// Fails reports a difference of a kind that on names; drift is any of a kernel. Without words any difference counts.
func (r Report) Fails(on []string) bool {
	if len(on) == 0 || r.Live && slices.Contains(on, "drift") {
		return !r.Same()
	}
	return slices.ContainsFunc(r.Differences, func(d Difference) bool { return d.did(on) })
}
