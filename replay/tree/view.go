package tree

import (
	"fmt"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay"
)

// View chooses what a listing shows of a Tree; the zero value shows all.
type View struct {
	Link string // "" is all
	// Most is how many children of one class are listed; those after them are summed up in a line.
	Most int
	// Depth is how many levels of classes are listed below a queue.
	Depth int
	// Target chooses the classes to which the path is shown, and what is below them.
	Target replay.Target
	Colour bool
}

// selection is what a Target means in a Tree: its classes, and those above them.
type selection struct {
	targets, path map[bakery.ClassRef]bool
}

// selection gives nil where the view shows all classes.
func (v View) selection(t *bakery.Tree) *selection {
	if v.Target.IsZero() {
		return nil
	}
	s := &selection{map[bakery.ClassRef]bool{}, map[bakery.ClassRef]bool{}}
	for _, at := range v.Target.All(t) {
		if v.Link != "" && v.Link != at.Link {
			continue
		}
		s.targets[at] = true
		for c, ok := t.State().Class(at.Link, at.ID); ok; c, ok = t.State().Class(at.Link, c.Parent) {
			s.path[bakery.ClassRef{Link: at.Link, ID: c.ID}] = true
		}
	}
	return s
}

// Find reports an error if nothing in the Tree is what the view is of.
func (v View) Find(t *bakery.Tree) error {
	if s := v.selection(t); s != nil && len(s.path) == 0 {
		return fmt.Errorf("no %s in the tree: bakery-replay whois finds a class by a part of its name, and by an address", v.Target)
	}
	return nil
}

// has reports a class on the path, or below its end.
func (s *selection) has(t *bakery.Tree, c tc.Class) bool {
	if s == nil || s.path[bakery.ClassRef{Link: c.Link, ID: c.ID}] {
		return true
	}
	for ok := true; ok; c, ok = t.State().Class(c.Link, c.Parent) {
		if s.targets[bakery.ClassRef{Link: c.Link, ID: c.ID}] {
			return true
		}
	}
	return false
}

// hasQdisc reports a qdisc at such a class, or that the path begins at.
func (s *selection) hasQdisc(t *bakery.Tree, q tc.Qdisc) bool {
	if s == nil {
		return true
	}
	if c, ok := t.State().Class(q.Link, q.Parent); ok {
		return s.has(t, c)
	}
	for at := range s.path {
		if at.Link == q.Link && (at.ID.Major() == q.Handle.Major() || q.Parent == tc.Root) {
			return true
		}
	}
	return false
}

// onLink reports whether anything of a link is shown.
func (s *selection) onLink(link string) bool {
	if s == nil {
		return true
	}
	for at := range s.path {
		if at.Link == link {
			return true
		}
	}
	return false
}

// hasMapping reports a mapping to one of the Target's classes.
func (s *selection) hasMapping(t *bakery.Tree, m bakery.Mapping) bool {
	if s == nil {
		return true
	}
	for at := range s.targets {
		if at.ID == m.Handle && steersOn(t, m, at.Link) {
			return true
		}
	}
	return false
}
