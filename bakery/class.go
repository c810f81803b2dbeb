package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// classAsk is what the two class commands have in common.
type classAsk struct {
	link, parent, classID string
	rateMbps, ceilMbps    float64
	r2q                   uint64
	note                  Note // without the record
}

func askOfSite(c AddStructuralHTBClass) classAsk {
	n := Note{Role: RoleSite, Hash: c.SiteHash, AskedMbps: askedMbps(c.RateMbps, c.CeilMbps)}
	return classAsk{c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.R2Q, n}
}

func askOfCircuit(c AddCircuitHTBClass) classAsk {
	n := Note{Role: RoleCircuit, Hash: c.CircuitHash, AskedMbps: askedMbps(c.RateMbps, c.CeilMbps)}
	if c.Comment != nil {
		n.Comment = *c.Comment
	}
	return classAsk{c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.R2Q, n}
}

// maxComment bounds what a client may have remembered of a class, in bytes.
const maxComment = 4096

func (t *Tree) foldClassAsk(a classAsk, seq eventlog.Seq) error {
	class, err := a.class()
	if err != nil {
		return err
	}
	return t.foldClass(&class, a.note, seq)
}

// foldClass adds the class, updates it, or moves it when the parent is another one. The Tree may keep class: it is never written again.
func (t *Tree) foldClass(class *tc.Class, n Note, seq eventlog.Seq) error {
	if err := t.state.Keep(tc.Op{Verb: tc.Replace, Class: class}); err != nil {
		return err
	}
	n.Seq = seq
	if old, ok := t.Note(class.Link, class.ID); ok {
		n.LeafSeq = old.LeafSeq
	}
	t.setNote(class.Link, class.ID, n)
	return nil
}

func (a classAsk) class() (tc.Class, error) {
	if len(a.note.Comment) > maxComment {
		return tc.Class{}, fmt.Errorf("the comment has %d bytes: at most %d are kept", len(a.note.Comment), maxComment)
	}
	parent, err := tc.ParseHandle(a.parent)
	if err != nil {
		return tc.Class{}, err
	}
	id, err := tc.ParseClassID(a.classID, parent)
	if err != nil {
		return tc.Class{}, err
	}
	rate, err := programmedRate(a.rateMbps)
	if err != nil {
		return tc.Class{}, err
	}
	ceil, err := programmedRate(a.ceilMbps)
	if err != nil {
		return tc.Class{}, err
	}
	quantum, err := programmedQuantum(a.ceilMbps, a.r2q)
	if err != nil {
		return tc.Class{}, err
	}
	return tc.Class{Link: a.link, ID: id, Parent: parent,
		HTB: tc.HTBClass{Rate: rate, Ceil: ceil, Prio: clientPrio, Quantum: quantum}}, nil
}
