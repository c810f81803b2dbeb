package bakery

import (
	"fmt"

	"lqosd/eventlog"
)

// Fold gives a record its meaning: it changes t to what the record asks for.
// It is deterministic and depends on nothing else. On an error t is unchanged; the
// error says why the record can't be folded. Records of a log always can.
func Fold(t *Tree, r Record) error {
	return foldPrepared(t, prepared{seq: r.Seq, meaning: &meaning{command: r.Command}})
}

func foldPrepared(t *Tree, r prepared) error {
	if r.seq != t.Seq+1 {
		return fmt.Errorf("folding record %d: the tree is at %d", r.seq, t.Seq)
	}
	if err := t.fold(r); err != nil {
		return fmt.Errorf("folding record %d, %s: %w", r.seq, r.command.Kind(), err)
	}
	t.folded(r.seq, r.command)
	return nil
}

// folded notes that a record is part of t.
func (t *Tree) folded(seq eventlog.Seq, c Command) {
	t.Seq = seq
	t.folds += toll(c)
	k := c.Kind()
	if k.shapes() {
		t.shaped = seq
	}
	if k.maps() {
		t.mapped = seq
	}
}

func (t *Tree) fold(r prepared) error {
	if r.class != nil {
		return t.foldClass(r.class, r.note, r.seq)
	}
	switch c := r.command.(type) {
	case ClearPriorSettings:
		t.keepIdentities()
		t.reset()
		return nil
	case MqSetup:
		return t.foldMqSetup(c, r.seq)
	case AddStructuralHTBClass:
		return t.foldClassAsk(askOfSite(c), r.seq)
	case AddCircuitHTBClass:
		return t.foldClassAsk(askOfCircuit(c), r.seq)
	case AddCircuitQdisc:
		return t.foldLeaf(c, r.leaf, &r.made, r.seq)
	case ExecuteTCCommands:
		return t.foldExecute(c, r.lines, r.seq)
	case MapIPToFlow:
		return t.foldMapping(c)
	case DelIPFlow:
		return t.foldUnmapping(c)
	case ClearIPFlow:
		t.mappings.Clear()
		t.guessed = false
		return nil
	case Commit:
		return t.foldCommit(c, r.seq)
	case ChangeSiteSpeedLive:
		return t.foldSpeed(c, r.seq)
	}
	return fmt.Errorf("no fold for %T", r.command)
}

// reset empties what shapes. Address mappings stay, and so does the memory of
// leaf handles, without which the next refresh would give every leaf a new one.
func (t *Tree) reset() {
	empty := NewTree()
	t.state, t.notes, t.named = empty.state, empty.notes, false
	t.opaque, t.Setup, t.placed = empty.opaque, nil, empty.placed
	t.Generation++
}
