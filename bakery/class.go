package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
)

// classAsk is what the two class commands have in common.
type classAsk struct {
	link, parent, classID string
	rateMbps, ceilMbps    float64
	r2q                   uint64
	note                  Note
}

func askOfSite(c AddStructuralHTBClass) classAsk {
	return classAsk{c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.R2Q, Note{Role: RoleSite, Hash: c.SiteHash}}
}

func askOfCircuit(c AddCircuitHTBClass) classAsk {
	n := Note{Role: RoleCircuit, Hash: c.CircuitHash}
	if c.Comment != nil {
		n.Comment = *c.Comment
	}
	return classAsk{c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.R2Q, n}
}

// maxComment bounds what a client may have remembered of a class, in bytes.
const maxComment = 4096

// foldClass adds the class, updates it, or moves it when the parent is another one.
func (t *Tree) foldClass(a classAsk, r *prepared) error {
	class := r.class
	if class.ID == 0 {
		var err error
		if class, err = a.class(); err != nil {
			return err
		}
	}
	if err := t.state.Apply(tc.Op{Verb: tc.Replace, Class: &class}); err != nil {
		return err
	}
	a.note.Seq = r.Seq
	if old, ok := t.Note(a.link, class.ID); ok {
		a.note.LeafSeq = old.LeafSeq
	}
	a.note.AskedMbps = askedMbps(a.rateMbps, a.ceilMbps)
	t.setNote(a.link, class.ID, a.note)
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
