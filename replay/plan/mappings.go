package plan

import (
	"fmt"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// steersBefore is what the dataplane has; in order. Where that isn't known it is what Before asks for.
func (b *planner) steersBefore() []tc.Steer {
	live := b.p.Live
	switch {
	case live != nil && live.Dataplane != nil:
		return slices.SortedFunc(slices.Values(live.Dataplane.Steers), tc.CompareSteers)
	case live != nil && live.Unsteered:
		return nil
	}
	has, _ := b.p.Before.Steers(b.p.RolesBefore, func(link string, class tc.Handle) bool {
		o, there := b.observed(link)
		if !there {
			return false
		}
		_, there = o.State.Class(link, class)
		return there
	})
	return has
}

// unmap drops what leads to classes that are about to be deleted (retreat in package bakery).
func (b *planner) unmap(link string, gone map[tc.Handle]bool) {
	if len(gone) == 0 || link != b.p.RolesAfter.Down && link != b.p.RolesAfter.Up || !b.steered() {
		return
	}
	var rest []tc.Steer
	for _, e := range b.steers {
		if b.p.RolesAfter.Link(e.Upload) != link || !gone[e.Class] {
			rest = append(rest, e)
			continue
		}
		b.mapStep(&e, nil, "its class is about to go: until it is mapped again its packets take the default class", EffectAbsent)
	}
	b.steers = rest
}

// steered reports whether mappings matter: not where nothing steers.
func (b *planner) steered() bool { return b.p.Live == nil || !b.p.Live.Unsteered }

// remap plans what leads from the mappings that are left to those that are wanted: what is set, then
// what is dropped.
func (b *planner) remap() {
	if !b.steered() {
		if n := b.p.After.MappingCount(); n > 0 {
			b.note("%d address mappings are asked for, and nothing of lqosd steers here", n)
		}
		return
	}
	wanted, waiting := b.p.After.Steers(b.p.RolesAfter, func(link string, class tc.Handle) bool {
		s, there := b.to[link]
		if !there {
			return false
		}
		_, there = s.Class(link, class)
		return there
	})
	if waiting > 0 {
		b.note("%d address mappings wait for their class", waiting)
	}
	b.noteMapped(wanted)
	var drop []*tc.Steer
	for from, to := range tc.PairSteers(b.steers, wanted) {
		switch {
		case to == nil:
			drop = append(drop, from)
		case from == nil:
			b.mapStep(nil, to, "", EffectNew)
		case *from == *to:
		case from.Class == to.Class:
			b.mapStep(from, to, "the same class: nothing is lost", EffectNone)
		default:
			b.mapStep(from, to, fmt.Sprintf("from now on its packets take %s, and no longer %s; what is queued there goes out", to.Class, from.Class), EffectNone)
		}
	}
	for _, e := range drop {
		b.mapStep(e, nil, "its packets take the default class", EffectGone)
	}
}

// noteMapped notes the classes that addresses lead to.
func (b *planner) noteMapped(list []tc.Steer) {
	for _, s := range list {
		b.mapped[bakery.ClassRef{Link: b.p.RolesAfter.Link(s.Upload), ID: s.Class}] = true
	}
}

// mapStep adds a step that makes from into to; nil for none.
func (b *planner) mapStep(from, to *tc.Steer, text string, effect Effect) {
	s := Step{Change: "changed", Object: "mapping", Effect: effect, Text: text}
	shown, roles := to, b.p.RolesAfter
	switch {
	case to == nil:
		s.Change, shown = "removed", from
	case from == nil:
		s.Change = "added"
	}
	s.Link, s.ID, s.Line = roles.Link(shown.Upload), shown.Prefix.String(), shown.String()
	s.Name = b.name(s.Link, shown.Class)
	at := len(b.plan.Steps)
	if effect == EffectAbsent {
		f := b.fateOf(bakery.ClassRef{Link: s.Link, ID: shown.Class})
		f.unmapped = append(f.unmapped, at)
	}
	if from == nil {
		f := b.fateOf(bakery.ClassRef{Link: s.Link, ID: shown.Class})
		f.mapped = append(f.mapped, at)
	}
	b.plan.Totals.Mappings++
	b.plan.Steps = append(b.plan.Steps, s)
}
