package bakery

import (
	"context"

	"lqosd/bakery/tc"
)

// retreat drops what points to classes that ops delete, so that their packets take the
// default class until there is a class for them again. What can't be dropped holds up
// nothing: the kernel gives a handle that is dead to the default class, too.
func (r *reconciler) retreat(ctx context.Context, l *managedLink, tree *Tree, ops []tc.Op) {
	s := r.steering
	if s == nil || l.name != r.roles.Down && l.name != r.roles.Up {
		return
	}
	gone := deletedBy(l.name, l.seen.State, ops)
	if len(gone) == 0 {
		return
	}
	if !s.fresh {
		r.readSteers(ctx, tree)
	}
	if !s.fresh {
		return
	}
	var drop, rest []tc.Steer
	for _, e := range s.has {
		if r.roles.Link(e.Upload) == l.name && gone[e.Class] {
			drop = append(drop, e)
		} else {
			rest = append(rest, e)
		}
	}
	if len(drop) == 0 || !r.write(ctx, nil, drop) {
		return
	}
	s.has, s.stale = rest, true
	for _, e := range drop {
		delete(s.drifted, placeOf(e)) // it is ours again
	}
}

// deletedBy are the classes of a link that ops delete, also those that they make again.
func deletedBy(link string, state *tc.State, ops []tc.Op) map[tc.Handle]bool {
	var after *tc.State
	classes := map[tc.Handle]bool{} // that ops delete by themselves
	whole := false                  // ops delete others, too
	for _, op := range ops {
		if !deletes(link, state, op) {
			continue
		}
		if op.Class == nil {
			whole = true
		} else {
			leaf, there := state.Qdisc(link, op.Class.ID)
			whole = whole || there && state.Holds(link, leaf.Handle)
			classes[op.Class.ID] = true
		}
		if after == nil {
			after = state.Clone()
		}
		_ = after.Apply(op) // what isn't there needs no deletion
	}
	if after == nil {
		return nil
	}
	gone := map[tc.Handle]bool{}
	if !whole {
		for id := range classes {
			_, was := state.Class(link, id)
			if _, stays := after.Class(link, id); was && !stays {
				gone[id] = true
			}
		}
		return gone
	}
	for c := range state.Classes(link) {
		if _, stays := after.Class(link, c.ID); !stays {
			gone[c.ID] = true
		}
	}
	return gone
}

// deletes reports an op that may take classes away.
func deletes(link string, state *tc.State, op tc.Op) bool {
	if op.Class != nil {
		return op.Verb == tc.Delete
	}
	if op.Verb == tc.Change {
		return false
	}
	q, there := state.Qdisc(link, op.Qdisc.Parent)
	return there && state.Holds(link, q.Handle)
}
