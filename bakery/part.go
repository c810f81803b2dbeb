package bakery

import (
	"cmp"
	"maps"
	"slices"

	"lqosd/bakery/tc"
)

// maxPart is how many handles of a link are compared by themselves; of more all is compared.
const maxPart = 4096

// part gives what of a link has to be compared, where that is little: what the Tree touched
// since the link was last in order, what sits in it, and what it sits in. It is false where all
// has to be looked at: nothing but records may have changed the link, and nothing may be open.
func (r *reconciler) part(l *managedLink, tree *Tree) (at []tc.Handle, ok bool) {
	if r.o.whole || !l.wasInOrder(tree) || l.restored || l.expected == nil || !l.wrote.none() || r.isOpen(l.name) {
		return nil, false
	}
	touched, known := tree.State().Touched(l.name, l.mark)
	most := cmp.Or(r.o.few, maxPart)
	if !known || len(touched) > most {
		return nil, false
	}
	p := parting{most: most, link: l.name, sides: []*tc.State{tree.State(), l.seen.State, l.expected}, in: map[tc.Handle]bool{}, anew: map[tc.Handle]bool{}}
	return p.around(touched)
}

// isOpen reports a link of which something failed or drifted.
func (r *reconciler) isOpen(link string) bool {
	for k := range r.problems {
		if k.link == link {
			return true
		}
	}
	for k := range r.drift.open {
		if k.link == link {
			return true
		}
	}
	return false
}

// parting finds the part of a link that decides what is to be done at some handles. The sides
// are what is compared; where nothing was touched they are the same, but for the handles of
// leaves.
type parting struct {
	most  int // handles that a part can have
	link  string
	sides []*tc.State
	in    map[tc.Handle]bool // the part
	anew  map[tc.Handle]bool // of it, what may have to be built anew
	next  []tc.Handle        // of it, what wasn't looked at yet
	whole bool               // it is for nothing: all has to be compared
}

// around gives the part around what was touched, in order.
func (p *parting) around(touched []tc.Handle) ([]tc.Handle, bool) {
	p.in[tc.Root], p.in[tc.Ingress] = true, true
	for _, h := range touched {
		p.add(h)
	}
	for !p.whole {
		for len(p.next) > 0 && !p.whole {
			h := p.next[len(p.next)-1]
			p.next = p.next[:len(p.next)-1]
			p.lookAt(h)
		}
		if p.witness(); len(p.next) == 0 {
			break
		}
	}
	if p.whole {
		return nil, false
	}
	return slices.Sorted(maps.Keys(p.in)), true
}

func (p *parting) add(h tc.Handle) {
	if p.in[h] {
		return
	}
	p.in[h] = true
	p.next = append(p.next, h)
	p.whole = p.whole || len(p.in) > p.most
}

// addAnew adds a class that may have to be built anew, with all that sits in it.
func (p *parting) addAnew(h tc.Handle) {
	if p.anew[h] {
		return
	}
	p.anew[h] = true
	if p.in[h] {
		p.next = append(p.next, h)
		return
	}
	p.add(h)
}

// lookAt adds what belongs to the class with a handle, and to its leaf: what it sits in, what
// sits in it if it may have to be built anew, and who has the handle that a leaf has on any
// side. What isn't a class with a plain leaf, an HTB for example, is for the whole comparison.
func (p *parting) lookAt(h tc.Handle) {
	var was *tc.Class
	moves := false
	for i, s := range p.sides {
		c, there := s.Class(p.link, h)
		q, leaf := s.Qdisc(p.link, h)
		if leaf && (!there || q.Handle == 0 || s.Holds(p.link, q.Handle) || !p.plain(q)) {
			p.whole = true
			return
		}
		if there {
			p.above(s, c)
		}
		if leaf {
			p.owners(q.Handle)
		}
		if i > 0 && (there != (was != nil) || there && was.Parent != c.Parent) {
			moves = true
		}
		was = nil
		if there {
			was = &c
		}
	}
	if !moves && !p.anew[h] {
		return
	}
	for _, s := range p.sides {
		for c := range s.Children(p.link, h) {
			if p.addAnew(c.ID); p.whole {
				return
			}
		}
	}
}

// plain reports a qdisc that has no classes.
func (p *parting) plain(q tc.Qdisc) bool {
	switch q.Options.(type) {
	case tc.HTB, tc.MQ:
		return false
	}
	return true
}

// owners adds the classes whose leaves have a handle.
func (p *parting) owners(handle tc.Handle) {
	for _, s := range p.sides {
		if q, there := s.QdiscByHandle(p.link, handle); there {
			p.add(q.Parent)
		}
	}
}

// above adds what a class of a side sits in: classes, and the HTB, which is the root or in an
// mq.
func (p *parting) above(s *tc.State, c tc.Class) {
	for c.Parent.Minor() != 0 {
		if p.add(c.Parent); p.whole {
			return
		}
		above, there := s.Class(p.link, c.Parent)
		if !there {
			p.whole = true
			return
		}
		c = above
	}
	htb, there := s.QdiscByHandle(p.link, c.Parent)
	root, rooted := s.Qdisc(p.link, tc.Root)
	_, mq := root.Options.(tc.MQ)
	if !there || !rooted || htb.Parent != tc.Root && (!mq || htb.Parent.Major() != root.Handle.Major()) {
		p.whole = true
		return
	}
	p.in[htb.Parent] = true
}

// witness sees to it that a class of the part has children in it on every side on which it has
// any: whether it has some is what counts of those that nobody touched.
func (p *parting) witness() {
	for _, s := range p.sides {
		has := map[tc.Handle]bool{}
		for h := range p.in {
			if c, there := s.Class(p.link, h); there {
				has[c.Parent] = true
			}
		}
		for _, h := range slices.Sorted(maps.Keys(p.in)) {
			if has[h] {
				continue
			}
			for c := range s.Children(p.link, h) {
				p.add(c.ID)
				break
			}
		}
	}
}

// onlyPart is the work at some handles of a link.
func (r *reconciler) onlyPart(l *managedLink, tree *Tree, at []tc.Handle) work {
	wanted := r.canonical(l, tree.State().Part(l.name, at))
	w := work{at: at, expected: l.expected.Part(l.name, at)}
	w.has = tree.withoutLines(l.name, l.scope(l.seen.State.Part(l.name, at), wanted), wanted)
	w.wanted = KeepQueues(l.name, tree.adoptHandles(l.name, wanted, w.has), w.has)
	return w
}
