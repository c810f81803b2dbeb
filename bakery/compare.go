package bakery

import (
	"fmt"

	"lqosd/bakery/tc"
)

// work is what the comparison of a link found.
type work struct {
	has    *tc.State // what counts of what the link has
	wanted *tc.State // what the records ask for, with the handles that leaves have
	// expected is what the applied records made of the link; nil when that isn't known.
	expected *tc.State
	// at are the handles that all of them are limited to; nil: they are whole.
	at []tc.Handle
}

// compare brings both sides of a link into the same form, and finds what drifted.
func (r *reconciler) compare(l *managedLink, tree *Tree, settled bool) work {
	wanted := r.wanted(l, tree)
	w := work{has: tree.withoutLines(l.name, l.scope(l.seen.State, wanted), wanted)}
	w.wanted = KeepQueues(l.name, tree.adoptHandles(l.name, wanted, w.has), w.has)
	if l.expected != nil {
		w.wanted.Restate(l.expected) // it is kept, and needs no memory of its own where it says the same
	}
	if l.restored {
		base := KeepQueues(l.name, r.base.adoptHandles(l.name, r.canonical(l, r.base.State().Only(l.name)), w.has), w.has)
		l.expected = restore(base, w.has, append(decodeKeys(l.name, l.ours.Failed), r.doubts.keys[l.name]...))
		takeInner(l.name, l.expected, w.has)
	}
	if l.reread {
		l.ordered = 0
		l.read, l.wrote = l.wrote, deeds{}
		r.expectOwn(l, w.has)
		r.findDrift(l, tree, w, settled)
	}
	l.restored, l.reread = false, false
	w.expected = l.expected
	return w
}

// takeInner gives classes with children the quantum and prio that the kernel has there, which
// nobody compares before the children have gone.
func takeInner(link string, expected, has *tc.State) {
	for c := range has.Classes(link) {
		if e, ok := expected.Class(link, c.ID); ok && expected.HasChildren(link, c.ID) && has.HasChildren(link, c.ID) {
			e.HTB.Quantum, e.HTB.Prio = c.HTB.Quantum, c.HTB.Prio
			_ = expected.Apply(tc.Op{Verb: tc.Change, Class: &e})
		}
	}
}

// expectOwn takes what became of our own last ops, and of those that failed, for what is
// expected: it explains itself, and newer records may ask for something else.
func (r *reconciler) expectOwn(l *managedLink, has *tc.State) {
	if l.expected == nil {
		return
	}
	if !tc.Differ(l.expected, has) { // after a build that went well, of all that there is
		takeInner(l.name, l.expected, has)
		return
	}
	var own []key
	for k := range l.read.objects {
		own = append(own, k.key(l.name))
	}
	for k := range r.problems {
		if k.link == l.name && k.object() {
			own = append(own, k)
		}
	}
	if len(own) > 0 {
		l.expected = restore(l.expected, has, own)
	}
}

// openDirectQlen leaves open the DirectQlen of HTBs for which no record gives one: what the
// kernel took from the link is neither asked for nor undone.
func openDirectQlen(link string, expected, wanted *tc.State) {
	var taken []tc.Qdisc
	for q := range expected.Qdiscs(link) {
		asked, _ := wanted.Qdisc(link, q.Parent)
		given, _ := asked.Options.(tc.HTB)
		if htb, ok := q.Options.(tc.HTB); ok && htb.DirectQlen.Given && !given.DirectQlen.Given {
			htb.DirectQlen = tc.Opt[uint32]{}
			q.Options = htb
			taken = append(taken, q)
		}
	}
	for _, q := range taken {
		mustApply(expected, tc.Op{Verb: tc.Change, Qdisc: &q})
	}
}

// wanted is what tree asks for on a link, in canonical form. It is kept: a link that was built is compared again at once.
func (r *reconciler) wanted(l *managedLink, tree *Tree) *tc.State {
	mark := tree.State().Mark(l.name)
	if mark == 0 || mark != l.wantedMark || l.seen.LinkInfo != l.wantedFor {
		l.wanted, l.wantedMark, l.wantedFor = r.canonical(l, tree.State().Only(l.name)), mark, l.seen.LinkInfo
	}
	return l.wanted.Clone()
}

func (r *reconciler) canonical(l *managedLink, wanted *tc.State) *tc.State {
	host := r.host
	host.Links = map[string]tc.LinkInfo{l.name: l.seen.LinkInfo}
	return tc.Canonical(wanted, host)
}

// findDrift compares what was read with what the applied records made of the link. What
// newer records change anyway isn't drift, nor what we wrote last or can't write.
func (r *reconciler) findDrift(l *managedLink, tree *Tree, w work, settled bool) {
	var list []tc.Difference
	if l.expected != nil {
		openDirectQlen(l.name, l.expected, w.wanted)
		list = r.unexplained(l, w, settled)
	}
	var seen []Drift
	for _, o := range tc.Outermost(list, l.expected, w.has) {
		d := r.describe(l, tree, o)
		if onlyHandle(o.Difference, w.wanted) {
			d.Fate, d.Ended = FateKept, &d.Seen
			r.drift.note(d)
			r.o.Logger.Info("drift, harmless", "link", l.name, "what", d.Text)
			continue
		}
		seen = append(seen, d)
	}
	still := func(k key) bool { _, failed := r.problems[k]; return failed }
	r.logDrift(r.drift.see(l.name, r.lastRead, seen, still))
}

func (r *reconciler) logDrift(fresh []Drift) {
	const most = 20 // lines at once
	for i, d := range fresh {
		if i == most {
			r.o.Logger.Warn("drift", "link", d.Link, "more", len(fresh)-most)
			break
		}
		r.o.Logger.Warn("drift", "link", d.Link, "what", d.Text, "name", d.Name)
	}
}

// unexplained are the differences from what is expected that nothing explains. While a
// reset waits nothing of newer records was applied, and nothing is explained by them.
func (r *reconciler) unexplained(l *managedLink, w work, settled bool) []tc.Difference {
	list := tc.Diff(l.expected, w.has)
	if len(list) == 0 {
		return nil
	}
	explained := map[key]bool{}
	if settled {
		explained = explains(l, w)
	}
	kept := list[:0]
	for _, d := range list {
		k := keyOf(l.name, d.Object())
		_, written := l.read.of(k.ofLink())
		if !explained[k] && !written && !r.failedWith(l, d.Object()) {
			kept = append(kept, d)
		}
	}
	return kept
}

// failedWith reports an object that couldn't be made as it is wanted, or in one of which that
// isn't known: a deletion whose answer was lost takes with it all that sits in its object.
func (r *reconciler) failedWith(l *managedLink, o tc.Object) bool {
	for in := true; in; o, in = l.expected.Container(l.name, o) {
		if _, failed := r.problems[keyOf(l.name, o)]; failed {
			return true
		}
	}
	return false
}

// explains are the objects that records newer than what was applied change, and those
// that are built anew with them.
func explains(l *managedLink, w work) map[key]bool {
	explained := map[key]bool{}
	for _, d := range tc.Diff(l.expected, w.wanted) {
		if !onlyHandle(d, w.wanted) {
			explained[keyOf(l.name, d.Object())] = true
		}
	}
	if len(explained) == 0 {
		return explained
	}
	for _, op := range tc.Plan(l.expected, w.wanted) {
		if op.Class != nil || op.Verb != tc.Replace {
			explained[opKey(l.name, op)] = true
		}
	}
	return explained
}

// onlyHandle reports a leaf that another one of the same kind and options has replaced,
// and that stays.
func onlyHandle(d tc.Difference, wanted *tc.State) bool {
	if d.Kind != tc.Replaced || d.From.Qdisc.Options != d.To.Qdisc.Options {
		return false
	}
	q, ok := wanted.Qdisc(d.Link, d.To.Qdisc.Parent)
	return ok && q.Handle == d.To.Qdisc.Handle
}

func (r *reconciler) describe(l *managedLink, tree *Tree, o tc.Outer) Drift {
	object := o.Difference.Object()
	_, name := tree.asked(l.name, object)
	d := Drift{Seen: r.lastRead, Link: l.name, Change: o.Kind.String(), Object: object.String(), Name: name,
		Text: o.String(), Inside: o.Inside, Fate: FateOpen, Fields: []DriftField{}, at: keyOf(l.name, object)}
	if o.Inside > 0 {
		d.Text += fmt.Sprintf(", with %d more in it", o.Inside)
	}
	for _, f := range o.Fields {
		d.Fields = append(d.Fields, DriftField{Name: f.Name, Wanted: f.From, Has: f.To})
	}
	return d
}
