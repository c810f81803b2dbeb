package bakery

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Tree is what the records up to a Seq ask for. Fold changes it, one goroutine
// owns it, and Clone gives readers a copy in O(links).
type Tree struct {
	// Seq is the last record folded; 0 before the first.
	Seq eventlog.Seq
	// Generation counts the resets: 0 before the first MqSetup or ClearPriorSettings.
	Generation uint64
	// Setup is the last MqSetup; nil before the first, and after ClearPriorSettings.
	Setup *MqSetup

	state    *tc.State
	notes    tc.ByLink[*radix.Map[tc.Handle, Note]]
	former   tc.ByLink[*former]
	named    bool // a note may be one that is named
	handles  tc.ByLink[*leafHandles]
	mappings *btree.BTreeG[Mapping]
	opaque   *btree.Map[string, OpaqueLine] // by Text

	// placed are the records that last set a qdisc outside of a class: roots, HTBs and
	// the like. It serves the status of the kernel alone, and isn't part of snapshots.
	placed tc.ByLink[*radix.Map[tc.Handle, eventlog.Seq]]

	// mapped is the record that last changed mappings, shaped the one that last changed
	// anything else, or newer ones. They aren't part of snapshots either.
	mapped, shaped eventlog.Seq
	// stated is the generation that a Commit began, 0 before the first, and statedAt its record,
	// which isn't part of snapshots.
	stated   uint64
	statedAt eventlog.Seq
	// folds is the toll of what was folded since the newest snapshot. It isn't part of one.
	folds int
	// guessed says that the Circuits of the mappings were made from a snapshot that
	// doesn't have them, by the names of today.
	guessed bool
}

// NewTree gives an empty Tree.
func NewTree() *Tree {
	return &Tree{
		state:    &tc.State{},
		opaque:   &btree.Map[string, OpaqueLine]{},
		mappings: btree.NewBTreeGOptions(mappingLess, btree.Options{NoLocks: true}),
	}
}

// Clone gives a Tree that later folds into t don't change. It costs O(links) and
// may be read by another goroutine while t is folded into.
func (t *Tree) Clone() *Tree {
	c := *t
	c.state = t.state.Clone()
	c.notes = t.notes.Clone((*radix.Map[tc.Handle, Note]).Copy)
	c.former = t.former.Clone(func(f *former) *former { return f })
	c.placed = t.placed.Clone((*radix.Map[tc.Handle, eventlog.Seq]).Copy)
	c.handles = t.handles.Clone((*leafHandles).clone)
	c.mappings, c.opaque = t.mappings.Copy(), t.opaque.Copy()
	return &c
}

// State is the wanted kernel state. It belongs to the Tree: read it, don't change it.
func (t *Tree) State() *tc.State { return t.state }

// Links are the links that hold anything, or have held a leaf, in order.
func (t *Tree) Links() []string {
	links := append(t.state.Links(), t.handles.Names()...)
	slices.Sort(links)
	return slices.Compact(links)
}

// Mappings gives the address mappings: downloads first, then by address and
// prefix length.
func (t *Tree) Mappings(yield func(Mapping) bool) { t.mappings.Scan(yield) }

// MappingCount is the number of address mappings.
func (t *Tree) MappingCount() int { return t.mappings.Len() }

// Circuits counts the different circuits of the Tree (a circuit has a class in
// each direction).
func (t *Tree) Circuits() int {
	seen := map[int64]struct{}{}
	for _, n := range t.Notes {
		if n.Role == RoleCircuit {
			seen[n.Hash] = struct{}{}
		}
	}
	return len(seen)
}

// Equal reports whether two Trees are the same: shape, notes, assigned handles,
// mappings, opaque lines, generation and Seq. Where one was made from a snapshot of version
// 1 the circuits of mappings don't count. go-cmp uses it.
func (t *Tree) Equal(o *Tree) bool {
	if t.guessed || o.guessed {
		return bytes.Equal(t.appendSnapshot(nil, firstSnapshotVersion), o.appendSnapshot(nil, firstSnapshotVersion))
	}
	return t.Hash() == o.Hash()
}

// isStated reports a Tree that begins with a Commit: it is whole, whatever was before.
func (t *Tree) isStated() bool { return t.stated != 0 && t.stated == t.Generation }
