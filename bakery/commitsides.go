package bakery

import (
	"sync"

	"lqosd/eventlog"
)

// fewMembers are folded in less time than it takes to do it on two processors. Tests lower it.
var fewMembers = 256

// foldSides does what a memberFolder of bothDirections does, each direction on a processor of its own: on two links they have nothing to
// do with each other. It is false, and changes nothing, where they share a link, where it isn't worth it, and where anything is refused:
// of the refusals the order counts.
func (t *Tree) foldSides(c Commit, was *Tree, seq eventlog.Seq) bool {
	if c.Setup.Stick() || len(c.Members) < fewMembers {
		return false
	}
	down := newMemberFolder(t.side(c.Setup.Down.Link), was, c, seq, onlyDownload)
	up := newMemberFolder(t.side(c.Setup.Up.Link), was, c, seq, onlyUpload)
	var ups refusals
	var other sync.WaitGroup
	other.Go(func() { ups = up.fold() })
	downs := down.fold()
	other.Wait()
	if downs.total > 0 || ups.total > 0 {
		return false
	}
	t.takeSide(c.Setup.Down.Link, down.t)
	t.takeSide(c.Setup.Up.Link, up.t)
	return true
}

// side is a Tree of what a fold of members needs to know of a link, to be folded into beside others.
func (t *Tree) side(link string) *Tree {
	side := NewTree()
	side.state = t.state.Only(link)
	if notes, ok := t.notes.Get(link); ok {
		side.notes.Set(link, notes.Copy())
	}
	if handles, ok := t.handles.Get(link); ok {
		side.handles.Set(link, handles.clone())
	}
	return side
}

// takeSide makes a link what it became in a side.
func (t *Tree) takeSide(link string, side *Tree) {
	t.state.TakeLink(link, side.state)
	if notes, ok := side.notes.Get(link); ok {
		t.notes.Set(link, notes)
	}
	if handles, ok := side.handles.Get(link); ok {
		t.handles.Set(link, handles)
	}
}
