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
	// Items are the numbers that the members had as items of their Batch, which has checked them, for refusals to name. No record has
	// them.
	Items []int `json:"-"`
}

// checked tells that each member was, by itself.
func (c Commit) checked() bool { return len(c.Items) > 0 && len(c.Items) == len(c.Members) }

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
	c.Setup.Down.Link, c.Setup.Up.Link = tc.Interned(c.Setup.Down.Link), tc.Interned(c.Setup.Up.Link)
	b := t.Clone()
	if err := b.foldMqSetup(c.Setup, seq); err != nil {
		return err
	}
	if !b.foldSides(c, t, seq) {
		f := newMemberFolder(b, t, c, seq, bothDirections)
		if r := f.fold(); r.total > 0 {
			return r.err()
		}
	}
	if err := b.stateAddresses(c, t); err != nil {
		return err
	}
	b.stated, b.statedAt = b.Generation, seq
	*t = *b
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
