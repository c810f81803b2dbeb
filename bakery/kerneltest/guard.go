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
	foreign map[spot]bool // written by somebody else since the last reading
	blind   bool
	broken  []string
}

func newGuard(roles bakery.Roles) guard {
	return guard{roles: roles, known: map[string]*tc.State{}, excused: map[tc.Steer]bool{}, foreign: map[spot]bool{}}
}

// check notes what points nowhere after an event.
func (g *guard) check(d *Dataplane, event string) {
	for at, s := range d.entries {
		link := g.roles.Link(s.Upload)
		if d.f.hasClass(link, s.Class) {
			delete(g.excused, s)
			continue
		}
		switch known := g.known[link]; {
		case g.excused[s]:
		case g.blind, g.foreign[at], known != nil && hasClass(known, link, s.Class):
			g.excused[s] = g.blind || g.foreign[at] || g.excused[s]
		default:
			g.broken = append(g.broken, fmt.Sprintf("after %q: %s points nowhere", event, s))
		}
	}
}

// read is a reading of the Dataplane.
func (g *guard) read(d *Dataplane) {
	g.excuse(d)
	g.blind, g.foreign = false, map[spot]bool{}
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

// excuse excuses what points nowhere before somebody can know of it.
func (g *guard) excuse(d *Dataplane) {
	g.check(d, "what somebody else did")
	for _, s := range d.entries {
		if !d.f.hasClass(g.roles.Link(s.Upload), s.Class) {
			g.excused[s] = true
		}
	}
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
