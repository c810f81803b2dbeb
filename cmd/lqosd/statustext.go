package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the status for people.
func (s statusReply) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("lqosd", "%s, pid %d, since %s", s.Version, s.PID, s.Started.Local().Format("2006-01-02 15:04:05"))
	row("mode", "%s", s.Mode)
	row("config", "%s", cmp.Or(s.Config, "built-in defaults"))
	row("state", "%s", s.StateDir)
	row("tc file", "%s", s.TCFile)
	if q := s.Queues; q != nil {
		row("queues", "%d per direction: %s", q.Queues, q.Reason)
	}
	row("dataplane", "%s", s.Dataplane)
	row("bakery", "%s", s.Bakery)
	for _, problem := range []string{s.LogError, s.SinkError} {
		if problem != "" {
			row("PROBLEM", "%s", problem)
		}
	}
	if s.Failures > 0 {
		row("log failures", "%d since the start, the last: %s", s.Failures, s.LastFail)
	}
	row("records", "last %d, applied %d", s.LastSeq, s.AppliedSeq)
	if t := s.Tree; t != nil {
		row("tree", "generation %d: %d circuits, %d classes, %d qdiscs, %d mappings on %s", t.Generation,
			t.Circuits, t.Classes, t.Qdiscs, t.Mappings, cmp.Or(strings.Join(t.Links, " "), "no link"))
		if t.Opaque > 0 {
			row("opaque", "%d tc lines that are kept word for word", t.Opaque)
		}
		for _, x := range t.Warnings {
			row("warning", "%s %s, record %d: asked for rate %g ceil %g Mbit/s: %s", x.Link, x.ID, x.Seq, x.RateMbps, x.CeilMbps, x.Text)
		}
		if more := t.Warned - len(t.Warnings); more > 0 {
			row("warning", "and %d more", more)
		}
	}
	if p := s.Preflight; p != nil && !p.OK {
		row("preflight", "a client reports: %s", p.Message)
	}
	return w.Flush()
}
