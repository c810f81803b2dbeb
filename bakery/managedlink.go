package bakery

import (
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// managedLink is what the reconciler knows of a link.
type managedLink struct {
	name     string
	there    bool
	looked   bool        // it was read, if it was there
	unsure   bool        // an op failed since, and may have been done all the same
	fresh    bool        // seen is what the link has, as far as anybody told us
	reread   bool        // it was read since it was last compared
	restored bool        // expected is what the cursor stands for
	seen     tc.Observed // as it was read, with our own ops since

	// expected is what the applied records made of the link, in canonical form; nil
	// when that isn't known: a kernel that is new, or one that we left in the middle.
	expected *tc.State
	ours     appliedLink
	// wrote are the ops since the last reading that a reading has to confirm, and read
	// those that the last one was to confirm.
	wrote, read map[ofLink]tc.Op
	// repaired counts the times in a row that an object got the same op, with no record
	// newer than asked that may have been the cause.
	repaired map[ofLink]repeat
	asked    eventlog.Seq
	// ordered is the shape of the Tree with which nothing was left to do; 0 if there was
	// something, or the link was touched since. mark is the link's in that Tree, and lines whether
	// it had opaque lines there.
	ordered eventlog.Seq
	mark    tc.Mark
	lines   bool
}

// putInOrder notes that nothing is left to do.
func (l *managedLink) putInOrder(tree *Tree) {
	l.ordered, l.mark, l.lines = tree.shaped, tree.State().Mark(l.name), tree.hasLines(l.name)
}

// inOrder reports a link that was in order, and that nothing has happened to since.
func (l *managedLink) inOrder(tree *Tree) bool {
	return l.ordered != 0 && l.ordered == tree.shaped && !l.reread
}

// untouched reports a link that was in order with a Tree that asks for the same on it.
func (l *managedLink) untouched(tree *Tree) bool {
	return l.wasInOrder(tree) && l.mark != 0 && l.mark == tree.State().Mark(l.name)
}

// wasInOrder reports a link that was in order with an older Tree, and to which only what
// that and tree have different can have happened since.
func (l *managedLink) wasInOrder(tree *Tree) bool {
	return l.ordered != 0 && !l.reread && l.lines == tree.hasLines(l.name)
}

// scope is what of the link's State counts.
func (l *managedLink) scope(has, wanted *tc.State) *tc.State {
	return scope(l.name, has, wanted, l.ours)
}

// scope is what counts of the State that a link has: without an ingress or clsact qdisc
// and without a root that nobody asked us for. wanted is what the records ask for.
func scope(link string, has, wanted *tc.State, ours appliedLink) *tc.State {
	foreign := func(place tc.Handle, ours bool) bool {
		_, there := has.Qdisc(link, place)
		_, asked := wanted.Qdisc(link, place)
		return there && !asked && !ours
	}
	root, _ := has.Qdisc(link, tc.Root)
	for place, ours := range map[tc.Handle]bool{
		tc.Ingress: ours.Ingress,
		tc.Root:    ours.Root != 0 && ours.Root == root.Handle,
	} {
		if foreign(place, ours) {
			has = has.Clone()
			mustApply(has, tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: link, Parent: place}})
		}
	}
	return has
}

// Scope is what counts of the State that a link has when it is compared with wanted, for
// who doesn't know what was applied: an mq root as MqSetup makes it is ours.
func Scope(link string, has, wanted *tc.State) *tc.State {
	return scope(link, has, wanted, appliedLink{Root: tc.NewHandle(rootMajor, 0)})
}

// own notes what of ours is on the link, or about to be. What is ours and isn't wanted
// any more stays ours for as long as it is there.
func (l *managedLink) own(wanted *tc.State) {
	root, asked := wanted.Qdisc(l.name, tc.Root)
	if left, there := l.seen.State.Qdisc(l.name, tc.Root); !asked && there && left.Handle == l.ours.Root {
		root = left
	}
	_, ingress := wanted.Qdisc(l.name, tc.Ingress)
	_, left := l.seen.State.Qdisc(l.name, tc.Ingress)
	l.ours = appliedLink{Index: l.seen.Index, Root: root.Handle, Ingress: ingress || left && l.ours.Ingress,
		Clean: l.ours.Clean, Failed: l.ours.Failed}
}

// forget makes the link one that nothing was applied to.
func (l *managedLink) forget() {
	l.expected, l.ours, l.wrote, l.read, l.repaired, l.ordered = nil, appliedLink{}, nil, nil, nil, 0
}

// idle reports a link on which nothing of ours is.
func (l *managedLink) idle() bool {
	return l.ours.Root == 0 && !l.ours.Ingress
}

// done takes an op that the kernel did into what was seen, and whether it has to be
// confirmed by reading: what a kernel makes of an addition or deletion isn't always what
// it was asked for.
func (l *managedLink) done(op tc.Op) {
	if err := l.seen.State.Apply(asTaken(l.seen.State, op)); err != nil {
		l.fresh, l.unsure = false, true
	}
	l.count(op)
	if k := opKey(l.name, op); op.Verb != tc.Change || l.repaired[k.ofLink()].times >= tooOften {
		l.confirmLater(k, op)
		return
	}
	if op.Qdisc == nil {
		return
	}
	if _, tbf := op.Qdisc.Options.(tc.Tbf); tbf {
		// The kernel sets the limit of the fifo in it, too (tbf_change in sch_tbf.c).
		l.confirmLater(key{link: l.name, at: op.Qdisc.Handle | 1}, op)
	}
}

// asTaken is op as a kernel in state s takes it: quantum and prio of a class with children
// stay what they are (htb_change_class in sch_htb.c), and count again when those have gone.
func asTaken(s *tc.State, op tc.Op) tc.Op {
	if op.Class == nil || op.Verb == tc.Delete {
		return op
	}
	if old, there := s.Class(op.Class.Link, op.Class.ID); there && s.HasChildren(old.Link, old.ID) {
		c := *op.Class
		c.HTB.Quantum, c.HTB.Prio = old.HTB.Quantum, old.HTB.Prio
		op.Class = &c
	}
	return op
}

// repeat is an op that an object got several times in a row.
type repeat struct {
	op    tc.Op
	times int
}

// isOf reports whether it is of op. The line that tells them apart isn't kept: a link that is
// built gets tens of thousands of ops that no other follows.
func (r repeat) isOf(op tc.Op) bool {
	return r.times > 0 && (r.op == op || r.op.Line() == op.Line())
}

// tooOften is how many times in a row an object gets the same op before it counts as a
// problem.
const tooOften = 3

// makeRoom prepares for what is noted of ops: maps that grow take longer than all else here.
func (l *managedLink) makeRoom(ops []tc.Op) {
	made := 0
	for _, op := range ops {
		if op.Verb != tc.Change {
			made++
		}
	}
	if len(l.repaired) == 0 {
		l.repaired = make(map[ofLink]repeat, len(ops))
	}
	if len(l.wrote) == 0 {
		l.wrote = make(map[ofLink]tc.Op, made)
	}
}

func (l *managedLink) count(op tc.Op) {
	if l.repaired == nil {
		l.repaired = map[ofLink]repeat{}
	}
	k := opKey(l.name, op).ofLink()
	r := l.repaired[k]
	if !r.isOf(op) {
		r = repeat{op: op}
	}
	r.times++
	l.repaired[k] = r
}

// stuck reports an op that was done, and that is needed again all the same. It does so once
// for each time that the op was done: after a pause it is to be done again.
func (l *managedLink) stuck(op tc.Op) bool {
	k := opKey(l.name, op).ofLink()
	did, unconfirmed := l.read[k]
	often := l.repaired[k]
	if (!unconfirmed || did.Line() != op.Line()) && (often.times < tooOften || !often.isOf(op)) {
		return false
	}
	l.repaired[k] = repeat{op: op, times: tooOften - 1}
	return true
}

func (l *managedLink) confirmLater(k key, op tc.Op) {
	l.fresh = false
	if l.wrote == nil {
		l.wrote = map[ofLink]tc.Op{}
	}
	l.wrote[k.ofLink()] = op
}

// sameClasses reports whether two States of a link have classes with the same ids.
func sameClasses(link string, a, b *tc.State) bool {
	if a == nil || b == nil || a.ClassCount(link) != b.ClassCount(link) {
		return false
	}
	for c := range a.Classes(link) {
		if _, ok := b.Class(link, c.ID); !ok {
			return false
		}
	}
	return true
}
