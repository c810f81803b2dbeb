package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
)

// checkClaim refuses a mapping to a class that isn't there, and one that takes a prefix from
// another circuit whose class is. Only what was mapped since the last reset counts: in a refresh an
// address may move. It is no part of Fold: a class may go later.
func (t *Tree) checkClaim(c MapIPToFlow, roles Roles) error {
	m, err := t.mapping(c)
	if err != nil {
		return err
	}
	link := roles.Link(m.Upload)
	if !t.hasClass(link, m.Handle) {
		err := fmt.Errorf("tc_handle %s: there is no such class", m.Handle)
		if link != "" {
			err = fmt.Errorf("%w on %s", err, link)
		}
		if m.CircuitID != 0 {
			err = fmt.Errorf("%w, for circuit %d", err, m.CircuitID)
		}
		return err
	}
	for _, upload := range []bool{m.Upload, !m.Upload} {
		old, claimed := t.mappings.Get(Mapping{Prefix: m.Prefix, Upload: upload})
		if !claimed || old.Generation != t.Generation || !contest(old, m) || !t.hasClass(roles.Link(upload), old.Handle) {
			continue
		}
		return fmt.Errorf("%s is mapped to %s%s already, and %s%s can't have it, too: DelIpFlow first, or ClearIpFlow",
			m.Prefix, old.Handle, t.owner(old), m.Handle, t.owner(m))
	}
	return nil
}

// contest reports two mappings of a prefix that two circuits want. Who shares a class is one, unless
// both say who they are; a class that nobody named tells nothing of the other direction's.
func contest(old, m Mapping) bool {
	switch {
	case old.Circuit == m.Circuit:
		return false
	case old.Handle == m.Handle:
		return old.CircuitID != 0 && m.CircuitID != 0
	}
	return old.Upload == m.Upload || old.named() && m.named()
}

// hasClass reports a class of a link; of any where the link isn't known.
func (t *Tree) hasClass(link string, class tc.Handle) bool {
	if link != "" {
		_, ok := t.state.Class(link, class)
		return ok
	}
	for _, link := range t.state.Links() {
		if _, ok := t.state.Class(link, class); ok {
			return true
		}
	}
	return false
}

// owner is whose a mapping is, as the end of a sentence; "" if nobody named it.
func (t *Tree) owner(m Mapping) string {
	if m.CircuitID != 0 {
		return fmt.Sprintf(" of circuit %d", m.CircuitID)
	}
	for _, link := range t.state.Links() {
		if n, ok := t.Note(link, m.Handle); ok && n.names() && uint64(n.Hash) == m.Circuit {
			return " of " + n.Name(m.Handle)
		}
	}
	return ""
}
