package main

import (
	"context"
	"os"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
)

// statusReply is the body of LqosdStatus, and what lqosd status --json prints.
type statusReply struct {
	Version    string      `json:"version"`
	PID        int         `json:"pid"`
	Started    time.Time   `json:"started"`
	Mode       string      `json:"mode"`
	Config     string      `json:"config"` // "" for the built-in defaults
	StateDir   string      `json:"state_dir"`
	Socket     string      `json:"socket"`
	TCFile     string      `json:"tc_file"` // "" in apply mode
	Queues     *queueCount `json:"queues"`
	Bakery     string      `json:"bakery"`    // "running", or why it isn't
	LogError   string      `json:"log_error"` // "" when the log takes commands
	SinkError  string      `json:"sink_error"`
	Failures   int         `json:"log_failures"`     // since the start, also those recovered from
	LastFail   string      `json:"last_log_failure"` // "" for none
	LastSeq    uint64      `json:"last_seq"`         // newest durable record
	AppliedSeq uint64      `json:"applied_seq"`      // newest record that the kernel or the tc file has

	Dataplane dataplaneStatus `json:"dataplane"`
	Kernel    *kernelStatus   `json:"kernel"` // null in file mode
	Tree      *treeStatus     `json:"tree"`
	Log       *eventlog.Stats `json:"log"`
	Bus       bus.Stats       `json:"bus"`
	Preflight *preflight      `json:"preflight"`
}

// treeStatus sums the Tree up.
type treeStatus struct {
	Generation uint64    `json:"generation"`
	Links      []string  `json:"links"`
	Circuits   int       `json:"circuits"`
	Classes    int       `json:"classes"`
	Qdiscs     int       `json:"qdiscs"`
	Mappings   int       `json:"mappings"`
	Opaque     int       `json:"opaque_lines"`
	Warnings   []warning `json:"warnings"` // at most maxWarnings
	Warned     int       `json:"warnings_total"`
}

// warning is a class that asks for less than is programmed.
type warning struct {
	bakery.ClassRef
	Seq      eventlog.Seq `json:"seq"`
	RateMbps float64      `json:"asked_rate_mbps"`
	CeilMbps float64      `json:"asked_ceil_mbps"`
	Text     string       `json:"text"`
}

const maxWarnings = 100

func status(ctx context.Context, c *conn, _ bus.Request) bus.Reply {
	d := c.d
	s := statusReply{Version: version, PID: os.Getpid(), Started: d.started.UTC(), Mode: d.settings.Bakery.Mode,
		Config: absolute(d.settings.configPath), StateDir: absolute(d.settings.Bakery.StateDirectory), Socket: absolute(d.settings.Bakery.Socket),
		Queues: d.queueCount.Load(), Bus: d.server.Stats(), Dataplane: d.dataplaneStatus(ctx)}
	if d.tc != nil {
		s.TCFile = absolute(d.settings.tcPath)
	}
	d.mu.Lock()
	s.Preflight = d.preflight
	d.mu.Unlock()
	if d.bakery == nil {
		s.Bakery = d.bakeryErr.Error()
		return bus.Reply{Name: "LqosdStatus", Value: s}
	}
	s.Bakery = "running"
	h := d.bakery.Health()
	s.LogError, s.SinkError = errorText(h.Log), errorText(h.Sink)
	s.Failures, s.LastFail = h.Failures, errorText(h.LastFailure)
	if l := d.eventlog.Load(); l != nil {
		s.LastSeq = uint64(l.LastSeq())
		if stats, err := l.Stats(); err == nil {
			s.Log = &stats
		}
	}
	if t, err := d.bakery.Tree(ctx); err != nil {
		s.Bakery = err.Error()
	} else {
		s.Tree = summarize(t)
		s.LastSeq = max(s.LastSeq, uint64(t.Seq))
		s.AppliedSeq = uint64(d.bakery.Applied())
	}
	if s.Kernel = d.kernelStatus(); s.Kernel != nil {
		s.AppliedSeq = uint64(s.Kernel.Applied)
	}
	return bus.Reply{Name: "LqosdStatus", Value: s}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func summarize(t *bakery.Tree) *treeStatus {
	s := &treeStatus{Generation: t.Generation, Links: t.State().Links(), Circuits: t.Circuits(),
		Mappings: t.MappingCount(), Opaque: len(t.Opaque()), Warnings: []warning{}}
	for _, link := range s.Links {
		for range t.State().Classes(link) {
			s.Classes++
		}
		for range t.State().Qdiscs(link) {
			s.Qdiscs++
		}
	}
	for at, n := range t.Notes {
		if n.AskedMbps == nil {
			continue
		}
		if s.Warned++; len(s.Warnings) < maxWarnings {
			s.Warnings = append(s.Warnings, warning{at, n.Seq, n.AskedMbps[0], n.AskedMbps[1],
				"less than " + bakery.MinRate.String() + " is programmed as " + bakery.MinRate.String()})
		}
	}
	return s
}
