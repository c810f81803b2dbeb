package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"lqosd/bakery"
)

// print writes the status for people.
func (s statusReply) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("lqosd", "%s, pid %d, since %s", s.Version, s.PID, s.Started.Local().Format("2006-01-02 15:04:05"))
	row("mode", "%s", s.Mode)
	row("config", "%s", cmp.Or(s.Config, "built-in defaults"))
	row("state", "%s", s.StateDir)
	if s.TCFile != "" {
		row("tc file", "%s", s.TCFile)
	}
	if q := s.Queues; q != nil {
		row("queues", "%d per direction: %s", q.Queues, q.Reason)
	}
	s.Dataplane.rows(row)
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
	if s.Kernel != nil {
		s.Kernel.rows(row, time.Now())
	}
	if p := s.Preflight; p != nil && !p.OK {
		row("preflight", "a client reports: %s", p.Message)
	}
	return w.Flush()
}

// shownKernel is how many problems and drifts the text has; --json has more.
const shownKernel = 10

// rows prints what the reconciler tells.
func (k *kernelStatus) rows(row func(name, format string, args ...any), now time.Time) {
	state := string(k.Phase)
	if k.Settles != nil {
		state = fmt.Sprintf("%s: what was reset or unmapped is applied when the commands have ended, in %v if none comes", state,
			max(k.Settles.Sub(now), 0).Round(time.Millisecond))
	}
	row("kernel", "%s; %d writes, %d refused, drift: %s", state, k.Writes, k.Refused, k.Policy)
	if t := k.Steering; t != nil {
		row("mappings", "%d entries steer, %d wait for their class; %d written", t.Entries, t.Waiting, t.Writes)
	}
	for _, l := range k.Links {
		if l.There {
			row("link "+l.Name, "%d qdiscs, %d classes", l.Qdiscs, l.Classes)
		} else {
			row("link "+l.Name, "not there")
		}
	}
	for i, p := range k.Problems {
		if i == shownKernel {
			row("PROBLEM", "and %d more", k.ProblemsTotal-i)
			break
		}
		row("PROBLEM", "%s", p)
	}
	if k.DriftTotal > 0 {
		row("drift", "%d seen since the start, %d open", k.DriftTotal, k.DriftOpen)
	}
	for _, d := range newestDrift(k.Drift, shownKernel) {
		row("drift", "%s  %s: %s%s", d.Seen.Local().Format("15:04:05"), d.Fate, d.Text, parenthesis(d.Name))
	}
	for _, w := range k.Warned[max(len(k.Warned)-shownKernel, 0):] {
		row("kernel says", "%s: %s", w.Text, w.Op)
	}
}

// newestDrift are the open ones and the newest others, n in all.
func newestDrift(list []bakery.Drift, n int) []bakery.Drift {
	slices.SortStableFunc(list, func(a, b bakery.Drift) int {
		return cmp.Compare(isOpen(a), isOpen(b)) // the open ones last
	})
	return list[max(len(list)-n, 0):]
}

func isOpen(d bakery.Drift) int {
	if d.Fate == bakery.FateOpen {
		return 1
	}
	return 0
}

// String is the problem on one line.
func (p problemStatus) String() string {
	s := p.Object
	if p.Link != "" && !strings.HasPrefix(p.Object, "link ") {
		s += " on " + p.Link
	}
	s += parenthesis(p.Name) + ": " + p.Error
	if p.Seq != 0 {
		s += fmt.Sprintf(" [record %d", p.Seq)
		if p.Sender != nil {
			s += fmt.Sprintf(" of uid %d, pid %d", p.Sender.UID, p.Sender.PID)
		}
		s += "]"
	}
	return fmt.Sprintf("%s, tried %d times since %s", s, p.Tried, p.Since.Local().Format("15:04:05"))
}

func parenthesis(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}
