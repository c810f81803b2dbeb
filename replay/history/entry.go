package history

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/listing"
)

// Entry is a record as `bakery-replay log` lists it.
type Entry struct {
	Seq     eventlog.Seq   `json:"seq"`
	Time    time.Time      `json:"time"`
	Sender  bakery.Sender  `json:"sender"`
	Kind    bakery.Kind    `json:"kind"`
	Command bakery.Command `json:"command"`
	Lines   []string       `json:"lines"` // as tc-rust.txt has them
	// Changes are what the record made of the Tree, where that was asked for.
	Changes []diff.Difference `json:"changes,omitempty"`
}

// Filter chooses entries; the zero value takes all.
type Filter struct {
	From, To     eventlog.Seq // 0: open
	Since, Until time.Time    // zero: open
	Kind         bakery.Kind  // 0: all
	UID          *uint32      // of the sender
	PID          *int32
	Target       replay.Target
	// Changes fills in Entry.Changes.
	Changes bool
}

// takes reports whether the Filter takes a record, as far as that itself tells.
func (f Filter) takes(r bakery.Record) bool {
	switch {
	case r.Time.Before(f.Since), !f.Until.IsZero() && r.Time.After(f.Until):
	case f.Kind != 0 && r.Command.Kind() != f.Kind:
	case f.UID != nil && *f.UID != r.Sender.UID, f.PID != nil && *f.PID != r.Sender.PID:
	default:
		return f.Target.Link == "" || f.Target.Folds() || slices.Contains(linksOf(r.Command), f.Target.Link)
	}
	return false
}

// Entries shows the records that f takes to visit, in order. It folds the log only where that
// has to be, for a Target with a name or for Changes.
func Entries(ctx context.Context, s *replay.Source, f Filter, visit func(Entry) error) error {
	to := f.To
	if to == 0 || to > s.Last() {
		to = s.Last()
	}
	if max(f.From, s.First()) > to {
		return nil
	}
	if f.Target.Folds() || f.Changes {
		return foldedEntries(ctx, s, f, to, visit)
	}
	for r, err := range s.Records(ctx, f.From, to) {
		if err == nil && !f.takes(r) {
			continue
		}
		if err == nil {
			err = visit(newEntry(r))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foldedEntries is Entries with the Tree at hand.
func foldedEntries(ctx context.Context, s *replay.Source, f Filter, to eventlog.Seq, visit func(Entry) error) error {
	t, err := s.Tree(ctx, max(f.From, s.First())-1)
	if err != nil {
		return err
	}
	w := newFollower(f, t)
	var look func(bakery.Record)
	if f.Changes {
		look = w.before
	}
	return s.Walk(ctx, t, to, look, func(r bakery.Record) error {
		if e, ok := w.after(r); ok {
			return visit(e)
		}
		return nil
	})
}

// linksOf are the links that a command names.
func linksOf(c bakery.Command) []string {
	switch c := c.(type) {
	case bakery.MqSetup:
		return []string{c.Down.Link, c.Up.Link}
	case bakery.Commit:
		return []string{c.Setup.Down.Link, c.Setup.Up.Link}
	case bakery.ClearPriorSettings:
		return c.Links
	case bakery.AddStructuralHTBClass:
		return []string{c.Link}
	case bakery.AddCircuitHTBClass:
		return []string{c.Link}
	case bakery.AddCircuitQdisc:
		return []string{c.Link}
	case bakery.ChangeSiteSpeedLive:
		var links []string
		for _, class := range c.Classes {
			links = append(links, class.Link)
		}
		return links
	case bakery.ExecuteTCCommands:
		var links []string
		for _, line := range c.Lines {
			links = append(links, wordAfter(line, "dev"))
		}
		return links
	}
	return nil
}

// wordAfter is the word after another one; "" if there is none.
func wordAfter(line, word string) string {
	words := strings.Fields(line)
	if i := slices.Index(words, word); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

func newEntry(r bakery.Record) Entry {
	e := Entry{Seq: r.Seq, Time: r.Time, Sender: r.Sender, Kind: r.Command.Kind(), Command: r.Command, Lines: []string{}}
	text := string(bakery.AppendLines(nil, r.Command, bakery.RatesAsClient))
	if text != "" {
		e.Lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	return e
}

// Summary says what was asked, in one line.
func (e Entry) Summary() string {
	switch c := e.Command.(type) {
	case bakery.MqSetup:
		return queues(c)
	case bakery.Commit:
		sites, circuits := c.Count()
		return fmt.Sprintf("%s; %d sites, %d circuits", queues(c.Setup), sites, circuits)
	case bakery.ChangeSiteSpeedLive:
		return fmt.Sprintf("site %d  %s", c.SiteHash, e.line())
	case bakery.ExecuteTCCommands:
		return fmt.Sprintf("%d lines", len(c.Lines))
	case bakery.MapIPToFlow:
		return fmt.Sprintf("%s → %x:%x cpu %d%s", c.Address, c.Handle>>16, c.Handle&0xffff, c.CPU, listing.Direction(c.Upload))
	case bakery.DelIPFlow:
		return c.Address + listing.Direction(c.Upload)
	case bakery.ClearPriorSettings:
		return strings.Join(c.Links, " ")
	}
	return strings.TrimRight(e.line()+"  "+e.name(), " ")
}

func queues(m bakery.MqSetup) string {
	return fmt.Sprintf("%s queues %d at %x:, %s queues %d at %x:", m.Down.Link, m.Down.Queues, m.Down.FirstMajor,
		m.Up.Link, m.Up.Queues, m.Up.FirstMajor)
}

// name is what the client calls the circuit, quoted; "" where it has none.
func (e Entry) name() string {
	if c, ok := e.Command.(bakery.AddCircuitHTBClass); ok && c.Comment != nil {
		return strconv.Quote(*c.Comment)
	}
	return ""
}

func (e Entry) line() string { return strings.Join(e.Lines, "; ") }

// Write prints the entry for people: a line, and with lines its tc lines below.
func (e Entry) Write(w io.Writer, lines bool) error {
	head := fmt.Sprintf("%8d  %s  uid %d pid %d  %s", e.Seq, e.Time.Local().Format("2006-01-02 15:04:05.000"),
		e.Sender.UID, e.Sender.PID, e.Kind)
	if !lines {
		_, err := fmt.Fprintf(w, "%s  %s\n", head, e.Summary())
		return err
	}
	if summary := e.Summary(); len(e.Lines) == 0 && summary != "" {
		head += "  " + summary
	}
	if name := e.name(); name != "" {
		head += "  " + name
	}
	_, err := fmt.Fprintln(w, head)
	for _, l := range e.Lines {
		if err == nil {
			_, err = fmt.Fprintf(w, "          %s\n", l)
		}
	}
	return err
}

// WriteChanges prints the entry, with lines its tc lines, and what it changed below.
func (e Entry) WriteChanges(w io.Writer, lines, colour bool) error {
	p := listing.Palette{}
	if colour {
		p = listing.ANSI()
	}
	if err := e.Write(w, lines); err != nil {
		return err
	}
	for _, d := range e.Changes {
		if _, err := fmt.Fprintf(w, "          %s\n", d.Located(p)); err != nil {
			return err
		}
	}
	return nil
}
