package bakery

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"lqosd/bakery/tc"
)

// manyMappings is the drift of more mappings than are told one by one.
var manyMappings = key{text: "mappings"}

// findSteerDrift compares what was read of the dataplane with what it had. What a write that
// failed was about isn't drift.
func (r *reconciler) findSteerDrift(tree *Tree, now []tc.Steer) {
	s := r.steering
	note := func(at tc.Steer, was steerEntry) {
		p := placeOf(at)
		if _, known := s.drifted[p]; known || s.unsure[p] {
			return
		}
		if s.drifted == nil {
			s.drifted = map[steerPlace]steerEntry{}
		}
		s.drifted[p] = was
	}
	for was, is := range tc.PairSteers(s.has, now) {
		switch {
		case is == nil:
			note(*was, steerEntry{*was, true})
		case was == nil:
			note(*is, steerEntry{})
		case *was != *is:
			note(*was, steerEntry{*was, true})
		}
	}
	maps.DeleteFunc(s.drifted, func(p steerPlace, was steerEntry) bool { return entryAt(now, p) == was })
	fresh := r.drift.see("", s.readAt, r.describeSteers(tree, now), func(key) bool { return false })
	r.logDrift(fresh)
}

// describeSteers tells what drifted: one by one, or all together if it is too much for that.
func (r *reconciler) describeSteers(tree *Tree, now []tc.Steer) []Drift {
	places := slices.SortedFunc(maps.Keys(r.steering.drifted), comparePlaces)
	var list []Drift
	for _, p := range places[:min(len(places), maxDrift+1)] {
		list = append(list, r.describeSteer(tree, p, entryAt(now, p)))
	}
	if len(list) <= maxDrift {
		return list
	}
	all := list[0]
	all.Name, all.Fields, all.at = "", []DriftField{}, manyMappings
	all.Text = fmt.Sprintf("%s, and %d more mappings", all.Text, len(places)-1)
	all.Inside = len(places) - 1
	return []Drift{all}
}

func (r *reconciler) describeSteer(tree *Tree, p steerPlace, has steerEntry) Drift {
	was := r.steering.drifted[p]
	link := r.roles.Link(p.upload)
	d := Drift{Seen: r.steering.readAt, Link: link, Object: "mapping", Fate: FateOpen, Fields: []DriftField{}, at: driftKey(p)}
	switch {
	case !was.there:
		d.Change, d.Text = "added", fmt.Sprintf("added mapping %s", has.Steer)
	case !has.there:
		d.Change, d.Text = "removed", fmt.Sprintf("removed mapping %s", was.Steer)
	default:
		d.Change, d.Text = "changed", fmt.Sprintf("changed mapping %s", was.Steer)
		d.Fields = steerFields(was.Steer, has.Steer)
		for i, f := range d.Fields {
			d.Text += fmt.Sprintf("%s %s %s → %s", [...]string{":", ","}[min(i, 1)], f.Name, f.Wanted, f.Has)
		}
	}
	n, _ := tree.Note(link, cmp.Or(was.Class, has.Class))
	d.Name = n.Name(cmp.Or(was.Class, has.Class))
	return d
}

func steerFields(was, has tc.Steer) []DriftField {
	fields := []DriftField{}
	add := func(name string, wanted, has any) {
		if wanted != has {
			fields = append(fields, DriftField{Name: name, Wanted: fmt.Sprint(wanted), Has: fmt.Sprint(has)})
		}
	}
	add("class", was.Class, has.Class)
	add("cpu", was.CPU, has.CPU)
	add("circuit", was.Circuit, has.Circuit)
	return fields
}

func driftKey(p steerPlace) key {
	return key{text: fmt.Sprintf("mapping %s %t", p.prefix, p.upload)}
}

// endSteerDrift closes what is as it is wanted: by what was written just now, or by itself.
func (r *reconciler) endSteerDrift(c steerChange) {
	s := r.steering
	if len(s.drifted) == 0 {
		return
	}
	still, repaired := map[key]bool{}, map[key]bool{}
	for p := range s.drifted {
		k := driftKey(p)
		if c.left[p] {
			still[k] = true
			continue
		}
		delete(s.drifted, p)
		if !c.report && (entryAt(c.set, p).there || entryAt(c.drop, p).there) {
			repaired[k], repaired[manyMappings] = true, true
		}
	}
	still[manyMappings] = len(s.drifted) > maxDrift
	now := r.o.Now()
	if n := r.drift.end("", now, FateRepaired, func(k key) bool { return repaired[k] && !still[k] }); n > 0 {
		r.o.Logger.Info("drift repaired", "mappings", n)
	}
	r.drift.end("", now, FateGone, func(k key) bool { return !still[k] })
}
