package plan

import (
	"fmt"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay/diff"
)

// Plan is what a daemon in apply mode would do if some commands were sent to it.
type Plan struct {
	At       eventlog.Seq     `json:"at"`       // the record after which the commands come
	Against  string           `json:"against"`  // what the ops are planned for: "log", "live", or files
	Commands int              `json:"commands"` // that were asked for
	Refused  []RefusedCommand `json:"refused"`
	Steps    []Step           `json:"steps"` // in the daemon's order
	Totals   Totals           `json:"totals"`
	Traffic  Traffic          `json:"traffic"`
	Notes    []string         `json:"notes"` // what else there is to know
}

// RefusedCommand is a command that the daemon wouldn't take.
type RefusedCommand struct {
	Line    int    `json:"line"` // of the file, from 1
	Request string `json:"request"`
	Why     string `json:"why"`
}

// Step is one thing that would be done.
type Step struct {
	Change string `json:"change"` // added, removed, changed, replaced, run
	Object string `json:"object"` // class, qdisc, mapping, line
	Link   string `json:"link,omitempty"`
	ID     string `json:"id"`             // classid, a qdisc's parent, a prefix, a line
	Line   string `json:"line"`           // as tc(8) takes it; of a mapping what it says
	Name   string `json:"name,omitempty"` // of the site or circuit
	Effect Effect `json:"effect"`         // the worst that traffic notices of it
	Text   string `json:"text"`           // the same in words
}

// Totals counts steps.
type Totals struct {
	Ops      int `json:"ops"` // on qdiscs and classes
	Added    int `json:"added"`
	Changed  int `json:"changed"` // in place
	Replaced int `json:"replaced"`
	Removed  int `json:"removed"`
	Mappings int `json:"mappings"` // set or dropped
	Lines    int `json:"lines"`    // that tc(8) runs
}

// Planning is what New starts from.
type Planning struct {
	Before, After           *bakery.Tree // without and with the commands
	RolesBefore, RolesAfter bakery.Roles
	Against                 string
	// Live is what is to be changed; nil: what Before asks for, as if a kernel had it.
	Live *diff.Live
	// Only are the links of which Live tells; nil: it tells of all.
	Only []string
}

// New plans what leads from Live to what After asks for, as the daemon's reconciler would go about it, link
// by link, with drift repaired: what is deleted is unmapped first, then come the ops, then mappings, then
// the lines that aren't modelled.
func New(p Planning) Plan {
	b := planner{p: p, plan: Plan{At: p.Before.Seq, Against: p.Against, Refused: []RefusedCommand{}, Steps: []Step{}, Notes: []string{}},
		fates: map[bakery.ClassRef]*fate{}, has: map[string]*tc.State{}, to: map[string]*tc.State{}, rerun: map[string]bool{}, mapped: map[bakery.ClassRef]bool{}}
	b.name = diff.NameOf(p.Before, p.After)
	b.steers = b.steersBefore()
	b.noteMapped(b.steers)
	for _, link := range b.links() {
		b.onLink(link)
	}
	b.remap()
	b.lines()
	b.tell()
	return b.plan
}

// Nothing reports a plan without a step.
func (p Plan) Nothing() bool { return len(p.Steps) == 0 }

type planner struct {
	p      Planning
	plan   Plan
	name   func(link string, id tc.Handle) string
	has    map[string]*tc.State // by link: what it has
	to     map[string]*tc.State // by link: what it is to have; links that are there
	fates  map[bakery.ClassRef]*fate
	rerun  map[string]bool          // links whose lines are run again
	cut    []string                 // links that are interrupted
	steers []tc.Steer               // that there are so far
	mapped map[bakery.ClassRef]bool // classes that addresses lead to
	ops    []plannedOp
}

// plannedOp is an op and its place among the steps.
type plannedOp struct {
	tc.Op
	step int
}

func (b *planner) note(format string, args ...any) {
	b.plan.Notes = append(b.plan.Notes, fmt.Sprintf(format, args...))
}

func (b *planner) links() []string {
	links := append(b.p.Before.Links(), b.p.After.Links()...)
	slices.Sort(links)
	links = slices.Compact(links)
	if b.p.Only != nil {
		links = slices.DeleteFunc(links, func(l string) bool { return !slices.Contains(b.p.Only, l) })
	}
	return links
}

func (b *planner) host() tc.Host {
	if b.p.Live == nil {
		return tc.Host{}
	}
	return b.p.Live.Host
}

// observed is what the link has; false if it isn't there.
func (b *planner) observed(link string) (tc.Observed, bool) {
	if b.p.Live == nil {
		return tc.Observed{State: tc.Canonical(b.p.Before.State().Only(link), tc.Host{})}, true
	}
	o, there := b.p.Live.Links[link]
	return o, there
}

// onLink plans the ops on a link, and the mappings that have to go before.
func (b *planner) onLink(link string) {
	o, there := b.observed(link)
	if !there {
		if n := b.p.After.State().QdiscCount(link) + b.p.After.State().ClassCount(link); n > 0 {
			b.note("link %s isn't there: it is waited for, and %d qdiscs and classes with it", link, n)
		}
		return
	}
	has, wanted := b.p.After.Sides(link, o, b.host(), b.p.Before)
	b.has[link], b.to[link] = has, wanted
	if b.p.Live != nil {
		b.noteDrift(link, o)
	}
	if len(tc.Diff(has, wanted)) == 0 {
		return
	}
	ops := tc.Plan(has, wanted)
	b.unmap(link, bakery.DeletedBy(link, has, ops))
	for _, op := range ops {
		b.addOp(op)
	}
}

// noteDrift tells that the link isn't as the log has it already.
func (b *planner) noteDrift(link string, o tc.Observed) {
	has, wanted := b.p.Before.Sides(link, o, b.host(), b.p.Before)
	if n := len(tc.Diff(has, wanted)); n > 0 {
		b.note("link %s differs from record %d in %d places already: what is planned brings that in order, too", link, b.p.Before.Seq, n)
	}
}

var opChange = map[tc.Verb]string{tc.Add: "added", tc.Replace: "replaced", tc.Change: "changed", tc.Delete: "removed"}

func (b *planner) addOp(op tc.Op) {
	s := Step{Change: opChange[op.Verb], Object: "qdisc", Link: op.Link(), Line: op.Line()}
	var id tc.Handle
	if op.Class != nil {
		s.Object, id = "class", op.Class.ID
	} else {
		id = op.Qdisc.Parent
	}
	if _, there := b.has[s.Link].Qdisc(s.Link, id); op.Verb == tc.Replace && !there {
		s.Change = "added"
	}
	s.ID, s.Name = id.String(), b.name(s.Link, id)
	b.ops = append(b.ops, plannedOp{op, len(b.plan.Steps)})
	b.plan.Steps = append(b.plan.Steps, s)
	b.rerun[s.Link] = b.rerun[s.Link] || bakery.HoldsFilters(op)
	t := &b.plan.Totals
	t.Ops++
	switch s.Change {
	case "added":
		t.Added++
	case "replaced":
		t.Replaced++
	case "changed":
		t.Changed++
	default:
		t.Removed++
	}
}

// lines plans the lines that aren't modelled: new ones, and those that went with what was built anew.
func (b *planner) lines() {
	before := diff.LineTexts(b.p.Before)
	for _, o := range b.p.After.Opaque() {
		if _, there := b.to[o.Link]; o.Link != "" && !there || slices.Contains(before, o.Text) && !b.rerun[o.Link] {
			continue
		}
		b.plan.Totals.Lines++
		b.plan.Steps = append(b.plan.Steps, Step{Change: "run", Object: "line", Link: o.Link, ID: o.Text, Line: o.Text,
			Effect: EffectUnknown, Text: "it isn't modelled: nobody can tell"})
	}
	if gone := len(before) - len(slices.DeleteFunc(before, func(l string) bool { return !slices.Contains(diff.LineTexts(b.p.After), l) })); gone > 0 {
		b.note("%d lines that aren't modelled are no longer asked for: nothing undoes what they did", gone)
	}
}
