package tree

import (
	"fmt"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Load is how much of a class is sold: what the classes directly below it are promised and
// allowed, against what it has itself.
type Load struct {
	Classes int     `json:"classes"`   // that are counted
	Rates   tc.Rate `json:"rates_bps"` // the sum of their rates
	Ceils   tc.Rate `json:"ceils_bps"` // the sum of their ceils
	// Guaranteed is Rates ÷ the rate above: over 1, not all can have their rates at once.
	// 0 where nothing above has a rate.
	Guaranteed float64 `json:"guaranteed,omitempty"`
	// Oversubscribed is Ceils ÷ the ceil above: 3.2 is what people call "3.2 times oversubscribed".
	Oversubscribed float64 `json:"oversubscribed,omitempty"`
}

func (l *Load) add(c tc.Class) {
	l.Classes++
	l.Rates += c.HTB.Rate
	l.Ceils += c.HTB.Ceil
}

// over compares the sums with what is above.
func (l *Load) over(rate, ceil tc.Rate) {
	if rate > 0 {
		l.Guaranteed = float64(l.Rates) / float64(rate)
	}
	if ceil > 0 {
		l.Oversubscribed = float64(l.Ceils) / float64(ceil)
	}
}

// LoadOf is the Load of a class, nil if no class is below it.
func LoadOf(t *bakery.Tree, c tc.Class) *Load {
	var l Load
	for child := range t.State().Children(c.Link, c.ID) {
		l.add(child)
	}
	if l.Classes == 0 {
		return nil
	}
	l.over(c.HTB.Rate, c.HTB.Ceil)
	return &l
}

// LoadOfQueue is the Load of a queue's HTB, whose classes have none above them: they are compared
// with the class that the skeleton made as large as the link, and that isn't counted itself. It
// is nil where that is missing, or alone.
func LoadOfQueue(t *bakery.Tree, link string, queue tc.Handle) *Load {
	var l Load
	var capacity *tc.Class
	for c := range t.State().Children(link, queue) {
		if n, _ := t.Note(link, c.ID); n.Role == bakery.RoleSkeleton {
			capacity = &c
			continue
		}
		l.add(c)
	}
	if capacity == nil || l.Classes == 0 {
		return nil
	}
	l.over(capacity.HTB.Rate, capacity.HTB.Ceil)
	return &l
}

// DirectionLoad is what a link carries in one direction: its circuits against the link's capacity.
type DirectionLoad struct {
	Direction string  `json:"direction"` // "down", to the subscribers, or "up"
	Capacity  tc.Rate `json:"capacity_bps"`
	Sites     int     `json:"sites"`
	Circuits  int     `json:"circuits"`
	Load      Load    `json:"load"` // of the circuits
	majors    [2]uint16
}

// Words are the direction for people.
func (l DirectionLoad) Words() string {
	if l.Direction == "up" {
		return "to the internet"
	}
	return "to the subscribers"
}

// DirectionLoads are the directions that a link carries: one, two on a stick, none that no setup names.
func DirectionLoads(t *bakery.Tree, link string) []DirectionLoad {
	if t.Setup == nil {
		return nil
	}
	var list []DirectionLoad
	for _, d := range []struct {
		name string
		is   bakery.Direction
	}{{"down", t.Setup.Down}, {"up", t.Setup.Up}} {
		capacity, err := tc.RateFromMbps(d.is.CapacityMbps)
		if d.is.Link != link || err != nil {
			continue
		}
		l := DirectionLoad{Direction: d.name, Capacity: capacity, majors: [2]uint16{d.is.FirstMajor, d.is.FirstMajor + d.is.Queues}}
		l.count(t, link)
		list = append(list, l)
	}
	return list
}

func (l *DirectionLoad) count(t *bakery.Tree, link string) {
	for c := range t.State().Classes(link) {
		if !l.Has(c.ID) {
			continue
		}
		switch n, _ := t.Note(link, c.ID); n.Role {
		case bakery.RoleSite:
			l.Sites++
		case bakery.RoleCircuit:
			l.Circuits++
			l.Load.add(c)
		}
	}
	l.Load.over(l.Capacity, l.Capacity)
}

// Has reports whether a handle is of one of the direction's queues.
func (l DirectionLoad) Has(h tc.Handle) bool {
	return h.Major() >= l.majors[0] && h.Major() < l.majors[1]
}

// RatioText is a ratio of a Load for people: ×0.64, ×3.20, ×31.2, ×312; "" for none.
func RatioText(r float64) string {
	switch {
	case r == 0:
		return ""
	case r < 0.005:
		return "<×0.01"
	case r < 9.995:
		return fmt.Sprintf("×%.2f", r)
	case r < 99.95:
		return fmt.Sprintf("×%.1f", r)
	}
	return fmt.Sprintf("×%.0f", r)
}

// RoundRate is a rate for people, with three digits: 1.23gbit. Rates themselves are shown as they
// are; their sums have more digits than anybody wants.
func RoundRate(r tc.Rate) string {
	units := [...]string{"bit", "kbit", "mbit", "gbit", "tbit"}
	f, i := float64(r), 0
	for ; f >= 999.5 && i < len(units)-1; i++ {
		f /= 1000
	}
	if f >= 999.5 {
		return fmt.Sprintf("%.0f%s", f, units[i])
	}
	return fmt.Sprintf("%.3g%s", f, units[i])
}
