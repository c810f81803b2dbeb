package powercut

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Lies are what a disk only pretends to do. Tests use them for their negative controls.
type Lies struct {
	Files       bool // an fsync of a file does nothing
	Directories bool // an fsync of a directory does nothing
}

// Cutter goes through a journal and knows at each event what is durable and what isn't yet.
type Cutter struct {
	events []Event
	lies   Lies
	at     int

	files   map[int]*fileState
	tree    tree
	pending []Event // of directories
}

// fileState is a file as its last sync left it, and what was done to it since.
type fileState struct {
	content *content
	mode    uint32
	pending []Event
}

// tree holds the entries of each directory. A number that isn't there is that of a file.
type tree map[int]map[string]int

// NewCutter begins in front of the first event.
func NewCutter(events []Event, lies Lies) *Cutter {
	return &Cutter{events: events, lies: lies, files: map[int]*fileState{}, tree: tree{rootID: {}}}
}

// Advance goes on until n events have happened.
func (c *Cutter) Advance(n int) {
	for ; c.at < n; c.at++ {
		c.step(c.events[c.at])
	}
}

// step takes e for done, though not for durable.
func (c *Cutter) step(e Event) {
	switch e.Kind {
	case Note:
	case Create:
		c.files[e.Child] = &fileState{content: newContent(), mode: e.Mode}
		c.pending = append(c.pending, e)
	case Mkdir:
		c.tree[e.Child] = map[string]int{}
		c.pending = append(c.pending, e)
	case Link, Rename, Remove:
		c.pending = append(c.pending, e)
	case Sync:
		c.sync(e.File)
	case Write, Truncate, Allocate, Chmod:
		f := c.files[e.File]
		f.pending = append(f.pending, e)
	}
}

func (c *Cutter) sync(id int) {
	if f := c.files[id]; f != nil {
		if !c.lies.Files {
			for _, e := range f.pending {
				f.apply(e, nil)
			}
			f.pending = nil
		}
		return
	}
	if c.lies.Directories {
		return
	}
	left := c.pending[:0]
	for _, e := range c.pending {
		if e.File == id || e.Kind == Rename && e.To == id {
			c.tree.apply(e)
		} else {
			left = append(left, e)
		}
	}
	c.pending = left
}

// apply does e; has says which sectors are written.
func (f *fileState) apply(e Event, has func() bool) {
	switch e.Kind {
	case Write:
		f.content.write(e.Offset, e.Data, has)
	case Truncate:
		f.content.truncate(e.Size)
	case Allocate:
		f.content.grow(e.Size)
	case Chmod:
		f.mode = e.Mode
	default: // others don't concern a file
	}
}

func (t tree) apply(e Event) {
	switch e.Kind {
	case Create, Mkdir, Link:
		t[e.File][e.Name] = e.Child
	case Rename:
		if t[e.File][e.Name] == e.Child {
			delete(t[e.File], e.Name)
		}
		t[e.To][e.ToName] = e.Child
	case Remove:
		delete(t[e.File], e.Name)
	default: // others don't concern a directory
	}
}

func (t tree) clone() tree {
	all := make(tree, len(t))
	for id, entries := range t {
		all[id] = maps.Clone(entries)
	}
	return all
}

// Image is what may be found after a power cut at this moment; the dice choose among all that may be.
func (c *Cutter) Image(dice *rand.Rand) *Image {
	im := &Image{tree: c.tree.clone(), files: make(map[int]*fileState, len(c.files))}
	survive(dice, c.pending, func(e Event, _ bool) { im.tree.apply(e) }, func(Event) {})
	for _, id := range slices.Sorted(maps.Keys(c.files)) {
		f := c.files[id]
		left := &fileState{content: f.content, mode: f.mode}
		if len(f.pending) > 0 {
			left.content = f.content.clone()
			survive(dice, f.pending, func(e Event, torn bool) {
				if !torn {
					left.apply(e, nil)
					return
				}
				left.apply(e, func() bool { return dice.IntN(2) == 0 })
			}, func(e Event) {
				if e.Kind == Write && dice.IntN(4) == 0 {
					left.content.grow(e.Offset + int64(len(e.Data))) // the size without the data
				}
			})
		}
		im.files[id] = left
	}
	return im
}

// survive decides about each of the events that were on the way: none is left, all are, those up to a moment are with the
// last one torn, or each is left, torn or lost by a throw of its own.
func survive(dice *rand.Rand, events []Event, keep func(e Event, torn bool), lose func(Event)) {
	if len(events) == 0 {
		return
	}
	how, upTo := dice.IntN(8), dice.IntN(len(events))
	for i, e := range events {
		switch {
		case how == 0:
			return
		case how == 1 || how < 4 && i < upTo:
			keep(e, false)
		case how < 4 && i == upTo:
			keep(e, true)
		case how < 4:
			return
		default:
			switch dice.IntN(3) {
			case 0:
				keep(e, false)
			case 1:
				keep(e, true)
			default:
				lose(e)
			}
		}
	}
}
