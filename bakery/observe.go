package bakery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lqosd/bakery/tc"
)

// linkKey is the problem of a link that isn't there, readKey of links that can't be read.
func linkKey(link string) key { return key{link: link, text: "link"} }

var readKey = key{text: "read"}

// observe reads the links that aren't known, of those that the tree or we have something
// on.
func (r *reconciler) observe(ctx context.Context, tree *Tree) {
	for _, name := range r.concerned(tree) {
		if r.links[name] == nil {
			r.links[name] = &managedLink{name: name}
		}
	}
	for name, l := range r.links {
		if l.looked && !l.there {
			r.dropIdle(tree, name)
		}
	}
	r.takeStale()
	now := r.o.Now()
	if r.problems.waits(readKey, now) {
		return
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.links)) {
		if !r.links[name].fresh && !r.problems.waits(linkKey(name), now) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if len(r.links) == 0 {
			r.lastRead = now
		}
		return
	}
	seen, names, err := r.read(ctx, names)
	if ctx.Err() != nil {
		return
	}
	r.lastRead = r.o.Now()
	r.readTook = r.lastRead.Sub(now)
	r.reads++
	if err != nil {
		r.problems.add(r.lastRead, Problem{Object: "links", Error: err.Error(), at: readKey})
		if r.problems[readKey].Tried == 1 {
			r.o.Logger.Warn("reading the links", "err", err)
		}
	} else {
		delete(r.problems, readKey)
	}
	for _, name := range names {
		o, there := seen[name]
		r.sawLink(r.links[name], o, there)
		r.dropIdle(tree, name)
	}
}

// read observes links, and where that fails one by one: of one that others are changing all
// the time the rest needn't suffer. It gives the names of those that were read.
func (r *reconciler) read(ctx context.Context, names []string) (seen map[string]tc.Observed, of []string, err error) {
	known := map[string]*tc.State{} // nearly all will be the same, and needs no memory of its own then
	for _, name := range names {
		known[name] = r.links[name].expected
	}
	if seen, err = r.k.Observe(ctx, names, known); err == nil {
		return seen, names, nil
	}
	if len(names) == 1 {
		return nil, nil, err
	}
	seen, err = map[string]tc.Observed{}, nil
	for _, name := range names {
		one, errOne := r.k.Observe(ctx, []string{name}, known)
		if err = errors.Join(err, errOne); errOne == nil {
			maps.Copy(seen, one)
			of = append(of, name)
		}
	}
	return seen, of, err
}

// concerned are the links that tree asks for something on; before anything was applied
// also those that it did once, where we may have left something.
func (r *reconciler) concerned(tree *Tree) []string {
	if r.done == 0 {
		return tree.Links()
	}
	return tree.State().Links()
}

// dropIdle forgets a link on which nobody has asked for anything, if it has nothing of
// ours or isn't there.
func (r *reconciler) dropIdle(tree *Tree, name string) {
	l := r.links[name]
	_, root := tree.State().Qdisc(name, tc.Root)
	_, ingress := tree.State().Qdisc(name, tc.Ingress)
	if root || ingress || l.there && (!l.idle() || r.applied.Links[name] != (appliedLink{})) {
		return
	}
	delete(r.links, name)
	delete(r.problems, linkKey(name))
	r.drift.end(name, r.lastRead, FateGone, func(key) bool { return true })
	r.steering.classesChanged()
}

// sawLink takes up what was read of a link.
func (r *reconciler) sawLink(l *managedLink, o tc.Observed, there bool) {
	if !l.looked || l.unsure || l.there != there || there && !sameClasses(l.name, l.seen.State, o.State) {
		r.steering.classesChanged()
	}
	l.looked, l.unsure = true, false
	switch before := l.seen.Index; {
	case !there:
		r.problems.forgetLink(l.name)
		if l.there {
			r.noteLink(l, "gone", fmt.Sprintf("link %s is gone", l.name))
		}
		l.there, l.fresh = false, false
		r.problems.add(r.lastRead, Problem{Link: l.name, Object: "link " + l.name, Error: tc.ErrNoLink.Error(), at: linkKey(l.name)})
		return
	case before == 0:
		r.firstSight(l, o)
	case before != o.Index:
		r.noteLink(l, "back", fmt.Sprintf("link %s is back, with nothing of ours on it", l.name))
		l.forget()
	case !l.there: // it had another name, say
		r.noteLink(l, "back", fmt.Sprintf("link %s is back", l.name))
	}
	delete(r.problems, linkKey(l.name))
	if l.expected != nil {
		o.State.Restate(l.expected) // nearly all of it is the same, and needs no memory of its own
	}
	l.seen, l.there, l.fresh, l.reread = o, true, true, true
}

// firstSight takes up a link after the start. What the cursor says counts if it is the
// link that it speaks of. Where it says nothing of this one an mq root as MqSetup makes it is
// ours: we ended before the cursor was durable.
func (r *reconciler) firstSight(l *managedLink, o tc.Observed) {
	ours, known := r.applied.Links[l.name]
	root, _ := o.State.Qdisc(l.name, tc.Root)
	switch {
	case known && ours.Index == o.Index:
		l.ours = ours
		l.restored = ours.Clean && r.base != nil && !r.doubts.of(l.name)
	case root.Handle == tc.NewHandle(rootMajor, 0) && root.Options.Kind() == "mq":
		l.ours = appliedLink{Index: o.Index, Root: root.Handle}
	}
}

func (r *reconciler) noteLink(l *managedLink, change, text string) {
	fate := FateGone
	if change == "back" {
		fate = FateRepaired
	}
	now := r.lastRead
	r.o.Logger.Warn("drift", "link", l.name, "what", text)
	r.drift.end(l.name, now, FateGone, func(key) bool { return true })
	r.drift.note(Drift{Seen: now, Link: l.name, Change: change, Object: "link " + l.name, Text: text, Fate: fate,
		Ended: &now, Fields: []DriftField{}})
}
