package plan

import (
	"fmt"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/listing"
)

// Effect is what traffic notices of a step.
type Effect string

// The effects. docs/replay.md names the source of each.
const (
	EffectNone        Effect = "none"        // nothing is lost
	EffectNew         Effect = "new"         // only what wasn't there before is concerned
	EffectGone        Effect = "gone"        // only what isn't wanted any more is concerned
	EffectQueue       Effect = "queue"       // what is queued in a class is lost
	EffectAbsent      Effect = "absent"      // that, and the class is away for a while
	EffectInterrupted Effect = "interrupted" // all that is queued on a link is lost, and all its classes are away
	EffectUnknown     Effect = "unknown"
)

// never is the step at which nothing happens.
const never = -1

// fate is what becomes of a class. Its numbers are those of steps.
type fate struct {
	from, to         bool // it is there before, after
	lost, made       int  // when it goes, when it comes
	queue            int  // when its queue goes, if the class stays
	limit            string
	changed          bool // in place, itself or its leaf
	unmapped, mapped []int
}

func (b *planner) fateOf(c bakery.ClassRef) *fate {
	f, known := b.fates[c]
	if !known {
		f = &fate{lost: never, made: never, queue: never}
		b.fates[c] = f
	}
	return f
}

// spot is where an object is: a class by its id, a qdisc by its place.
type spot struct {
	link  string
	class bool
	at    tc.Handle
}

func spotOf(link string, o tc.Object) spot {
	if o.Class != nil {
		return spot{link, true, o.Class.ID}
	}
	return spot{link, false, o.Qdisc.Parent}
}

// happened is what ops do at a spot; never where they don't.
type happened struct{ deleted, made, changed int }

// tell works out what traffic notices of the ops.
func (b *planner) tell() {
	done := map[spot]happened{}
	for _, op := range b.ops {
		at := spotOf(op.Link(), tc.Object{Qdisc: op.Qdisc, Class: op.Class})
		h, known := done[at]
		if !known {
			h = happened{never, never, never}
		}
		switch op.Verb {
		case tc.Delete:
			h.deleted = op.step
		case tc.Change:
			h.changed = op.step
		default:
			h.made = op.step
		}
		done[at] = h
	}
	for link, to := range b.to {
		b.findFates(link, b.has[link], to, done)
	}
	for _, op := range b.ops {
		s := &b.plan.Steps[op.step]
		if op.Class != nil {
			s.Effect, s.Text = b.classEffect(op)
		} else {
			s.Effect, s.Text = b.qdiscEffect(op, done)
		}
		if s.Effect == EffectInterrupted && (len(b.cut) == 0 || b.cut[len(b.cut)-1] != s.Link) {
			b.cut = append(b.cut, s.Link)
		}
	}
	for i := range b.plan.Steps {
		if s := &b.plan.Steps[i]; s.Object == "mapping" && s.Change == "added" {
			s.Text = "from now on its packets take the class"
		}
	}
	b.sumUp()
}

// at is when ops take the object away, with what it sits in or by itself; a qdisc also when another takes its place.
func lostAt(link string, s *tc.State, o tc.Object, done map[spot]happened) int {
	first := never
	for in := true; in; o, in = s.Container(link, o) {
		h, touched := done[spotOf(link, o)]
		if !touched {
			continue
		}
		at := h.deleted
		if at == never && o.Qdisc != nil {
			at = h.made
		}
		if at != never && (first == never || at < first) {
			first = at
		}
	}
	return first
}

func (b *planner) findFates(link string, has, to *tc.State, done map[spot]happened) {
	for c := range has.Classes(link) {
		f := b.fateOf(bakery.ClassRef{Link: link, ID: c.ID})
		f.from = true
		f.lost = lostAt(link, has, tc.Object{Class: &c}, done)
		if f.lost == never {
			b.findQueue(f, c, has, to, done)
			if h, touched := done[spot{link, true, c.ID}]; touched && h.changed != never {
				f.changed = true
			}
		}
		f.limit = b.queueOf(has, link, c.ID)
	}
	for c := range to.Classes(link) {
		f := b.fateOf(bakery.ClassRef{Link: link, ID: c.ID})
		f.to = true
		if h, touched := done[spot{link, true, c.ID}]; touched {
			f.made = h.made
		}
	}
}

// findQueue finds when the queue of a class that stays goes: its leaf is replaced, or makes way for the first child.
func (b *planner) findQueue(f *fate, c tc.Class, has, to *tc.State, done map[spot]happened) {
	if inner(has, c.Link, c.ID) {
		return
	}
	if h, touched := done[spot{c.Link, false, c.ID}]; touched {
		f.queue = max(h.deleted, h.made)
		if h.deleted != never && h.made != never {
			f.queue = h.deleted
		}
		f.changed = f.changed || h.changed != never
		return
	}
	for child := range to.Children(c.Link, c.ID) {
		if h, touched := done[spot{c.Link, true, child.ID}]; touched && h.made != never && (f.queue == never || h.made < f.queue) {
			f.queue = h.made
		}
	}
}

func inner(s *tc.State, link string, class tc.Handle) bool {
	for range s.Children(link, class) {
		return true
	}
	return false
}

// queueOf is the most that the queue of a class can hold, in words; "" where that isn't known.
func (b *planner) queueOf(s *tc.State, link string, class tc.Handle) string {
	if inner(s, link, class) {
		return ""
	}
	q, leaf := s.Qdisc(link, class)
	if !leaf { // the kernel's own fifo
		return mostOf(tc.Pfifo{})
	}
	return mostOf(q.Options)
}

func (b *planner) classEffect(op plannedOp) (Effect, string) {
	link := op.Class.Link
	f := b.fateOf(bakery.ClassRef{Link: link, ID: op.Class.ID})
	switch {
	case op.Verb == tc.Change:
		return EffectNone, "in place: nothing is lost"
	case op.Verb == tc.Delete && f.to:
		return EffectAbsent, fmt.Sprintf("it is made anew as step %d: until then its packets take the default class, and what is queued in it is lost%s", f.made+1, brackets(f.limit))
	case op.Verb == tc.Delete:
		return EffectGone, "it goes with what is queued in it" + brackets(f.limit)
	case f.from:
		return EffectAbsent, fmt.Sprintf("it is there again, %s after it went", listing.Count(f.made-f.lost, "step"))
	}
	if p, there := b.fates[bakery.ClassRef{Link: link, ID: op.Class.Parent}]; there && p.from && p.queue == op.step &&
		b.takesPackets(bakery.ClassRef{Link: link, ID: op.Class.Parent}, p) {
		return EffectQueue, fmt.Sprintf("new; class %s, which had none below it, loses what is queued in it%s", op.Class.Parent, brackets(p.limit))
	}
	return EffectNew, "new"
}

func (b *planner) qdiscEffect(op plannedOp, done map[spot]happened) (Effect, string) {
	link, place := op.Qdisc.Link, op.Qdisc.Parent
	has, to := b.has[link], b.to[link]
	old, was := has.Qdisc(link, place)
	switch {
	case op.Verb == tc.Change:
		return EffectNone, changedInPlace(old.Options, op.Qdisc.Options)
	case place == tc.Ingress:
		return EffectNone, "it has no queue"
	case place == tc.Root:
		return EffectInterrupted, "everything on " + link + " is interrupted, and what is queued there is lost"
	}
	if _, ofClass := to.Class(link, place); ofClass {
		return b.leafEffect(op, old, was)
	}
	if f, ofClass := b.fates[bakery.ClassRef{Link: link, ID: place}]; ofClass && f.from {
		return EffectGone, "it goes with its class"
	}
	switch {
	case lostAt(link, has, tc.Object{Qdisc: &tc.Qdisc{Link: link, Parent: place}}, done) < op.step && op.Verb != tc.Delete && was:
		return EffectAbsent, "in place of what went"
	case was && has.Holds(link, old.Handle):
		return EffectAbsent, "all that is in it goes, with what is queued there"
	case was:
		return EffectQueue, "what is queued there is lost" + brackets(mostOf(old.Options))
	}
	if _, root := has.Qdisc(link, tc.Root); !root {
		return EffectNew, "new"
	}
	return EffectQueue, "what the kernel's own queue there has is lost"
}

// leafEffect is that of an op on the leaf of a class that is wanted.
func (b *planner) leafEffect(op plannedOp, old tc.Qdisc, was bool) (Effect, string) {
	f := b.fateOf(bakery.ClassRef{Link: op.Qdisc.Link, ID: op.Qdisc.Parent})
	switch {
	case !f.from:
		return EffectNew, "new"
	case f.lost != never:
		return EffectAbsent, "with its class"
	case f.queue < op.step:
		return EffectQueue, "in place of what went"
	case !was:
		return EffectQueue, "what the kernel's own fifo there has queued is lost" + brackets(mostOf(tc.Pfifo{}))
	}
	return EffectQueue, "what is queued in it is lost" + brackets(mostOf(old.Options))
}

func brackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
