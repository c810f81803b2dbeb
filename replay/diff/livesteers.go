package diff

import (
	"fmt"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// LiveSteers is what the maps of a dataplane have.
type LiveSteers struct {
	Roles  bakery.Roles
	Steers []tc.Steer // in any order
}

// steers adds what differs between the maps and the mappings of the Tree whose classes the
// kernel has: the others wait for theirs, and that is a difference of the class.
func (r *Report) steers(t *bakery.Tree, live Live) {
	wanted, _ := t.Steers(live.Dataplane.Roles, func(link string, class tc.Handle) bool {
		o, there := live.Links[link]
		if !there {
			return false
		}
		_, there = o.State.Class(link, class)
		return there
	})
	has := slices.SortedFunc(slices.Values(live.Dataplane.Steers), tc.CompareSteers)
	for from, to := range tc.PairSteers(has, wanted) {
		if from == nil || to == nil || *from != *to {
			r.addSteer(live.Dataplane.Roles, from, to)
		}
	}
}

// addSteer adds an entry that differs; nil where a side hasn't got it.
func (r *Report) addSteer(roles bakery.Roles, from, to *tc.Steer) {
	shown := to
	if to == nil {
		shown = from
	}
	d := Difference{Object: "mapping", Link: roles.Link(shown.Upload), ID: shown.Prefix.String(), Upload: shown.Upload, Class: shown.Class}
	if from != nil {
		d.From = from.String()
	}
	if to != nil {
		d.To = to.String()
	}
	if from != nil && to != nil {
		d.addField("tc_handle", from.Class, to.Class)
		d.addField("cpu", from.CPU, to.CPU)
		d.addField("circuit", from.Circuit, to.Circuit)
	}
	r.add(d)
}

// addField adds a field if it differs.
func (d *Difference) addField(name string, from, to any) {
	if from != to {
		d.Fields = append(d.Fields, FieldChange{name, fmt.Sprint(from), fmt.Sprint(to)})
	}
}
