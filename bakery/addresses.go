package bakery

import (
	"cmp"
	"net/netip"

	"lqosd/bakery/tc"
)

// stateAddresses makes the mappings what a batch states. t has the batch's classes, was is the
// Tree before it.
//
// A circuit that lists addresses has those and no others, and nobody else has them. Mappings that a
// client made by itself (MapIpToFlow) stay while their circuit is there and lists none, and move with
// it; those to a site stay while that has its class. The rest belongs to what is gone.
func (t *Tree) stateAddresses(c Commit, was *Tree) error {
	t.mappings = NewTree().mappings
	kept := false // any of the old ones
	circuits, lists, stated := map[int64]int{}, map[int64]bool{}, map[netip.Prefix]bool{}
	for i, m := range c.Members {
		if m.Circuit == nil {
			continue
		}
		prefixes, err := m.Circuit.prefixes()
		if err != nil {
			return err
		}
		for _, p := range prefixes {
			kept = t.stateAddress(c, m, p, was) || kept
		}
		if was.mappings.Len() == 0 {
			continue // nothing is to be kept or not
		}
		for _, p := range prefixes {
			stated[p], lists[m.Circuit.CircuitHash] = true, true
		}
		if _, another := circuits[m.Circuit.CircuitHash]; !another {
			circuits[m.Circuit.CircuitHash] = i
		}
	}
	find := func(hash int64) (m Member, ok bool) {
		i, ok := circuits[hash]
		if ok {
			m = c.Members[i]
		}
		return m, ok
	}
	roles := c.Setup.Roles()
	was.mappings.Scan(func(m Mapping) bool {
		if owner, _ := was.ownerOf(m); stated[m.Prefix] || m.Stated || lists[owner] {
			return true
		}
		if m, ok := t.followed(m, roles, find, was); ok {
			t.mappings.Set(m)
			kept = true
		}
		return true
	})
	t.guessed = was.guessed && kept
	return nil
}

// followed is an old mapping that a client made by itself where its circuit or site is now; false
// if that is gone.
func (t *Tree) followed(m Mapping, roles Roles, find func(hash int64) (Member, bool), was *Tree) (Mapping, bool) {
	owner, known := was.ownerOf(m)
	if !known {
		return m, false
	}
	circuit, isCircuit := find(owner)
	link := roles.Link(m.Upload)
	before, _ := was.Note(link, m.Handle)
	if n, there := t.Note(link, m.Handle); there && n.names() && n.Hash == owner && (n.Role == before.Role || !before.names()) {
		return m, true
	}
	if !isCircuit || before.Role == RoleSite {
		return m, false
	}
	if class := circuit.branch(m.Upload).class; class.Major() != m.Handle.Major() {
		m.Handle, m.CPU = class, cpuOf(class)
	} else {
		m.Handle = class
	}
	return m, true
}

// cpuOf is the CPU of a class's queue, counted like queues.
func cpuOf(class tc.Handle) uint32 { return uint32(class.Major() - 1) }

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
	m := Mapping{Prefix: p, Upload: upload, Handle: class, CPU: cpuOf(class), Circuit: uint64(hash)}
	if old, ok := was.mappings.Get(m); ok && old.Handle == class {
		if owner, known := was.ownerOf(old); known && owner == hash {
			old.Circuit = cmp.Or(old.CircuitID, m.Circuit)
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
