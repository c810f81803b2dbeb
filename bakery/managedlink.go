package bakery

import (
	"slices"

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
	wrote, read deeds
	// repaired counts the times in a row that an object got the same op, with no record
	// newer than asked that may have been the cause; once are the ops of the first attempt since,
	// which no others came before.
	repaired map[ofLink]repeat
	once     deeds
	asked    eventlog.Seq
	// ordered is the shape of the Tree with which nothing was left to do; 0 if there was
	// something, or the link was touched since. mark is the link's in that Tree, and lines whether
	// it had opaque lines there.
	ordered eventlog.Seq
	mark    tc.Mark
	lines   bool
	// wanted is what the Tree with a Mark asked for when the link had these properties.
	wanted     *tc.State
	wantedMark tc.Mark
	wantedFor  tc.LinkInfo
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
	l.expected, l.ours, l.ordered = nil, appliedLink{}, 0
	l.wrote, l.read, l.repaired, l.once = deeds{}, deeds{}, nil, deeds{}
}

// idle reports a link on which nothing of ours is.
func (l *managedLink) idle() bool {
	return l.ours.Root == 0 && !l.ours.Ingress
}

// did takes up the ops that the kernel did in one attempt, in their order: which of them have to be
// confirmed by reading, because what a kernel makes of an addition or deletion isn't always what it was
// asked for, and how often each was needed.
func (l *managedLink) did(ops []tc.Op) {
	first := len(l.repaired) == 0 && l.once.none()
	if first {
		l.once.addAll(ops)
	}
	if first && !slices.ContainsFunc(ops, changes) {
		l.confirmLater(ops...)
		return
	}
	for _, op := range ops {
		times := 1
		if !first {
			times = l.count(op)
		}
		if op.Verb != tc.Change || times >= tooOften {
			l.confirmLater(op)
		} else if inner, fifo := insideOfTbf(op); fifo {
			l.confirmLater(inner)
		}
	}
}

func changes(op tc.Op) bool { return op.Verb == tc.Change }

// insideOfTbf names the fifo in a tbf that an op changes: the kernel sets its limit, too (tbf_change in sch_tbf.c).
func insideOfTbf(op tc.Op) (inner tc.Op, ok bool) {
	if op.Qdisc == nil {
		return inner, false
	}
	_, ok = op.Qdisc.Options.(tc.Tbf)
	return tc.Op{Verb: op.Verb, Qdisc: &tc.Qdisc{Link: op.Qdisc.Link, Parent: op.Qdisc.Handle | 1}}, ok
}

// take does ops, which the kernel did, to what was seen.
func (l *managedLink) take(ops []tc.Op) {
	for _, op := range ops {
		if err := l.seen.State.Apply(asTaken(l.seen.State, op)); err != nil {
			l.fresh, l.unsure = false, true
		}
	}
}

// built is take and did for all that target has, where nothing was: what is noted of it shares target's memory.
func (l *managedLink) built(target *tc.State) {
	l.seen.State = target.Clone()
	if target.Len() == 0 {
		return
	}
	all := deeds{link: l.name, built: target.Clone()}
	if len(l.repaired) > 0 || !l.once.none() {
		for k := range all.objects {
			op, _ := all.of(k)
			l.count(op)
		}
	} else {
		l.once = all
	}
	l.fresh, l.wrote = false, all
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

// isOf reports whether it is of op.
func (r repeat) isOf(op tc.Op) bool {
	return r.times > 0 && (r.op == op || r.op.Line() == op.Line())
}

// tooOften is how many times in a row an object gets the same op before it counts as a
// problem.
const tooOften = 3

// again is how often an object got its last op.
func (l *managedLink) again(k ofLink) repeat {
	if r, known := l.repaired[k]; known {
		return r
	}
	if op, once := l.once.of(k); once {
		return repeat{op: op, times: 1}
	}
	return repeat{}
}

func (l *managedLink) note(k ofLink, r repeat) {
	if l.repaired == nil {
		l.repaired = map[ofLink]repeat{}
	}
	l.repaired[k] = r
}

func (l *managedLink) count(op tc.Op) (times int) {
	k := opKey(l.name, op).ofLink()
	r := l.again(k)
	if !r.isOf(op) {
		r = repeat{op: op}
	}
	r.times++
	l.note(k, r)
	return r.times
}

// stuck reports an op that was done, and that is needed again all the same. It does so once
// for each time that the op was done: after a pause it is to be done again.
func (l *managedLink) stuck(op tc.Op) bool {
	k := opKey(l.name, op).ofLink()
	did, unconfirmed := l.read.of(k)
	often := l.again(k)
	if (!unconfirmed || did.Line() != op.Line()) && (often.times < tooOften || !often.isOf(op)) {
		return false
	}
	l.note(k, repeat{op: op, times: tooOften - 1})
	return true
}

func (l *managedLink) confirmLater(ops ...tc.Op) {
	if len(ops) > 0 {
		l.fresh = false
		l.wrote.addAll(ops)
	}
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
