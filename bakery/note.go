package bakery

import (
	"fmt"

	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Note is what the Tree knows about a class beyond what the kernel is told.
type Note struct {
	Role    Role         `json:"role"`
	Hash    int64        `json:"hash,omitempty"`    // the client's name for the site or circuit
	Comment string       `json:"comment,omitempty"` // as the client wrote it
	Seq     eventlog.Seq `json:"seq"`               // the record that last set the class
	LeafSeq eventlog.Seq `json:"leaf_seq,omitempty"`
	// From is the record that gave Role, Hash and Comment, where that isn't Seq.
	From eventlog.Seq `json:"from,omitempty"`
	// AskedMbps are rate and ceil as asked, where less than MinRate was asked.
	AskedMbps *[2]float64 `json:"asked_mbps,omitempty"`
}

// Role says which kind of command made a class.
type Role uint8

// The roles. The numbers are part of the snapshot format.
const (
	RoleTC       Role = 0 // a line of ExecuteTCCommands
	RoleSkeleton Role = 1 // MqSetup
	RoleSite     Role = 2
	RoleCircuit  Role = 3
)

var roleNames = [...]string{RoleTC: "tc", RoleSkeleton: "skeleton", RoleSite: "site", RoleCircuit: "circuit"}

// String is the role's name in listings: "site".
func (r Role) String() string { return roleNames[r] }

// MarshalText makes a Role readable in JSON.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Name is how listings call the class with the id: `circuit "CircuitID: 9"`, "site 5",
// "default"; "" if nobody named it.
func (n Note) Name(id tc.Handle) string {
	switch n.Role {
	case RoleSkeleton:
		if id.Minor() == capacityNode {
			return "capacity"
		}
		return "default"
	case RoleSite, RoleCircuit:
		if n.Comment != "" {
			return fmt.Sprintf("%s %q", n.Role, n.Comment)
		}
		return fmt.Sprintf("%s %d", n.Role, n.Hash)
	}
	return ""
}

// names reports a Note that tells the client's name for a site or circuit.
func (n Note) names() bool { return (n.Role == RoleSite || n.Role == RoleCircuit) && n.Hash != 0 }

// Note is what is known about a class; false when the class isn't there.
func (t *Tree) Note(link string, id tc.Handle) (Note, bool) {
	if m, ok := t.notes.Get(link); ok {
		return m.Get(id)
	}
	return Note{}, false
}

// ClassRef names a class among all links.
type ClassRef struct {
	Link string    `json:"link"`
	ID   tc.Handle `json:"class"`
}

// Notes gives every class's note, by link and handle.
func (t *Tree) Notes(yield func(ClassRef, Note) bool) {
	for link, notes := range t.notes.All() {
		more := true
		notes.Scan(func(id tc.Handle, n Note) bool {
			more = yield(ClassRef{link, id}, n)
			return more
		})
		if !more {
			return
		}
	}
}

// NameSites gives the sites that no client told the name of the names that others know, by the sites' hashes.
func (t *Tree) NameSites(names map[int64]string) {
	if len(names) == 0 {
		return
	}
	for link, notes := range t.notes.All() {
		nameless := map[tc.Handle]Note{}
		notes.Scan(func(id tc.Handle, n Note) bool {
			if n.Role == RoleSite && n.Comment == "" && names[n.Hash] != "" {
				nameless[id] = n
			}
			return true
		})
		for id, n := range nameless {
			n.Comment = names[n.Hash]
			t.setNote(link, id, n)
		}
	}
}

func (t *Tree) setNote(link string, id tc.Handle, n Note) {
	m := t.notesOf(link)
	m.Set(id, n)
	t.named = t.named || n.named()
	if m.Len() > t.state.ClassCount(link) {
		t.pruneNotes(link)
	}
}

// notesOf are the notes of a link, to be written.
func (t *Tree) notesOf(link string) *radix.Map[tc.Handle, Note] {
	m, _ := t.notes.Get(link)
	if m == nil {
		m = &radix.Map[tc.Handle, Note]{}
		t.notes.Set(link, m)
	}
	return m
}

// noteLeaf notes which record set the leaf of a class.
func (t *Tree) noteLeaf(link string, id tc.Handle, seq eventlog.Seq) {
	if m, ok := t.notes.Get(link); ok {
		if n := m.Change(id); n != nil {
			n.LeafSeq = seq
			return
		}
	}
	t.setNote(link, id, Note{LeafSeq: seq})
}

// pruneNotes drops the notes of classes that a removal took away.
func (t *Tree) pruneNotes(link string) {
	m, _ := t.notes.Get(link)
	if m == nil || m.Len() == t.state.ClassCount(link) {
		return
	}
	var gone []tc.Handle
	m.Scan(func(id tc.Handle, _ Note) bool {
		if !t.state.HasClass(link, id) {
			gone = append(gone, id)
		}
		return true
	})
	for _, id := range gone {
		m.Delete(id)
	}
	if m.Len() == 0 {
		t.notes.Delete(link)
	}
}

// identify gives the note for a class that a tc line sets: what it was named
// already, or before the reset.
func (t *Tree) identify(class *tc.Class) Note {
	if n, ok := t.Note(class.Link, class.ID); ok {
		if n.From == 0 && n.Role != RoleTC {
			n.From = n.Seq
		}
		return n
	}
	if f, ok := t.former.Get(class.Link); ok {
		if was, ok := f.get(class.ID); ok && was.parent == class.Parent {
			return Note{Role: was.note.Role, Hash: was.note.Hash, Comment: was.note.Comment, From: was.note.Seq}
		}
	}
	return Note{}
}
