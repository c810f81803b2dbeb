package bakery

import "lqosd/bakery/tc"

// doubts are what the kernel may have of records that are newer than the cursor: they may
// have been applied before the end, all, some or none of them, and the cursor doesn't tell.
type doubts struct {
	all  bool // nothing is known of any link
	link map[string]bool
	keys map[string][]key // by link
}

// doubtsAfter finds them in the records after base.
func doubtsAfter(s Source, base *Tree) (doubts, error) {
	d := doubts{link: map[string]bool{}, keys: map[string][]key{}}
	t := base.Clone()
	for raw, err := range s.Records(base.Seq + 1) {
		if err != nil {
			return d, err
		}
		r, err := DecodeRecord(raw.Seq, raw.Data)
		if err != nil {
			return d, err
		}
		d.add(t, r.Command)
		if d.all {
			break
		}
		if err := Fold(t, r); err != nil {
			return d, err
		}
	}
	return d, nil
}

// add takes up a command that is about to be folded into t.
func (d *doubts) add(t *Tree, c Command) {
	switch c := c.(type) {
	case AddStructuralHTBClass:
		d.addClass(t, askOfSite(c))
	case AddCircuitHTBClass:
		d.addClass(t, askOfCircuit(c))
	case AddCircuitQdisc:
		d.addKey(key{link: c.Link, at: tc.NewHandle(uint16(c.ParentMajor), uint16(c.ParentMinor))})
	case ChangeSiteSpeedLive:
		for _, s := range c.Classes {
			d.addKey(key{link: s.Link, class: true, at: s.ID})
		}
	default:
		d.all = d.all || c.Kind().shapes()
	}
}

// addClass doubts a class, its leaf, and what becomes of its parent with it. A class that
// moves takes with it all that is below.
func (d *doubts) addClass(t *Tree, a classAsk) {
	class, err := a.class()
	old, there := t.state.Class(a.link, class.ID)
	if err != nil || there && old.Parent != class.Parent {
		d.link[a.link] = true
		return
	}
	for _, at := range []tc.Handle{class.Parent, class.ID} {
		d.addKey(key{link: a.link, class: true, at: at})
		d.addKey(key{link: a.link, at: at})
	}
}

func (d *doubts) addKey(k key) { d.keys[k.link] = append(d.keys[k.link], k) }

// of reports a link of which nothing is known.
func (d *doubts) of(link string) bool { return d.all || d.link[link] }
