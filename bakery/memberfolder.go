package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// memberFolder folds the members of a batch into a Tree that has their queues.
type memberFolder struct {
	t   *Tree
	was *tc.State // what was there before the batch, and is kept where it is the same
	c   Commit
	seq eventlog.Seq
	// uploads are the directions that are folded: upload or not.
	uploads []bool

	scarce map[string]*scarceHandles // by link
	leaves leafMemo
}

// What a memberFolder can fold.
var (
	bothDirections = []bool{false, true}
	onlyDownload   = []bool{false}
	onlyUpload     = []bool{true}
)

func newMemberFolder(t, was *Tree, c Commit, seq eventlog.Seq, uploads []bool) memberFolder {
	return memberFolder{t: t, was: was.state, c: c, seq: seq, uploads: uploads, scarce: map[string]*scarceHandles{}, leaves: leafMemo{}}
}

// fold adds the classes of the members, and then their leaves. What was there before is neither kept twice nor compared again.
func (f *memberFolder) fold() (r refusals) {
	for i, m := range f.c.Members {
		if err := f.member(m); err != nil {
			r.add(fmt.Errorf("%s: %w", f.c.name(i), err))
		}
	}
	if r.total == 0 {
		r = f.allLeaves()
	}
	if r.total == 0 {
		f.t.state.Restate(f.was)
	}
	return r
}

// member adds the classes of a member. What is wrong with it in any direction is found with the download.
func (f *memberFolder) member(m Member) error {
	if !f.uploads[0] && !f.c.checked() {
		if err := m.check(); err != nil {
			return err
		}
	}
	for _, upload := range f.uploads {
		if err := f.class(m, upload); err != nil {
			return err
		}
	}
	return nil
}

func (f *memberFolder) class(m Member, upload bool) error {
	t, d, br := f.t, f.c.directionOf(upload), m.branch(upload)
	if q := br.class.Major(); q < d.FirstMajor || q-d.FirstMajor >= d.Queues {
		return fmt.Errorf("class %s%s: %s has no such queue: the majors of that direction are %x to %x", br.class, direction(upload),
			d.Link, d.FirstMajor, d.FirstMajor+d.Queues-1)
	}
	if err := t.checkParent(d.Link, br.parent); err != nil {
		return err
	}
	quantum, err := programmedQuantum(br.ceil, f.c.Setup.R2Q)
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
	if err := t.state.ApplyLike(tc.Op{Verb: tc.Add, Class: &class}, f.was); err != nil {
		return err
	}
	n := m.note()
	n.Seq, n.AskedMbps = f.seq, askedMbps(br.rate, br.ceil)
	t.setNote(d.Link, br.class, n)
	t.nameSite(d.Link, br.parent, m)
	return nil
}

// allLeaves gives the circuits their leaves: first those whose slots had one before, so that
// no new one takes a handle away from them.
func (f *memberFolder) allLeaves() (r refusals) {
	for _, known := range []bool{true, false} {
		for i, m := range f.c.Members {
			if m.Circuit == nil {
				continue
			}
			for _, upload := range f.uploads {
				link, slot := f.c.directionOf(upload).Link, m.branch(upload).class
				if f.t.remembers(link, slot) != known || f.t.state.HasQdisc(link, slot) {
					continue
				}
				if err := f.leaf(m.Circuit, slot, upload); err != nil {
					r.add(fmt.Errorf("%s%s: %w", f.c.name(i), direction(upload), err))
				}
			}
		}
	}
	return r
}

func (f *memberFolder) leaf(circuit *AddCircuit, slot tc.Handle, upload bool) error {
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
	if err := t.state.ApplyLike(tc.Op{Verb: tc.Add, Qdisc: &q}, f.was); err != nil {
		return err
	}
	t.rememberHandle(link, slot, handle)
	t.noteLeaf(link, slot, f.seq)
	return nil
}
