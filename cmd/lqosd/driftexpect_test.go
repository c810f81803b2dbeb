package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/replay/diff"
)

// expectedDrift is what has to be reported of one object, made from what tc(8) shows before and after.
type expectedDrift struct {
	at             spot
	change, object string
	inside         int
	kept           bool                 // it is told, and left as it is
	fields         map[string][2]string // was, and is
	slack          float64              // of bursts
	may            map[string]bool      // fields that follow from others, or changed by less than tc(8) shows
}

func (e *expectedDrift) String() string {
	return fmt.Sprintf("%s %s on %s %v, %d inside", e.change, e.object, e.at.link, e.fields, e.inside)
}

// ignored reports what documentation says isn't looked at: what others put on a queue that the tree doesn't use, and their
// clsact and ingress.
func (p *plantedTree) ignored(at spot) bool {
	return !at.class && (strings.HasPrefix(at.at, "ffff:") || strings.HasPrefix(at.at, "7fff:") && !p.slots[at])
}

// differences are all objects that differ, and what sits in them on its own.
func (p *plantedTree) differences(before, after tcView) map[spot]*expectedDrift {
	all := map[spot]*expectedDrift{}
	both := maps.Clone(before)
	maps.Copy(both, after)
	for at := range both {
		was, before := before[at]
		is, after := after[at]
		e := &expectedDrift{at: at, fields: map[string][2]string{}, may: map[string]bool{}}
		shown := is
		switch {
		case p.ignored(at):
			continue
		case !before:
			e.change = "added"
		case !after:
			e.change, shown = "removed", was
		default:
			p.compare(e, was, is)
		}
		if e.change == "" {
			continue
		}
		e.object = "class " + at.at
		if !at.class {
			e.object = "qdisc " + shown.handle + " at " + at.at
		}
		all[at] = e
	}
	return all
}

// compare fills in what became of an object that is still there.
func (p *plantedTree) compare(e *expectedDrift, was, is shownObject) {
	kind := "class"
	if !e.at.class {
		kind = is.kind
	}
	if was.kind == is.kind {
		e.compareFields(kind, was.fields, is.fields)
	} else {
		e.fields["kind"] = [2]string{was.kind, is.kind}
	}
	same := len(e.fields) == 0
	switch {
	case e.at.class && was.parent != is.parent:
		e.change, e.fields["parent"] = "moved", [2]string{was.parent, is.parent}
	case !e.at.class && (was.kind != is.kind || was.handle != is.handle):
		e.change = "replaced"
		if was.handle != is.handle {
			e.fields["handle"] = [2]string{was.handle, is.handle}
			e.kept = same && p.leaves[e.at] != "" && !p.chosen[e.at]
		}
	case len(e.fields) > 0:
		e.change = "changed"
	}
}

func (e *expectedDrift) compareFields(kind string, was, is map[string]string) {
	e.slack = burstSlack(was, is)
	names := maps.Clone(was)
	maps.Copy(names, is)
	for name := range names {
		a, b := said(kind, name, was[name]), said(kind, name, is[name])
		switch {
		case was[name] == is[name] || a == b:
		case kind == "htb" && name == "direct_qlen": // no line gives it, so any will do
		case kind == "class" && (name == "prio" || name == "quantum") && (a == "" || b == ""):
			// tc(8) shows them of a class without children only.
		case alike(name, a, b, e.slack), kind == "sfq" && name == "flows": // the kernel has no use for more than its limit
			e.may[name] = true
		default:
			e.fields[name] = [2]string{a, b}
		}
	}
	for rate, burst := range map[string]string{"rate": "burst", "ceil": "cburst", "peakrate": "mtu"} {
		if _, other := e.fields[rate]; other { // a burst is kept as a time, and rounded
			e.may[burst] = true
		}
	}
	if kind == "tbf" && len(e.fields) > 0 { // tc(8) shows how long the last byte waits, which all others are in
		if e.may["limit"] = true; len(e.fields) > 1 {
			delete(e.fields, "limit")
		}
	}
}

// outermost leaves out what follows from others, and counts it there.
func outermost(all map[spot]*expectedDrift, before, after tcView) []*expectedDrift {
	var list []*expectedDrift
	for at, e := range all {
		side := after
		if e.change == "removed" {
			side = before
		}
		var top *expectedDrift
		for in, ok := side.sits(at, side[at]); ok; in, ok = side.sits(in, side[in]) {
			if d := all[in]; d != nil && d.change != "changed" {
				top = d
			}
		}
		if top != nil {
			top.inside++
		} else {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *expectedDrift) int {
		return cmp.Or(cmp.Compare(a.at.link, b.at.link), cmp.Compare(a.object, b.object))
	})
	return list
}

// checkDrift compares a report with what has to be in it: these objects and fields, what they were and are, and no others.
func checkDrift(got []bakery.Drift, want []*expectedDrift) error {
	reported := map[string]bakery.Drift{}
	var err error
	for _, d := range got {
		k := d.Link + " " + d.Object
		if _, twice := reported[k]; twice {
			err = errors.Join(err, fmt.Errorf("reported twice: %s", d.Text))
		}
		reported[k] = d
	}
	for _, e := range want {
		k := e.at.link + " " + e.object
		d, ok := reported[k]
		if delete(reported, k); !ok {
			err = errors.Join(err, fmt.Errorf("not reported: %v", e))
			continue
		}
		if wrong := e.check(d); wrong != nil {
			err = errors.Join(err, fmt.Errorf("%q, want %v: %w", d.Text, e, wrong))
		}
	}
	for _, d := range reported {
		err = errors.Join(err, fmt.Errorf("reported, and isn't so: %s", d.Text))
	}
	return err
}

func (e *expectedDrift) check(d bakery.Drift) error {
	if d.Change != e.change || d.Inside != e.inside {
		return fmt.Errorf("it is %s, with %d inside", d.Change, d.Inside)
	}
	if kept := d.Fate == bakery.FateKept; kept != e.kept {
		return fmt.Errorf("its fate is %s", d.Fate)
	}
	fields := map[string]bakery.DriftField{}
	for _, f := range d.Fields {
		fields[f.Name] = f
		if _, must := e.fields[f.Name]; !must && !e.may[f.Name] {
			return fmt.Errorf("field %s is the same", f.Name)
		}
	}
	for name, values := range e.fields {
		f, ok := fields[name]
		if !ok {
			return fmt.Errorf("field %s is missing", name)
		}
		if strings.Contains(e.object, "qdisc") && name == "limit" && strings.HasSuffix(values[0]+values[1], "s") {
			continue // of a tbf: tc(8) shows how long it takes
		}
		if !alike(name, f.Wanted, values[0], e.slack) || !alike(name, f.Has, values[1], e.slack) {
			return fmt.Errorf("field %s: %q and %q, tc(8) shows %q and %q", name, f.Wanted, f.Has, values[0], values[1])
		}
	}
	return nil
}

// checkChecker makes sure that checkDrift notices a report that lacks an entry, has one too many, or another field or value. It
// says how many such reports it tried.
func checkChecker(got []bakery.Drift, want []*expectedDrift) (spoiled int, err error) {
	passes := func(what string, report []bakery.Drift) {
		if spoiled++; checkDrift(report, want) == nil {
			err = errors.Join(err, fmt.Errorf("a report with %s passes", what))
		}
	}
	stranger := bakery.Drift{Link: "v0", Object: "class 1:fffe", Change: "added", Text: "made up"}
	passes("one entry too many", append(slices.Clone(got), stranger))
	for i, d := range got {
		passes("one entry too few: "+d.Text, slices.Delete(slices.Clone(got), i, i+1))
		for k, f := range d.Fields {
			other := slices.Clone(got)
			other[i].Fields = slices.Clone(d.Fields)
			other[i].Fields[k].Name = "another"
			passes("another field than "+f.Name+": "+d.Text, other)
			if slices.ContainsFunc(want, func(e *expectedDrift) bool { return e.object == d.Object && e.fields[f.Name] != [2]string{} }) && f.Name != "limit" {
				other[i].Fields[k] = bakery.DriftField{Name: f.Name, Wanted: f.Wanted, Has: "777777"}
				passes("another value of "+f.Name+": "+d.Text, other)
			}
		}
	}
	return spoiled, err
}

// checkLive compares what bakery-replay diff --live prints with all that differs: there everything is listed, and leaf
// handles that no client chose aren't compared.
func checkLive(r diff.Report, all map[spot]*expectedDrift) error {
	reported := map[spot]bool{}
	for _, d := range r.Differences {
		reported[spot{d.Link, d.Object == "class", d.ID}] = true
	}
	for at, e := range all {
		if !e.kept && !reported[at] {
			return fmt.Errorf("diff --live leaves out %v", e)
		}
		delete(reported, at)
	}
	for at := range reported {
		return fmt.Errorf("diff --live tells of %v, which is as it was", at)
	}
	return nil
}
