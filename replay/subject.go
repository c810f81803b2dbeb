package replay

import (
	"iter"
	"strconv"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// subjects are the words that a clause of a Condition begins with.
var subjects = map[string]subject{
	"class":      {true, classFields, findClasses},
	"circuit":    {true, classFields, findNamed(bakery.RoleCircuit)},
	"site":       {true, classFields, findNamed(bakery.RoleSite)},
	"qdisc":      {true, map[string]parser{"kind": parseText, "handle": parseHandle}, findQdisc},
	"address":    {true, map[string]parser{"class": parseHandle, "cpu": parseNumber, "circuit": parseNumber}, findAddress},
	"classes":    count("classes", func(t *bakery.Tree) int { return perLink(t, t.State().ClassCount) }),
	"qdiscs":     count("qdiscs", func(t *bakery.Tree) int { return perLink(t, t.State().QdiscCount) }),
	"circuits":   count("circuits", (*bakery.Tree).Circuits),
	"addresses":  count("addresses", (*bakery.Tree).MappingCount),
	"generation": count("generation", func(t *bakery.Tree) int { return int(t.Generation) }),
}

// classFields are what can be compared of a class.
var classFields = map[string]parser{
	"rate": parseRate, "ceil": parseRate, "prio": parseNumber, "quantum": parseNumber, "parent": parseHandle, "leaf": parseText,
}

func parseRate(s string) (value, error) {
	r, err := tc.ParseRate(s)
	return value{number: uint64(r), numeric: true}, err
}

func parseNumber(s string) (value, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	return value{number: n, numeric: true}, err
}

func parseHandle(s string) (value, error) {
	h, err := tc.ParseHandle(s)
	return handleValue(h), err
}

func parseText(s string) (value, error) { return value{text: s}, nil }

// handleValue is a handle as a word: there is no sense in one that is less than another.
func handleValue(h tc.Handle) value { return value{text: h.String()} }

func number[N uint32 | uint64 | tc.Rate](n N) value { return value{number: uint64(n), numeric: true} }

// count is a subject that is a number of the whole Tree.
func count(name string, of func(*bakery.Tree) int) subject {
	return subject{fields: map[string]parser{name: parseNumber}, find: func(t *bakery.Tree, _ clause) iter.Seq[map[string]value] {
		return func(yield func(map[string]value) bool) { yield(map[string]value{name: number(uint64(of(t)))}) }
	}}
}

// perLink sums something up over the links.
func perLink(t *bakery.Tree, of func(string) int) int {
	n := 0
	for _, l := range t.State().Links() {
		n += of(l)
	}
	return n
}

// on are the links that a clause speaks of.
func (c clause) on(t *bakery.Tree) []string {
	if c.link != "" {
		return []string{c.link}
	}
	return t.State().Links()
}

func classValues(t *bakery.Tree, class tc.Class) map[string]value {
	v := map[string]value{
		"rate": number(class.HTB.Rate), "ceil": number(class.HTB.Ceil), "prio": number(class.HTB.Prio),
		"quantum": number(class.HTB.Quantum), "parent": handleValue(class.Parent),
	}
	if leaf, ok := t.State().Qdisc(class.Link, class.ID); ok {
		v["leaf"] = value{text: leaf.Options.Kind()}
	}
	return v
}

func findClasses(t *bakery.Tree, c clause) iter.Seq[map[string]value] {
	return func(yield func(map[string]value) bool) {
		id, _ := tc.ParseHandle(c.name)
		for _, link := range c.on(t) {
			if class, ok := t.State().Class(link, id); ok && !yield(classValues(t, class)) {
				return
			}
		}
	}
}

// findNamed finds the classes of a site or circuit by the name or hash that the client gave.
func findNamed(role bakery.Role) func(*bakery.Tree, clause) iter.Seq[map[string]value] {
	return func(t *bakery.Tree, c clause) iter.Seq[map[string]value] {
		return func(yield func(map[string]value) bool) {
			for at, n := range t.Notes {
				if n.Role != role || !Called(n, c.name) || c.link != "" && c.link != at.Link {
					continue
				}
				if class, ok := t.State().Class(at.Link, at.ID); ok && !yield(classValues(t, class)) {
					return
				}
			}
		}
	}
}

// Called reports whether the class with this note goes by a name: its comment, its hash, or, of a site
// whose name no client told, one of which clients make that hash.
func Called(n bakery.Note, name string) bool {
	if name == "" || n.Comment == name {
		return name != ""
	}
	if n.Role == bakery.RoleSite && n.Comment == "" && n.Hash == siteHash(name) {
		return true
	}
	last := n.Hash % 10
	if n.Hash == 0 || name[len(name)-1] != byte('0'+max(last, -last)) || strings.Trim(name, "-0123456789") != "" {
		return false // told without parsing it: this is asked of each record of a log
	}
	hash, err := strconv.ParseInt(name, 10, 64)
	return err == nil && n.Hash == hash
}

func findQdisc(t *bakery.Tree, c clause) iter.Seq[map[string]value] {
	return func(yield func(map[string]value) bool) {
		place := tc.Root
		if c.name != "root" {
			place, _ = tc.ParseHandle(c.name)
		}
		for _, link := range c.on(t) {
			q, ok := t.State().Qdisc(link, place)
			if ok && !yield(map[string]value{"kind": {text: q.Options.Kind()}, "handle": handleValue(q.Handle)}) {
				return
			}
		}
	}
}

func findAddress(t *bakery.Tree, c clause) iter.Seq[map[string]value] {
	return func(yield func(map[string]value) bool) {
		p, _ := ParsePrefix(c.name)
		for m := range t.Mappings {
			if m.Prefix == p && !yield(map[string]value{"class": handleValue(m.Handle), "cpu": number(m.CPU), "circuit": number(m.Circuit)}) {
				return
			}
		}
	}
}
