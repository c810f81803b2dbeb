package replay

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// Entry is a record as `bakery-replay log` lists it.
type Entry struct {
	Seq     eventlog.Seq   `json:"seq"`
	Time    time.Time      `json:"time"`
	Sender  bakery.Sender  `json:"sender"`
	Kind    bakery.Kind    `json:"kind"`
	Command bakery.Command `json:"command"`
	Lines   []string       `json:"lines"` // as tc-rust.txt has them
}

// Filter chooses entries; the zero value takes all.
type Filter struct {
	From, To eventlog.Seq // 0: open
	Since    time.Time
	Kind     bakery.Kind // 0: all
}

// Entries shows the records that f takes to visit, in order.
func (s *Source) Entries(ctx context.Context, f Filter, visit func(Entry) error) error {
	to := f.To
	if to == 0 || to > s.Last() {
		to = s.Last()
	}
	if max(f.From, s.First()) > to {
		return nil
	}
	for r, err := range s.Records(ctx, f.From, to) {
		if err == nil && (r.Time.Before(f.Since) || f.Kind != 0 && r.Command.Kind() != f.Kind) {
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
		return fmt.Sprintf("%s → %x:%x cpu %d%s", c.Address, c.Handle>>16, c.Handle&0xffff, c.CPU, direction(c.Upload))
	case bakery.DelIPFlow:
		return c.Address + direction(c.Upload)
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

func direction(upload bool) string {
	if upload {
		return " upload"
	}
	return ""
}

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
