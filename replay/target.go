package replay

import (
	"fmt"
	"net/netip"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Target is what records may be chosen by: a class, a site or circuit, an address. A record that
// concerns all fields that are set is chosen.
type Target struct {
	Link    string
	Class   tc.Handle
	Site    string // name or hash, as the client gave it
	Circuit string
	Address netip.Prefix
}

// IsZero reports a Target that chooses everything.
func (g Target) IsZero() bool { return g == Target{} }

// Named reports a Target that only the Tree can find: names and handles aren't in every command
// that concerns them.
func (g Target) Named() bool { return g.Class != 0 || g.Site != "" || g.Circuit != "" }

// Folds reports a Target for which the log has to be folded.
func (g Target) Folds() bool { return g.Named() || g.Address.IsValid() }

// String is the Target in words.
func (g Target) String() string {
	var words []string
	add := func(is bool, format string, a ...any) {
		if is {
			words = append(words, fmt.Sprintf(format, a...))
		}
	}
	add(g.Class != 0, "class %s", g.Class)
	add(g.Site != "", "site %q", g.Site)
	add(g.Circuit != "", "circuit %q", g.Circuit)
	add(g.Address.IsValid(), "address %s", g.Address)
	add(g.Link != "", "on %s", g.Link)
	return strings.Join(words, " ")
}

// Has reports whether a class of t is one of the Target's.
func (g Target) Has(t *bakery.Tree, at bakery.ClassRef) bool {
	if g.Link != "" && at.Link != g.Link || g.Class != 0 && at.ID != g.Class || !g.Named() {
		return false
	}
	n, ok := t.Note(at.Link, at.ID)
	switch {
	case !ok:
		return false
	case g.Site != "" && (n.Role != bakery.RoleSite || !Called(n, g.Site)):
		return false
	}
	return g.Circuit == "" || n.Role == bakery.RoleCircuit && Called(n, g.Circuit)
}

// All are the classes of t that are the Target's.
func (g Target) All(t *bakery.Tree) []bakery.ClassRef {
	var list []bakery.ClassRef
	if g.Class != 0 {
		for _, link := range t.State().Links() {
			if at := (bakery.ClassRef{Link: link, ID: g.Class}); g.Has(t, at) {
				list = append(list, at)
			}
		}
		return list
	}
	if !g.Named() {
		return nil
	}
	for at := range t.Notes {
		if g.Has(t, at) {
			list = append(list, at)
		}
	}
	return list
}

// Asks reports whether a command names the Target itself, whatever comes of it.
func (g Target) Asks(c bakery.Command) bool {
	switch c := c.(type) {
	case bakery.AddStructuralHTBClass:
		return g.is(bakery.RoleSite, bakery.Note{Role: bakery.RoleSite, Hash: c.SiteHash}, c.Link)
	case bakery.AddCircuitHTBClass:
		n := bakery.Note{Hash: c.CircuitHash}
		if c.Comment != nil {
			n.Comment = *c.Comment
		}
		return g.is(bakery.RoleCircuit, n, c.Link)
	case bakery.AddCircuitQdisc:
		return g.is(bakery.RoleCircuit, bakery.Note{Hash: c.CircuitHash}, c.Link)
	case bakery.ChangeSiteSpeedLive:
		return g.is(bakery.RoleSite, bakery.Note{Role: bakery.RoleSite, Hash: c.SiteHash}, g.Link)
	case bakery.MapIPToFlow:
		return g.asksFor(c.Address, tc.Handle(c.Handle))
	case bakery.DelIPFlow:
		return g.Address.IsValid() && g.asksFor(c.Address, g.Class)
	}
	return false
}

// asksFor reports whether the Target is of an address, or of a class that it is mapped to.
func (g Target) asksFor(address string, class tc.Handle) bool {
	if g.Class != 0 && g.Class != class {
		return false
	}
	if !g.Address.IsValid() {
		return g.Class != 0
	}
	p, err := ParsePrefix(address)
	return err == nil && g.Address.Overlaps(p)
}

// is reports whether the Target names what a command of a role gives a name, and nothing else.
func (g Target) is(role bakery.Role, n bakery.Note, link string) bool {
	if g.Class != 0 || g.Address.IsValid() || g.Link != "" && g.Link != link {
		return false
	}
	if role == bakery.RoleSite {
		return g.Circuit == "" && Called(n, g.Site)
	}
	return g.Site == "" && Called(n, g.Circuit)
}

// Steers reports whether a mapping is of the Target's address, or to its class.
func (g Target) Steers(m bakery.Mapping) bool {
	if g.Address.IsValid() {
		return g.Address.Overlaps(m.Prefix) && (g.Class == 0 || g.Class == m.Handle)
	}
	return g.Class != 0 && g.Class == m.Handle
}
