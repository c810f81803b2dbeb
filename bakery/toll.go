package bakery

// A start folds what came since the newest snapshot. Where that is more than a multiple of what the snapshot holds, a new one
// is due: a start then takes as long as the Tree is large, however long the log is. Who ends takes one for much less: nobody waits.
const (
	foldsPerObject = 8
	minFolds       = 16 << 10
	minFoldsAtEnd  = 1 << 10
)

// toll is about how many objects a record sets: what folding it costs.
func toll(c Command) int {
	switch c := c.(type) {
	case MqSetup:
		return c.objects()
	case ExecuteTCCommands:
		return len(c.Lines)
	case Commit:
		return c.Setup.objects() + 4*len(c.Members) // class and leaf, twice
	case ChangeSiteSpeedLive:
		return len(c.Classes)
	}
	return 1
}

// objects are the qdiscs and classes of the skeleton.
func (m MqSetup) objects() int { return 4 * (int(m.Down.Queues) + int(m.Up.Queues)) }

// needsSnapshot reports a Tree that is far from the snapshot that a start would begin with.
func (t *Tree) needsSnapshot() bool {
	return t.folds > minFolds && t.folds > foldsPerObject*t.size()
}

// deservesSnapshot reports a Tree of which a start would fold as much as it would read of a snapshot.
func (t *Tree) deservesSnapshot() bool {
	return t.folds > minFoldsAtEnd && t.folds > t.size()
}

// size is about how many things a snapshot holds. Of what a reset drops the handles and names are still among them.
func (t *Tree) size() int {
	n := t.state.Len() + t.mappings.Len() + t.opaque.Len()
	for _, h := range t.handles.All() {
		n += h.bySlot.Len()
	}
	for _, f := range t.former.All() {
		n += f.notes.Len()
	}
	return n
}
