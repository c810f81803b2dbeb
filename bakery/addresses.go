package bakery

import (
	"net/netip"

	"lqosd/bakery/tc"
)

// stateAddresses makes the mappings what a batch states. t has the batch's classes, was is the
// Tree before it.
//
// A circuit that lists addresses has those and no others. Mappings that a client made by
// itself (MapIpToFlow) stay while the circuit is there and lists none. The rest belongs to
// circuits that are gone.
func (t *Tree) stateAddresses(c Commit, was *Tree) error {
	old := was.mappings
	t.mappings = NewTree().mappings
	kept := false             // any of the old ones
	lists := map[int64]bool{} // circuits that list addresses
	for _, m := range c.Members {
		if m.Circuit == nil {
			continue
		}
		prefixes, err := m.Circuit.prefixes()
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			kept = t.stateAddress(c, m, p, was) || kept
			lists[m.Circuit.CircuitHash] = true
		}
	}
	roles := c.Setup.Roles()
	old.Scan(func(m Mapping) bool {
		if _, stated := t.mappings.Get(m); stated || m.Stated {
			return true
		}
		n, there := t.Note(roles.Link(m.Upload), m.Handle)
		if owner, known := was.ownerOf(m); there && known && n.Role == RoleCircuit && n.Hash == owner && !lists[owner] {
			t.mappings.Set(m)
			kept = true
		}
		return true
	})
	t.guessed = was.guessed && kept
	return nil
}

// stateAddress maps a prefix of a circuit. Where both directions have the same class one
// mapping serves both, unless they share a link. It reports whether an old mapping was kept.
func (t *Tree) stateAddress(c Commit, m Member, p netip.Prefix, was *Tree) (kept bool) {
	down, up := m.branch(false).class, m.branch(true).class
	kept = t.stateMapping(m.Circuit.CircuitHash, p, false, down, was)
	if c.Setup.Stick() || up != down {
		kept = t.stateMapping(m.Circuit.CircuitHash, p, true, up, was) || kept
	}
	return kept
}

func (t *Tree) stateMapping(hash int64, p netip.Prefix, upload bool, class tc.Handle, was *Tree) (kept bool) {
	m := Mapping{Prefix: p, Upload: upload, Handle: class, CPU: uint32(class.Major() - 1), Circuit: uint64(hash)}
	if old, ok := was.mappings.Get(m); ok && old.Handle == class {
		if owner, known := was.ownerOf(old); known && owner == hash {
			m, kept = old, true // with the CPU and the ids that a client gave it
		}
	}
	m.Generation, m.Stated = t.Generation, true
	t.mappings.Set(m)
	return kept
}

// ownerOf is the hash of the circuit that a mapping belongs to.
func (t *Tree) ownerOf(m Mapping) (hash int64, known bool) {
	if t.Setup != nil {
		if n, ok := t.Note(t.Setup.Roles().Link(m.Upload), m.Handle); ok && n.names() {
			return n.Hash, true
		}
	}
	return int64(m.Circuit), m.named()
}
