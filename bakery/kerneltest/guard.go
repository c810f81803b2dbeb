package kerneltest

import (
	"fmt"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// guard looks at a Dataplane for entries that point to classes that aren't there. The Fake's
// mutex guards it.
//
// Whoever writes can't know what somebody else has changed since it was last read. So an
// entry is excused whose class somebody else took away, until it is written again; and so is
// one that somebody else wrote. When a reading or a write of the Dataplane fails everything
// is excused until the next reading.
type guard struct {
	roles   bakery.Roles
	known   map[string]*tc.State // what the links had when they were observed, with what Apply did since
	excused map[tc.Steer]bool
	foreign map[slot]bool // written by somebody else since the last reading
	blind   bool
	broken  []string
}

func newGuard(roles bakery.Roles) guard {
	return guard{roles: roles, known: map[string]*tc.State{}, excused: map[tc.Steer]bool{}, foreign: map[slot]bool{}}
}

// check notes what points nowhere after an event.
func (g *guard) check(d *Dataplane, event string) {
	for _, s := range d.entries {
		g.checkOne(d, s, event)
	}
}

func (g *guard) checkOne(d *Dataplane, s tc.Steer, event string) {
	there := d.f.hasClass(g.roles.Link(s.Upload), s.Class)
	switch {
	case there && g.knows(s):
		delete(g.excused, s)
	case there, g.excused[s], g.knows(s):
	case g.blind, g.foreign[slotOf(s)]:
		g.excused[s] = true
	default:
		g.broken = append(g.broken, fmt.Sprintf("after %q: %s points nowhere", event, s))
	}
}

// read is a reading of the Dataplane.
func (g *guard) read(d *Dataplane) {
	g.excuse(d)
	g.blind, g.foreign = false, map[slot]bool{}
}

// observed is a reading of links.
func (g *guard) observed(d *Dataplane, seen map[string]tc.Observed, asked []string) {
	g.excuse(d)
	for _, link := range asked {
		delete(g.known, link)
	}
	for link, o := range seen {
		g.known[link] = o.State.Clone()
	}
}

// excuse excuses what points nowhere, or seems to, before somebody can know of it.
func (g *guard) excuse(d *Dataplane) {
	g.check(d, "what somebody else did")
	for _, s := range d.entries {
		if !g.knows(s) || !d.f.hasClass(g.roles.Link(s.Upload), s.Class) {
			g.excused[s] = true
		}
	}
}

// knows reports an entry whose class is there, as far as whoever writes can know.
func (g *guard) knows(s tc.Steer) bool {
	link := g.roles.Link(s.Upload)
	known := g.known[link]
	return known != nil && hasClass(known, link, s.Class)
}

// did is an op of Apply that was done, or may have been.
func (g *guard) did(d *Dataplane, op tc.Op) {
	if known := g.known[op.Link()]; known != nil {
		_ = known.Apply(op) // what it was asked for though it isn't so counts for nothing
	}
	g.check(d, op.Line())
}

func (f *Fake) hasClass(link string, class tc.Handle) bool {
	w := f.links[link]
	return w != nil && hasClass(w.state, link, class)
}

func hasClass(s *tc.State, link string, class tc.Handle) bool {
	_, ok := s.Class(link, class)
	return ok
}
