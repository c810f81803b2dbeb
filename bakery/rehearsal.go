package bakery

import (
	"fmt"
	"time"

	"lqosd/bakery/tc"
)

// Rehearsal does with commands what a bakery would, on a copy of a Tree, and appends nothing: it
// tells what would become of them.
type Rehearsal struct{ f folder }

// Rehearse begins one at t, which stays as it is. setup is asked for what the configuration says
// about the skeleton, as Options.Setup is.
func Rehearse(t *Tree, setup func() (Setup, error), now func() time.Time) (*Rehearsal, error) {
	s, err := setup()
	if err != nil {
		return nil, fmt.Errorf("rehearsing: %w", err)
	}
	return &Rehearsal{folder{o: Options{Setup: setup, Now: now}, tree: t.Clone(), setup: s}}, nil
}

// Submit folds the commands, and answers as a bakery would whose log takes everything. A Key isn't known
// from before.
func (r *Rehearsal) Submit(s Submission) []Outcome {
	t := newTicket(s)
	r.f.admit(t)
	return t.outcomes
}

// Tree is what came out so far. It is the caller's to read, not to change.
func (r *Rehearsal) Tree() *Tree { return r.f.tree }

// Roles are the links of the two directions now.
func (r *Rehearsal) Roles() Roles { return r.f.setup.Roles() }

// Sides brings what a link has and what t asks for on it into the form in which the reconciler compares them,
// and makes a plan of the difference. What before asked for on the link was applied, and so is
// ours; a root, clsact or ingress qdisc that neither asks for isn't touched.
func (t *Tree) Sides(link string, o tc.Observed, host tc.Host, before *Tree) (has, wanted *tc.State) {
	root, _ := before.state.Qdisc(link, tc.Root)
	_, ingress := before.state.Qdisc(link, tc.Ingress)
	asked := canonicalOn(link, t.state.Only(link), o, host)
	return t.sides(link, o.State, asked, appliedLink{Root: root.Handle, Ingress: ingress})
}

// sides are what counts of what a link has, and what is wanted there; asked is what t asks for, in the link's form.
func (t *Tree) sides(link string, seen, asked *tc.State, ours appliedLink) (has, wanted *tc.State) {
	has = t.withoutLines(link, scope(link, seen, asked, ours), asked)
	return has, KeepQueues(link, t.adoptHandles(link, asked, has), has)
}

// canonicalOn is what is wanted of a link in the form in which that link has it.
func canonicalOn(link string, wanted *tc.State, o tc.Observed, host tc.Host) *tc.State {
	host.Links = map[string]tc.LinkInfo{link: o.LinkInfo}
	return tc.Canonical(wanted, host)
}

// HoldsFilters reports an op that makes a qdisc at which filters can hang: the opaque lines of its link are run again after it.
func HoldsFilters(op tc.Op) bool {
	return op.Qdisc != nil && (op.Verb == tc.Add || op.Verb == tc.Replace) && holdsFilters(op.Qdisc)
}

// DeletedBy are the classes of a link that ops delete, also those that they make again: their mappings are dropped before.
func DeletedBy(link string, state *tc.State, ops []tc.Op) map[tc.Handle]bool {
	return deletedBy(link, state, ops)
}
