package main

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"lqosd/bakery/tc"
)

// meddler thinks out what somebody does to a tree with tc(8).
type meddler struct {
	*grower
	tree  *plantedTree
	view  tcView
	state map[string]tc.Observed // for what is built again
	link  string                 // chosen
}

// tcMeddlings are what somebody may do, by name. Each gives lines of tc(8) for m.link, none where nothing fits.
var tcMeddlings = map[string]func(m *meddler) []string{
	"class rate":           func(m *meddler) []string { return m.changeClass("rate") },
	"class ceil":           func(m *meddler) []string { return m.changeClass("ceil") },
	"class burst":          func(m *meddler) []string { return m.changeClass("burst") },
	"class cburst":         func(m *meddler) []string { return m.changeClass("cburst") },
	"class prio":           func(m *meddler) []string { return m.changeClass("prio") },
	"class quantum":        func(m *meddler) []string { return m.changeClass("quantum") },
	"class mpu":            func(m *meddler) []string { return m.changeClass("mpu") },
	"class overhead":       func(m *meddler) []string { return m.changeClass("overhead") },
	"class linklayer":      func(m *meddler) []string { return m.changeClass("linklayer") },
	"class, several":       func(m *meddler) []string { return m.changeClass("rate", "ceil", "prio", "burst") },
	"class added":          func(m *meddler) []string { return m.addClass(false) },
	"class and leaf added": func(m *meddler) []string { return m.addClass(true) },
	"class deleted":        (*meddler).deleteClass,
	"site deleted":         (*meddler).deleteSite,
	"class moved":          (*meddler).moveClass,
	"leaf options":         (*meddler).changeLeaf,
	"leaf made anew":       (*meddler).remakeLeaf,
	"leaf of another kind": (*meddler).otherKind,
	"leaf deleted":         (*meddler).deleteLeaf,
	"leaf handle":          (*meddler).otherHandle,
	"leaf added":           (*meddler).addLeaf,
	"root deleted":         func(m *meddler) []string { return []string{"qdisc del dev " + m.link + " root"} },
	"root replaced":        (*meddler).replaceRoot,
	"htb deleted":          (*meddler).deleteHTB,
	"htb emptied":          (*meddler).emptyHTB,
	"htb default":          func(m *meddler) []string { return m.rebuildHTB(" default 7") },
	"htb r2q":              func(m *meddler) []string { return m.rebuildHTB(" r2q 33") },
	// Documented as what isn't looked at:
	"direct_qlen of an htb": func(m *meddler) []string { return m.rebuildHTB(" direct_qlen 77") },
	"quantum of a site":     (*meddler).changeInner,
	"an unused queue":       (*meddler).unusedQueue,
	"clsact":                func(m *meddler) []string { return []string{"qdisc add dev " + m.link + " clsact"} },
}

// unseen are those that nothing may be reported of: the kernel doesn't take them, or documentation says that nobody looks.
var unseen = map[string]bool{"direct_qlen of an htb": true, "quantum of a site": true, "an unused queue": true, "clsact": true}

func meddlingNames() []string {
	var names []string
	for name := range tcMeddlings {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// newMeddler chooses a link.
func newMeddler(ctx context.Context, f *driftFarm, p *plantedTree, v tcView) (*meddler, error) {
	state, err := f.other.Observe(ctx, f.links, nil)
	return &meddler{grower: &f.grower, tree: p, view: v, state: state, link: f.links[f.IntN(len(f.links))]}, err
}

// spots are places of the link in order, from which the dice choose.
func (m *meddler) spots(fits func(p spot, o shownObject) bool) (spot, bool) {
	var list []spot
	for p, o := range m.view {
		if p.link == m.link && fits(p, o) {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		return spot{}, false
	}
	slices.SortFunc(list, func(a, b spot) int { return strings.Compare(a.at+fmt.Sprint(a.class), b.at+fmt.Sprint(b.class)) })
	return list[m.IntN(len(list))], true
}

func (m *meddler) inner(p spot) bool { return len(m.view.below(p.link, p.at)) > 0 }

func (m *meddler) class(fits func(p spot) bool) (spot, bool) {
	return m.spots(func(p spot, o shownObject) bool { return p.class && fits(p) })
}

// leaf is a qdisc in a class whose words are known.
func (m *meddler) leaf() (spot, bool) {
	return m.spots(func(p spot, o shownObject) bool {
		words := m.tree.leaves[p]
		kind, _, _ := strings.Cut(words, " ")
		return words != "" && o.kind == kind && m.view.has(spot{p.link, true, p.at})
	})
}

// htb is one of the HTBs.
func (m *meddler) htb() (spot, bool) {
	return m.spots(func(p spot, o shownObject) bool { return !p.class && o.kind == "htb" })
}

// classLine is a line for a class as it is, but for some words.
func (m *meddler) classLine(verb string, p spot, parent string, but map[string]string) string {
	o := m.view[p]
	line := fmt.Sprintf("class %s dev %s parent %s classid %s htb", verb, p.link, parent, p.at)
	for _, name := range []string{"rate", "ceil", "burst", "cburst", "prio", "quantum", "mpu", "overhead", "linklayer"} {
		value := o.fields[name]
		switch name { // what tc(8) shows of these is rounded
		case "burst":
			value = fmt.Sprint(m.observed(p).Burst)
		case "cburst":
			value = fmt.Sprint(m.observed(p).Cburst)
		case "mpu": // it is shown as no line may have it
			value = strings.TrimSuffix(value, "b")
		}
		if but[name] != "" {
			value = but[name]
		}
		if value != "" {
			line += " " + name + " " + value
		}
	}
	return line
}

// observed are the parameters of a class, not rounded.
func (m *meddler) observed(p spot) tc.HTBClass {
	for c := range m.state[p.link].State.Classes(p.link) {
		if c.ID.String() == p.at {
			return c.HTB
		}
	}
	return tc.HTBClass{}
}

func (m *meddler) changeClass(names ...string) []string {
	leafOnly := slices.Contains(names, "prio") || slices.Contains(names, "quantum")
	p, ok := m.class(func(p spot) bool { return !leafOnly || !m.inner(p) })
	if !ok {
		return nil
	}
	but := map[string]string{}
	for _, name := range names {
		but[name] = m.other(name, m.view[p].fields[name])
	}
	return []string{m.classLine(m.one("change", "replace"), p, m.view[p].parent, but)}
}

// other is another value than a field has.
func (m *meddler) other(name, is string) string {
	for {
		value := ""
		switch name {
		case "rate", "ceil":
			value = fmt.Sprintf("%gmbit", rates[m.IntN(len(rates))])
		case "burst", "cburst":
			value = fmt.Sprint(2000 + 700*m.IntN(90))
		case "prio":
			value = fmt.Sprint(m.IntN(8))
		case "quantum":
			value = fmt.Sprint(1500 + 500*m.IntN(60))
		case "mpu", "overhead":
			value = fmt.Sprint(8 + 8*m.IntN(12))
		case "linklayer":
			value = m.one("atm", "ethernet")
		}
		if x, number := amount(value); !number && value != is || number && !alike(name, value, is, 2000) && x > 0 || name == "prio" && value != is {
			return value
		}
	}
}

func (m *meddler) addClass(leaf bool) []string {
	p, ok := m.spots(func(p spot, o shownObject) bool { return p.class || o.kind == "htb" })
	if !ok {
		return nil
	}
	major, _, _ := strings.Cut(m.view[p].handle, ":")
	id := major + ":" + m.one("f01", "f02", "fffe")
	lines := []string{fmt.Sprintf("class add dev %s parent %s classid %s htb rate 1mbit", m.link, m.view[p].handle, id)}
	if leaf {
		lines = append(lines, fmt.Sprintf("qdisc add dev %s parent %s %s", m.link, id, m.leafs[m.IntN(len(m.leafs))](m.grower)))
	}
	return lines
}

func (m *meddler) deleteClass() []string {
	p, ok := m.class(func(p spot) bool { return !m.inner(p) })
	if !ok {
		return nil
	}
	return m.delete(p)
}

// delete removes a class, first what is below it.
func (m *meddler) delete(p spot) []string {
	var lines []string
	for _, b := range m.view.below(p.link, p.at) {
		lines = append(lines, m.delete(b)...)
	}
	return append(lines, fmt.Sprintf("class del dev %s classid %s", p.link, p.at))
}

func (m *meddler) deleteSite() []string {
	p, ok := m.class(m.inner)
	if !ok {
		return nil
	}
	return m.delete(p)
}

func (m *meddler) moveClass() []string {
	p, ok := m.class(func(p spot) bool { return !m.inner(p) })
	if !ok {
		return nil
	}
	o := m.view[p]
	major, _, _ := strings.Cut(p.at, ":")
	to, ok := m.spots(func(q spot, t shownObject) bool {
		return t.handle != o.parent && strings.HasPrefix(t.handle, major+":") && (q.class && m.inner(q) || t.kind == "htb" && !q.class)
	})
	if !ok {
		return nil
	}
	lines := append(m.delete(p), m.classLine("add", p, m.view[to].handle, nil))
	if q, leaf := m.view[p.leaf()]; leaf && m.tree.leaves[p.leaf()] != "" && m.IntN(2) == 0 {
		lines = append(lines, fmt.Sprintf("qdisc add dev %s parent %s handle %s %s", p.link, p.at, q.handle, m.tree.leaves[p.leaf()]))
	}
	return lines
}

func (m *meddler) changeLeaf() []string {
	p, ok := m.leaf()
	if !ok {
		return nil
	}
	words := m.change(m.tree.leaves[p])
	if words == "" {
		return nil
	}
	return []string{fmt.Sprintf("qdisc change dev %s parent %s handle %s %s", p.link, p.at, m.view[p].handle, words)}
}

// newLeaf is a random leaf of this kind, or of another.
func (m *meddler) newLeaf(kind string, same bool) string {
	for {
		words := m.leafs[m.IntN(len(m.leafs))](m.grower)
		if k, _, _ := strings.Cut(words, " "); (k == kind) == same {
			return words
		}
	}
}

func (m *meddler) remakeLeaf() []string {
	p, ok := m.leaf()
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("qdisc del dev %s parent %s", p.link, p.at),
		fmt.Sprintf("qdisc add dev %s parent %s handle %s %s", p.link, p.at, m.view[p].handle, m.newLeaf(m.view[p].kind, true))}
}

func (m *meddler) otherKind() []string {
	p, ok := m.leaf()
	if !ok {
		return nil
	}
	words := m.newLeaf(m.view[p].kind, false)
	if m.IntN(6) == 0 {
		words = "pfifo_head_drop limit 9" // which lqosd doesn't know
	}
	switch m.IntN(3) {
	case 0:
		return []string{fmt.Sprintf("qdisc replace dev %s parent %s handle %x: %s", p.link, p.at, 0x300+m.IntN(0x80), words)}
	case 1: // the same handle
		return []string{fmt.Sprintf("qdisc del dev %s parent %s", p.link, p.at),
			fmt.Sprintf("qdisc add dev %s parent %s handle %s %s", p.link, p.at, m.view[p].handle, words)}
	}
	return []string{fmt.Sprintf("qdisc replace dev %s parent %s %s", p.link, p.at, words)}
}

func (m *meddler) deleteLeaf() []string {
	p, ok := m.leaf()
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("qdisc del dev %s parent %s", p.link, p.at)}
}

func (m *meddler) otherHandle() []string {
	p, ok := m.leaf()
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("qdisc del dev %s parent %s", p.link, p.at),
		fmt.Sprintf("qdisc add dev %s parent %s handle %x: %s", p.link, p.at, 0x300+m.IntN(0x80), m.tree.leaves[p])}
}

func (m *meddler) addLeaf() []string {
	p, ok := m.class(func(p spot) bool { return !m.inner(p) && !m.view.has(p.leaf()) })
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("qdisc add dev %s parent %s %s", p.link, p.at, m.leafs[m.IntN(len(m.leafs))](m.grower))}
}

func (m *meddler) replaceRoot() []string {
	return []string{"qdisc replace dev " + m.link + " root handle 9" + m.one("8: htb", "9: pfifo", "a: tbf rate 1mbit burst 10k latency 50ms")}
}

// deleteHTB takes the htb of a queue away, or of the whole link.
func (m *meddler) deleteHTB() []string {
	p, ok := m.htb()
	if !ok || p.at == "root" {
		return nil
	}
	return []string{fmt.Sprintf("qdisc del dev %s parent %s", p.link, p.at)}
}

// where is the place of a qdisc in tc(8)'s words.
func (s spot) where() string {
	if s.at == "root" {
		return "root"
	}
	return "parent " + s.at
}

func (m *meddler) emptyHTB() []string {
	p, ok := m.htb()
	if !ok {
		return nil
	}
	return []string{fmt.Sprintf("qdisc del dev %s %s", p.link, p.where()),
		fmt.Sprintf("qdisc add dev %s %s handle %s htb%s", p.link, p.where(), m.view[p].handle, m.one(" default 7", "", " r2q 44"))}
}

// rebuildHTB makes an htb anew, with all that was in it, and other options.
func (m *meddler) rebuildHTB(options string) []string {
	p, ok := m.htb()
	if !ok {
		return nil
	}
	major, _, _ := strings.Cut(m.view[p].handle, ":")
	line := fmt.Sprintf("qdisc add dev %s %s handle %s: htb", p.link, p.where(), major)
	for _, name := range []string{"default", "r2q"} {
		if v := m.view[p].fields[name]; v != "" && !strings.Contains(options, name) {
			line += " " + name + " " + v
		}
	}
	lines := []string{fmt.Sprintf("qdisc del dev %s %s", p.link, p.where()), line + options}
	inside := map[string]bool{major: true}
	for _, l := range tc.Script(m.state[p.link].State) {
		w := strings.Fields(l)
		at := slices.Index(w, "parent")
		if at < 0 || slices.Contains(w, "mq") {
			continue
		}
		if in, _, _ := strings.Cut(w[at+1], ":"); inside[in] {
			lines = append(lines, l)
			if h := slices.Index(w, "handle"); h > 0 {
				inside[strings.TrimSuffix(w[h+1], ":")] = true
			}
		}
	}
	return lines
}

// changeInner gives a class with children what the kernel keeps as it is.
func (m *meddler) changeInner() []string {
	p, ok := m.class(m.inner)
	if !ok {
		return nil
	}
	return []string{m.classLine("change", p, m.view[p].parent, map[string]string{"quantum": "4321", "prio": "1"})}
}

// unusedQueue puts something on a queue of the mq that the tree has no use for.
func (m *meddler) unusedQueue() []string {
	for q := 8; q > 0; q-- {
		at := spot{m.link, false, fmt.Sprintf("7fff:%x", q)}
		if !m.tree.slots[at] && m.view.has(spot{m.link, false, "root"}) && (q <= 4 || m.link == "s0") {
			return []string{fmt.Sprintf("qdisc replace dev %s parent %s pfifo limit %d", m.link, at.at, 10+m.IntN(99))}
		}
	}
	return nil
}
