package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Commit is a batch as one record: it states the whole wanted network. What it leaves out
// is removed.
type Commit struct {
	Setup MqSetup  `json:"setup"` // resolved
	Leaf  LeafRule `json:"leaf"`
	// Members are the sites and circuits, parents before what is below them.
	Members []Member `json:"members"`
	// Items are the numbers that the members had as items of their batch, for refusals to name. No record has them.
	Items []int `json:"-"`
}

// name is how refusals call a member.
func (c Commit) name(member int) string {
	name := c.Members[member].name()
	if member < len(c.Items) {
		return fmt.Sprintf("item %d, %s", c.Items[member], name)
	}
	return name
}

// Kind implements Command.
func (Commit) Kind() Kind { return KindCommit }

// Count tells how many sites and circuits the batch states.
func (c Commit) Count() (sites, circuits int) {
	for _, m := range c.Members {
		if m.Site != nil {
			sites++
		} else {
			circuits++
		}
	}
	return sites, circuits
}

// directionOf is the direction of the skeleton that a member's branch belongs to.
func (c Commit) directionOf(upload bool) Direction {
	if upload {
		return c.Setup.Up
	}
	return c.Setup.Down
}

// foldCommit makes the Tree what the batch states. Leaves keep their handles, and addresses
// that are mapped as before stay as they are.
func (t *Tree) foldCommit(c Commit, seq eventlog.Seq) error {
	b := t.Clone()
	if err := b.foldMqSetup(c.Setup, seq); err != nil {
		return err
	}
	var r refusals
	for i, m := range c.Members {
		if err := b.foldMember(c, m, seq); err != nil {
			r.add(fmt.Errorf("%s: %w", c.name(i), err))
		}
	}
	if r.total == 0 {
		r = b.foldLeaves(c, seq)
	}
	if r.total > 0 {
		return r.err()
	}
	if err := b.stateAddresses(c, t); err != nil {
		return err
	}
	b.stated, b.statedAt = b.Generation, seq
	b.state.Restate(t.state) // what was stated before is neither kept twice nor compared again
	*t = *b
	return nil
}

// foldMember adds the classes of a member.
func (t *Tree) foldMember(c Commit, m Member, seq eventlog.Seq) error {
	if err := m.check(); err != nil {
		return err
	}
	for _, upload := range []bool{false, true} {
		d, br := c.directionOf(upload), m.branch(upload)
		if q := br.class.Major(); q < d.FirstMajor || q-d.FirstMajor >= d.Queues {
			return fmt.Errorf("class %s%s: %s has no such queue: the majors of that direction are %x to %x", br.class, direction(upload),
				d.Link, d.FirstMajor, d.FirstMajor+d.Queues-1)
		}
		if err := t.checkParent(d.Link, br.parent); err != nil {
			return err
		}
		quantum, err := programmedQuantum(br.ceil, c.Setup.R2Q)
		if err != nil {
			return err
		}
		rate, err := programmedRate(br.rate)
		if err != nil {
			return err
		}
		ceil, err := programmedRate(br.ceil)
		if err != nil {
			return err
		}
		class := tc.Class{Link: d.Link, ID: br.class, Parent: br.parent,
			HTB: tc.HTBClass{Rate: rate, Ceil: ceil, Prio: clientPrio, Quantum: quantum}}
		if err := t.state.Apply(tc.Op{Verb: tc.Add, Class: &class}); err != nil {
			return err
		}
		n := m.note()
		n.Seq, n.AskedMbps = seq, askedMbps(br.rate, br.ceil)
		t.setNote(d.Link, br.class, n)
		t.nameSite(d.Link, br.parent, m)
	}
	return nil
}

// askedMbps is what a Note keeps of rates of which less than MinRate was asked.
func askedMbps(rate, ceil float64) *[2]float64 {
	if rate*1e6 < float64(MinRate) || ceil*1e6 < float64(MinRate) {
		return &[2]float64{rate, ceil}
	}
	return nil
}

// nameSite gives a site the name that its circuits know; of itself it has only a hash.
func (t *Tree) nameSite(link string, parent tc.Handle, m Member) {
	if m.Circuit == nil || m.Circuit.SiteName == nil {
		return
	}
	if n, ok := t.Note(link, parent); ok && n.Role == RoleSite && n.Comment == "" {
		n.Comment = *m.Circuit.SiteName
		t.setNote(link, parent, n)
	}
}

// checkParent refuses a parent that isn't a queue, its capacity class, or a site.
func (t *Tree) checkParent(link string, parent tc.Handle) error {
	if parent.Minor() <= capacityNode {
		return nil // the queue was checked
	}
	n, ok := t.Note(link, parent)
	switch {
	case !ok:
		return fmt.Errorf("parent %s: there is no such site on %s", parent, link)
	case n.Role != RoleSite:
		return fmt.Errorf("parent %s is no site: it is %s", parent, n.Name(parent))
	}
	return nil
}

// foldLeaves gives the circuits their leaves: first those whose slots had one before, so that
// no new one takes a handle away from them.
func (t *Tree) foldLeaves(c Commit, seq eventlog.Seq) (r refusals) {
	f := leafFolder{t: t, c: c, seq: seq, scarce: map[string]*scarceHandles{}, leaves: leafMemo{}}
	for _, known := range []bool{true, false} {
		for i, m := range c.Members {
			if m.Circuit == nil {
				continue
			}
			for _, upload := range []bool{false, true} {
				link, slot := c.directionOf(upload).Link, m.branch(upload).class
				if t.remembers(link, slot) != known {
					continue
				}
				if _, done := t.state.Qdisc(link, slot); done {
					continue
				}
				if err := f.fold(m.Circuit, slot, upload); err != nil {
					r.add(fmt.Errorf("%s%s: %w", c.name(i), direction(upload), err))
				}
			}
		}
	}
	return r
}

// leafFolder gives the circuits of a batch their leaves, of which few kinds are many.
type leafFolder struct {
	t      *Tree
	c      Commit
	seq    eventlog.Seq
	scarce map[string]*scarceHandles // by link
	leaves leafMemo
}

func (f *leafFolder) fold(circuit *AddCircuit, slot tc.Handle, upload bool) error {
	t, link := f.t, f.c.directionOf(upload).Link
	options, err := f.leaves.options(f.c, circuit, upload)
	if err != nil || options == nil {
		return err
	}
	s := f.scarce[link]
	if s == nil {
		s = &scarceHandles{}
		f.scarce[link] = s
	}
	handle, err := t.scarceHandle(s, link, slot)
	if err != nil {
		return err
	}
	q := tc.Qdisc{Link: link, Parent: slot, Handle: handle, Options: options}
	if err := t.state.Apply(tc.Op{Verb: tc.Add, Qdisc: &q}); err != nil {
		return err
	}
	t.rememberHandle(link, slot, handle)
	t.noteLeaf(link, slot, f.seq)
	return nil
}
