package report

import (
	"context"
	"crypto/sha256"
	_ "embed" // the files of the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"time"
	"unicode/utf8"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/history"
)

// Options say what a report is about.
type Options struct {
	Log      string       // what the log is called
	From, To eventlog.Seq // the moments; 0 is the empty tree
	Made     time.Time    // when; times are shown in its zone
	// Drift is what a kernel has otherwise than the tree after To; nil where none was looked at.
	Drift *diff.Report
}

// limits are what a page holds at most, so that browsers stay quick: what is over it is counted.
type limits struct {
	events    int // of the timeline
	refreshes int // of which it is worked out what they changed
	changes   int // lines below events
	each      int // below one of them
	rows      int // classes of the tree that are there from the beginning
	rest      int // that a button shows, or the filter
	lines     int // of a diff
	group     int // of one site
}

var usual = limits{events: 2000, refreshes: 100, changes: 4000, each: 40, rows: 2000, rest: 25_000, lines: 2000, group: 200}

// buckets are how many stretches of time the picture of a timeline is made of.
const buckets = 480

// Report is a report that is ready to be written.
type Report struct{ page page }

// page is what the template shows.
type page struct {
	limits limits

	Title, Policy string
	Style         template.CSS
	Script        template.JS
	Log           string
	Made          moment
	From, To      point
	Facts         []fact
	Timeline      timeline
	Tree          structure
	Diff          comparison
	Drift         *comparison
	LeftOut       []string
	Data          data
}

// data is what the script shows when it is asked for.
type data struct {
	Rest    map[string][]restRow `json:"rest"`
	Buckets []string             `json:"buckets"` // when each begins, as the entries show times
	Counts  []int                `json:"counts"`
	Resets  []int                `json:"resets"` // buckets in which a refresh began
}

type fact struct{ Name, Value string }

// point is a moment of the log.
type point struct {
	Seq  eventlog.Seq
	When *moment // nil before the first record
}

// moment is a time as the page shows it.
type moment struct{ Machine, Wall, Text, Day, Clock string }

func newMoment(t time.Time, zone *time.Location) moment {
	t = t.In(zone)
	return moment{Machine: t.Format(time.RFC3339Nano), Wall: t.Format("2006-01-02T15:04:05"), Text: t.Format("2006-01-02 15:04:05"), Day: t.Format("2006-01-02"), Clock: t.Format("15:04:05")}
}

// New collects a report.
func New(ctx context.Context, s *replay.Source, o Options) (*Report, error) {
	return makeReport(ctx, s, o, usual)
}

func makeReport(ctx context.Context, s *replay.Source, o Options, most limits) (*Report, error) {
	l, err := history.NewTimeline(ctx, s, o.From, o.To, history.Limits{Events: most.events, Refreshes: most.refreshes, Changes: most.changes, Each: most.each, Buckets: buckets})
	if err != nil {
		return nil, err
	}
	zone := o.Made.Location()
	p := page{limits: most, Title: "lqosd: " + o.Log, Log: o.Log, Made: newMoment(o.Made, zone), Style: template.CSS(style), Script: template.JS(script)}
	p.Policy = "default-src 'none'; style-src '" + hash(style) + "'; script-src '" + hash(script) + "'; base-uri 'none'; form-action 'none'"
	if p.From, err = newPoint(ctx, s, o.From, zone); err != nil {
		return nil, err
	}
	if p.To, err = newPoint(ctx, s, o.To, zone); err != nil {
		return nil, err
	}
	p.Data = data{Rest: map[string][]restRow{}}
	p.Timeline = p.newTimeline(l, zone)
	p.Tree = p.newTree(l.After)
	p.Diff = p.newDiff(diff.Compare(diff.Side{Label: p.From.String(), Tree: l.Before}, diff.Side{Label: p.To.String(), Tree: l.After}), l.Before, l.After)
	if o.Drift != nil {
		d := p.newDiff(*o.Drift, l.After, l.After)
		p.Drift = &d
	}
	p.Facts = facts(l)
	return &Report{p}, nil
}

// hash is how a policy names what it lets run.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func newPoint(ctx context.Context, s *replay.Source, seq eventlog.Seq, zone *time.Location) (point, error) {
	p := point{Seq: seq}
	if seq < s.First() {
		return p, nil
	}
	for r, err := range s.Records(ctx, seq, seq) {
		if err != nil {
			return p, err
		}
		m := newMoment(r.Time, zone)
		p.When = &m
	}
	return p, nil
}

// String is the moment in words.
func (p point) String() string {
	if p.Seq == 0 {
		return "the empty tree"
	}
	return fmt.Sprintf("record %d", p.Seq)
}

func facts(l history.Timeline) []fact {
	sites := map[int64]bool{}
	for _, n := range l.After.Notes {
		if n.Role == bakery.RoleSite {
			sites[n.Hash] = true
		}
	}
	number := func(n int) string { return thousands(n) }
	return []fact{
		{"Records", number(int(l.Records))},
		{"Events", number(len(l.Events) + l.Skipped)},
		{"Sites", number(len(sites))},
		{"Circuits", number(l.After.Circuits())},
		{"Classes", number(classes(l.After))},
		{"Addresses", number(l.After.MappingCount())},
		{"Generation", number(int(l.After.Generation))},
	}
}

func classes(t *bakery.Tree) int {
	n := 0
	for _, link := range t.State().Links() {
		n += t.State().ClassCount(link)
	}
	return n
}

// longest is how many bytes of a text are shown: names may have as many as a client likes.
const longest = 240

// clip cuts a text that is too long, between two characters.
func clip(text string) string {
	if len(text) <= longest {
		return text
	}
	n := longest
	for !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// thousands is a number with a narrow blank between each three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

var (
	//go:embed page.html
	layout string
	//go:embed style.css
	style string
	//go:embed script.js
	script string

	pages = template.Must(template.New("page").Funcs(template.FuncMap{"thousands": thousands}).Parse(layout))
)

// Write writes the page.
func (r *Report) Write(w io.Writer) error { return pages.Execute(w, r.page) }

// leaveOut notes what the page doesn't hold.
func (p *page) leaveOut(format string, args ...any) {
	p.LeftOut = append(p.LeftOut, fmt.Sprintf(format, args...))
}
