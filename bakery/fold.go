package bakery

import (
	"fmt"
)

// Fold gives a record its meaning: it changes t to what the record asks for.
// It is deterministic and depends on nothing else. On an error t is unchanged; the
// error says why the record can't be folded. Records of a log always can.
func Fold(t *Tree, r Record) error { return foldPrepared(t, &prepared{Record: r}) }

func foldPrepared(t *Tree, r *prepared) error {
	if r.Seq != t.Seq+1 {
		return fmt.Errorf("folding record %d: the tree is at %d", r.Seq, t.Seq)
	}
	if err := t.fold(r); err != nil {
		return fmt.Errorf("folding record %d, %s: %w", r.Seq, r.Command.Kind(), err)
	}
	t.folded(r.Record)
	return nil
}

// folded notes that r is part of t.
func (t *Tree) folded(r Record) {
	t.Seq = r.Seq
	t.folds += toll(r.Command)
	if r.Command.Kind().shapes() {
		t.shaped = r.Seq
	}
	if r.Command.Kind().maps() {
		t.mapped = r.Seq
	}
}

func (t *Tree) fold(r *prepared) error {
	switch c := r.Command.(type) {
	case ClearPriorSettings:
		t.keepIdentities()
		t.reset()
		return nil
	case MqSetup:
		return t.foldMqSetup(c, r.Seq)
	case AddStructuralHTBClass:
		return t.foldClass(askOfSite(c), r)
	case AddCircuitHTBClass:
		return t.foldClass(askOfCircuit(c), r)
	case AddCircuitQdisc:
		return t.foldLeaf(c, r.leaf, r.Seq)
	case ExecuteTCCommands:
		return t.foldExecute(c, r.lines, r.Seq)
	case MapIPToFlow:
		return t.foldMapping(c)
	case DelIPFlow:
		return t.foldUnmapping(c)
	case ClearIPFlow:
		t.mappings.Clear()
		t.guessed = false
		return nil
	case Commit:
		return t.foldCommit(c, r.Seq)
	case ChangeSiteSpeedLive:
		return t.foldSpeed(c, r.Seq)
	}
	return fmt.Errorf("no fold for %T", r.Command)
}

// reset empties what shapes. Address mappings stay, and so does the memory of
// leaf handles, without which the next refresh would give every leaf a new one.
func (t *Tree) reset() {
	empty := NewTree()
	t.state, t.notes = empty.state, empty.notes
	t.opaque, t.Setup, t.placed = empty.opaque, nil, empty.placed
	t.Generation++
}
