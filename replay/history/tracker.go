package history

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay"
	"lqosd/replay/diff"
)

// tracker follows what is a Target's from record to record, without looking at the whole Tree:
// what a record touched the State tells.
type tracker struct {
	target replay.Target
	marks  []linkMark // of all links, in order
	// classes are the Target's, each as a State of its own, as they were after the last record.
	classes    map[bakery.ClassRef]*tc.State
	names      map[bakery.ClassRef]string // of those, and of what was
	mapped     map[mappedKey]bakery.Mapping
	generation uint64
	digits     [16]bool // the last of the ids of those classes, and of those that were
}

// linkMark is the Mark of a link.
type linkMark struct {
	link string
	mark tc.Mark
}

// mappedKey is what a mapping is of.
type mappedKey struct {
	prefix string
	upload bool
}

// concern is what a record has to do with a Target.
type concern struct {
	asked   bool              // it names the Target
	classes []bakery.ClassRef // the Target's before or after, that may have changed
	maps    bool              // the Target's mappings may have changed
}

func (c concern) isNone() bool { return !c.asked && len(c.classes) == 0 && !c.maps }

func newTracker(g replay.Target, t *bakery.Tree) *tracker {
	k := &tracker{target: g, classes: map[bakery.ClassRef]*tc.State{}, names: map[bakery.ClassRef]string{}}
	for _, at := range g.All(t) {
		k.keep(t, at)
	}
	k.mapped = k.mappings(t)
	k.mark(t)
	return k
}

func (k *tracker) keep(t *bakery.Tree, at bakery.ClassRef) {
	n, _ := t.Note(at.Link, at.ID)
	k.classes[at], k.names[at] = part(t, at), n.Name(at.ID)
	k.digits[at.ID&15] = true
}

// name is what a class is called, or was.
func (k *tracker) name(link string, id tc.Handle) string {
	return k.names[bakery.ClassRef{Link: link, ID: id}]
}

func part(t *bakery.Tree, at bakery.ClassRef) *tc.State {
	return t.State().Part(at.Link, []tc.Handle{at.ID})
}

func (k *tracker) mark(t *bakery.Tree) {
	k.marks = k.marks[:0]
	for link, mark := range t.State().Marks() {
		k.marks = append(k.marks, linkMark{link, mark})
	}
	k.generation = t.Generation
}

// look tells what a record, after which the Tree is t, has to do with the Target.
func (k *tracker) look(t *bakery.Tree, command bakery.Command) concern {
	c := concern{asked: k.target.Asks(command)}
	if !diff.OnlyMaps(command) {
		c.classes = k.touched(t, command, c.asked)
	}
	switch command.(type) {
	case bakery.MapIPToFlow, bakery.DelIPFlow:
		c.maps = c.asked || k.steersTo(command)
	case bakery.ClearIPFlow, bakery.Commit:
		c.maps = !maps.Equal(k.mapped, k.mappings(t))
	}
	return c
}

// follow takes up what a record made of the Target.
func (k *tracker) follow(t *bakery.Tree, c concern) {
	for _, at := range c.classes {
		if delete(k.classes, at); k.target.Has(t, at) {
			k.keep(t, at)
		}
	}
	if c.maps || len(c.classes) > 0 {
		k.mapped = k.mappings(t)
	}
	k.mark(t)
}

// steersTo reports a mapping to a class of the Target, or one that was.
func (k *tracker) steersTo(command bakery.Command) bool {
	switch c := command.(type) {
	case bakery.MapIPToFlow:
		for at := range k.classes {
			if at.ID == tc.Handle(c.Handle) {
				return true
			}
		}
		return k.isMapped(c.Address, c.Upload)
	case bakery.DelIPFlow:
		return k.isMapped(c.Address, c.Upload)
	}
	return false
}

func (k *tracker) isMapped(address string, upload bool) bool {
	if len(k.mapped) == 0 {
		return false
	}
	p, err := replay.ParsePrefix(address)
	_, there := k.mapped[mappedKey{p.String(), upload}]
	return err == nil && there
}

// touched are the Target's classes at which the State may have changed, and which it may have
// gained, in order.
func (k *tracker) touched(t *bakery.Tree, command bakery.Command, asked bool) []bakery.ClassRef {
	if !k.target.Named() {
		return nil
	}
	var found []bakery.ClassRef
	consider := func(at bakery.ClassRef) {
		if k.classes[at] != nil || k.target.Has(t, at) {
			found = append(found, at)
		}
	}
	if asked || k.mayBe(command) {
		consider(setBy(command)) // it may have another name now, and nothing else
	}
	_, all := command.(bakery.Commit)
	n := 0
	for link, mark := range t.State().Marks() {
		if n >= len(k.marks) || k.marks[n].link != link {
			all = true
			break
		}
		if since := k.marks[n].mark; since != mark && (k.target.Link == "" || k.target.Link == link) {
			known := t.State().EachTouched(link, since, func(h tc.Handle) { consider(bakery.ClassRef{Link: link, ID: h}) })
			all = all || !known
		}
		n++
	}
	all = all || n != len(k.marks)
	if all {
		found = slices.AppendSeq(found, maps.Keys(k.classes))
		found = append(found, k.target.All(t)...)
	}
	if len(found) < 2 {
		return found
	}
	return slices.Compact(sortedRefs(slices.Values(found)))
}

func sortedRefs(refs iter.Seq[bakery.ClassRef]) []bakery.ClassRef {
	return slices.SortedFunc(refs, func(a, b bakery.ClassRef) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.ID, b.ID))
	})
}

// mayBe reports whether a command may set a class of the Target, by the last digit of its id: few do, and to read an id takes time.
func (k *tracker) mayBe(command bakery.Command) bool {
	id := ""
	switch c := command.(type) {
	case bakery.AddStructuralHTBClass:
		id = c.ClassID
	case bakery.AddCircuitHTBClass:
		id = c.ClassID
	case bakery.AddCircuitQdisc:
		return k.digits[c.ParentMinor&15]
	}
	if id == "" {
		return false
	}
	switch d := id[len(id)-1]; {
	case '0' <= d && d <= '9':
		return k.digits[d-'0']
	case 'a' <= d|32 && d|32 <= 'f':
		return k.digits[d|32-'a'+10]
	}
	return false
}

// setBy is the class that a command of one class sets.
func setBy(command bakery.Command) bakery.ClassRef {
	var link, parent, id string
	switch c := command.(type) {
	case bakery.AddStructuralHTBClass:
		link, parent, id = c.Link, c.Parent, c.ClassID
	case bakery.AddCircuitHTBClass:
		link, parent, id = c.Link, c.Parent, c.ClassID
	case bakery.AddCircuitQdisc:
		return bakery.ClassRef{Link: c.Link, ID: tc.NewHandle(uint16(c.ParentMajor), uint16(c.ParentMinor))}
	default:
		return bakery.ClassRef{}
	}
	above, err := tc.ParseHandle(parent)
	if err != nil {
		return bakery.ClassRef{}
	}
	class, err := tc.ParseClassID(id, above)
	if err != nil {
		return bakery.ClassRef{}
	}
	return bakery.ClassRef{Link: link, ID: class}
}

// mappings are the Target's.
func (k *tracker) mappings(t *bakery.Tree) map[mappedKey]bakery.Mapping {
	list := map[mappedKey]bakery.Mapping{}
	ids := map[tc.Handle]bool{}
	for at := range k.classes {
		ids[at.ID] = true
	}
	for m := range t.Mappings {
		if k.target.Steers(m) || !k.target.Address.IsValid() && ids[m.Handle] {
			m.Generation = 0 // mapped again is no difference
			list[mappedKey{m.Prefix.String(), m.Upload}] = m
		}
	}
	return list
}
