package report

import (
	"fmt"
	"math"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/replay/diff"
	"lqosd/replay/history"
)

type timeline struct {
	Events   []event // newest first
	Bars     []bar
	Begin    string
	End      string
	Tallest  int
	BarWidth float64
}

type event struct {
	Begin    moment
	Took     string // "" under a second
	From, To string
	Kind     string // what sort it is, in a word
	Kinds    string // of its records
	Refresh  bool
	Summary  string
	Sender   string
	Totals   diff.Totals
	Compared bool
	Changes  []line
	More     int   // that aren't among them
	Only     *line // in place of a summary, where nothing else changed
}

// bar is a stretch of time in the picture of all of them, which is 480 wide and 60 high.
type bar struct {
	X, Y, Width, Height float64
	Refresh             bool
	Title               string
}

const height = 60

func (p *page) newTimeline(l history.Timeline, zone *time.Location) timeline {
	var t timeline
	for i := range l.Events {
		t.Events = append(t.Events, newEvent(l.Events[len(l.Events)-1-i], zone))
	}
	if l.Skipped > 0 {
		p.leaveOut("Of %s events the newest %s are listed; the picture above them shows all.", thousands(l.Skipped+len(l.Events)), thousands(len(l.Events)))
	}
	shown, uncompared, changes := 0, 0, 0
	for _, e := range l.Events {
		shown += len(e.Changes)
		changes += e.Totals.Added + e.Totals.Changed + e.Totals.Removed
		if !e.Compared {
			uncompared++
		}
	}
	if uncompared > 0 {
		p.leaveOut("What %s older refreshes changed wasn't worked out: bakery-replay diff --from --to tells.", thousands(uncompared))
	}
	if changes > shown {
		p.leaveOut("Of %s changes that events made %s are listed below them: bakery-replay log --changes lists all.", thousands(changes), thousands(shown))
	}
	p.bars(&t, l, zone)
	return t
}

func newEvent(e history.Event, zone *time.Location) event {
	v := event{Begin: newMoment(e.Begin, zone), From: fmt.Sprint(e.From), Refresh: e.Refresh, Summary: clip(e.Summary),
		Sender: fmt.Sprintf("uid %d pid %d", e.Sender.UID, e.Sender.PID), Totals: e.Totals, Compared: e.Compared}
	if e.To > e.From {
		v.To = fmt.Sprint(e.To)
	}
	if took := e.End.Sub(e.Begin); took >= time.Second {
		v.Took = took.Round(time.Second).String()
	}
	v.Kind = sort(e)
	for _, k := range e.Kinds {
		v.Kinds = strings.TrimLeft(fmt.Sprintf("%s, %d %s", v.Kinds, k.N, k.Kind), ", ")
	}
	for _, d := range e.Changes {
		v.Changes = append(v.Changes, newLine(d))
	}
	v.More = e.Totals.Added + e.Totals.Changed + e.Totals.Removed - len(v.Changes)
	if len(v.Changes) == 1 && v.More == 0 && !v.Refresh {
		v.Only = &v.Changes[0]
	}
	return v
}

// sort says what sort an event is.
func sort(e history.Event) string {
	switch k := e.Kinds[0].Kind; {
	case e.Refresh && k == bakery.KindClearPriorSettings && len(e.Kinds) == 1:
		return "Cleared"
	case e.Refresh:
		return "Refresh"
	case k == bakery.KindMapIPToFlow || k == bakery.KindDelIPFlow || k == bakery.KindClearIPFlow:
		return "Addresses"
	case k == bakery.KindAddStructuralHTBClass || k == bakery.KindAddCircuitHTBClass || k == bakery.KindAddCircuitQdisc:
		return "Classes"
	case k == bakery.KindChangeSiteSpeedLive:
		return "Speed"
	case k == bakery.KindExecuteTCCommands:
		return "tc lines"
	default:
		return k.String()
	}
}

// bars draws a quarter of the buckets each as one; the script draws them all when it zooms.
func (p *page) bars(t *timeline, l history.Timeline, zone *time.Location) {
	if len(l.Buckets) == 0 {
		return
	}
	const each = 4
	for i, b := range l.Buckets {
		p.Data.Buckets = append(p.Data.Buckets, newMoment(b.Begin, zone).Wall)
		p.Data.Counts = append(p.Data.Counts, b.Records)
		if b.Refresh {
			p.Data.Resets = append(p.Data.Resets, i)
		}
	}
	for i := 0; i < len(l.Buckets); i += each {
		b := bar{X: float64(i), Width: tenth(each - 0.8)}
		n := 0
		for _, one := range l.Buckets[i : i+each] {
			n += one.Records
			b.Refresh = b.Refresh || one.Refresh
		}
		b.Height = float64(n)
		b.Title = fmt.Sprintf("%s: %s records", newMoment(l.Buckets[i].Begin, zone).Text, thousands(n))
		t.Tallest = max(t.Tallest, n)
		t.Bars = append(t.Bars, b)
	}
	for i := range t.Bars {
		b := &t.Bars[i]
		b.Height = barHeight(int(b.Height), t.Tallest)
		b.Y = tenth(height - b.Height)
	}
	width := l.Buckets[1].Begin.Sub(l.Buckets[0].Begin)
	t.Begin = newMoment(l.Buckets[0].Begin, zone).Text
	t.End = newMoment(l.Buckets[len(l.Buckets)-1].Begin.Add(width), zone).Text
}

// barHeight is on a scale of roots: a refresh is a thousand times one record, and both should show.
func barHeight(n, tallest int) float64 {
	if n == 0 {
		return 0
	}
	return tenth(max(2, height*math.Sqrt(float64(n)/float64(tallest))))
}

func tenth(f float64) float64 { return math.Round(f*10) / 10 }

// line is a difference.
type line struct {
	Sign   string // + − ~
	Class  string // added, removed, changed
	Word   string // for who doesn't see the sign's colour
	Object string
	Link   string
	ID     string
	Name   string
	Fields []diff.FieldChange
	Text   string // what was added or removed
}

func newLine(d diff.Difference) line {
	l := line{Sign: "~", Class: "changed", Word: d.Change, Object: d.Object, Link: d.Link, ID: clip(d.ID), Name: clip(d.Name)}
	for _, f := range d.Fields {
		l.Fields = append(l.Fields, diff.FieldChange{Name: f.Name, From: clip(f.From), To: clip(f.To)})
	}
	switch {
	case d.From == "":
		l.Sign, l.Class, l.Text = "+", "added", d.To
	case d.To == "":
		l.Sign, l.Class, l.Text = "−", "removed", d.From
	}
	l.Text = clip(shorten(l.Text, d))
	return l
}

// shorten leaves out of a tc line what other columns say.
func shorten(text string, d diff.Difference) string {
	for _, words := range []string{"class add dev " + d.Link + " ", "qdisc add dev " + d.Link + " "} {
		text = strings.TrimPrefix(text, words)
	}
	if d.Object == "qdisc" {
		text = strings.TrimPrefix(text, "parent "+d.ID+" ")
	}
	text = strings.Replace(text, "classid "+d.ID+" ", "", 1)
	if text == d.ID {
		return ""
	}
	return text
}
