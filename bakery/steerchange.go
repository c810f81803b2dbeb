package bakery

import "lqosd/bakery/tc"

// steerChange leads from what the dataplane has to what is wanted.
type steerChange struct {
	s      *steering
	tree   *Tree
	roles  Roles
	exists func(link string, class tc.Handle) bool
	report bool // drift is only reported
	due    bool // what records removed goes now

	set, drop []tc.Steer
	next      []tc.Steer          // what the dataplane has then
	lingers   int                 // those of next that records removed
	left      map[steerPlace]bool // what somebody else changed and is only reported
}

// compute fills in what there is to do, and gives the number of mappings that wait for
// their class.
func (c *steerChange) compute() (waiting int) {
	wanted, waiting := c.tree.Steers(c.roles, c.exists)
	has := c.s.has
	if len(has) == 0 && len(c.s.drifted) == 0 { // all of it is missing
		c.set, c.next = wanted, wanted
		return waiting
	}
	c.next = make([]tc.Steer, 0, max(len(wanted), len(has)))
	for h, w := range tc.PairSteers(has, wanted) {
		switch {
		case w == nil:
			c.surplus(*h)
		case h == nil:
			c.missing(*w)
		default:
			c.both(*h, *w)
		}
	}
	return waiting
}

func (c *steerChange) missing(w tc.Steer) {
	if c.leaves(w, steerEntry{w, true}) {
		return
	}
	c.set, c.next = append(c.set, w), append(c.next, w)
}

func (c *steerChange) both(h, w tc.Steer) {
	switch {
	case h == w:
		c.next = append(c.next, w)
	case c.leaves(w, steerEntry{w, true}):
		c.next = append(c.next, h)
	default:
		c.set, c.next = append(c.set, w), append(c.next, w)
	}
}

// surplus drops what isn't wanted, or lets it be for the time being.
func (c *steerChange) surplus(h tc.Steer) {
	_, foreign := c.s.drifted[placeOf(h)]
	switch {
	case foreign && c.leaves(h, steerEntry{}):
		c.next = append(c.next, h)
	case !foreign && !c.due && !c.tree.mappedTo(h, c.roles) && c.exists(c.roles.Link(h.Upload), h.Class):
		c.next = append(c.next, h)
		c.lingers++
	default:
		c.drop = append(c.drop, h)
	}
}

// leaves reports a place that somebody else changed and that stays so: drift is only
// reported, and what is wanted is what was there before.
func (c *steerChange) leaves(at tc.Steer, wanted steerEntry) bool {
	if !c.report || len(c.s.drifted) == 0 {
		return false
	}
	p := placeOf(at)
	if was, foreign := c.s.drifted[p]; !foreign || was != wanted {
		return false
	}
	if c.left == nil {
		c.left = map[steerPlace]bool{}
	}
	c.left[p] = true
	return true
}
