package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/internal/host"
	"lqosd/internal/lqosconf"
)

// checkApply refuses apply mode where it can't work, in doctor's words, and logs what it
// waits for.
func checkApply(s settings, h host.Host, log *slog.Logger) error {
	var lacks []string
	refused := false
	for _, f := range examineKernel(s, h) {
		if f.Verdict == missing {
			lacks = append(lacks, fmt.Sprintf("%s: %s (%s)", f.Check, f.Text, f.Advice))
			refused = refused || !f.waits
		}
	}
	if !refused {
		for _, lack := range lacks {
			log.Warn("waiting for what isn't there", "what", lack)
		}
		return nil
	}
	return errors.New("apply mode can't work on this host: " + strings.Join(lacks, "; "))
}

// openKernel opens the kernel in apply mode.
func (d *daemon) openKernel() error {
	if d.settings.Bakery.Mode != lqosconf.ModeApply {
		return nil
	}
	if err := checkApply(d.settings, d.host, d.log); err != nil {
		return err
	}
	k, err := kernel.Open()
	if err != nil {
		return err
	}
	d.kernel = k
	return nil
}

// applyOptions adds to the bakery's options what the mode decides.
func (d *daemon) applyOptions(o bakery.Options) bakery.Options {
	if d.kernel == nil {
		o.Sink = d.tc
		return o
	}
	b := d.settings.Bakery
	o.Kernel = d.kernel
	if b.OpaqueLines == lqosconf.OpaqueRefuse {
		o.Kernel = withoutLines{d.kernel}
	}
	if d.plane != nil {
		o.Dataplane = d.plane
	}
	o.Settle, o.SettleMax = time.Duration(b.SettleMS)*time.Millisecond, time.Duration(b.SettleMaxMS)*time.Millisecond
	if b.Drift == lqosconf.DriftReport {
		o.Drift = bakery.DriftReport
	}
	return o
}

// withoutLines is a kernel that runs no lines: those that an older log holds show as problems.
type withoutLines struct{ bakery.Kernel }

// Execute refuses.
func (withoutLines) Execute(context.Context, string) error {
	return errors.New(`bakery.opaque_lines is "refuse": it isn't run`)
}

// kernelStatus is what the reconciler tells, with the senders of what the kernel refuses.
type kernelStatus struct {
	*bakery.KernelStatus
	Problems []problemStatus `json:"problems"`
	Policy   string          `json:"drift_policy"`
}

type problemStatus struct {
	bakery.Problem
	Sender *bakery.Sender `json:"sender"` // of the record; nil if that isn't known
}

func (d *daemon) kernelStatus() *kernelStatus {
	s := d.bakery.Kernel()
	if s == nil {
		return nil
	}
	k := &kernelStatus{KernelStatus: s, Problems: []problemStatus{}, Policy: d.settings.Bakery.Drift}
	senders := map[eventlog.Seq]*bakery.Sender{}
	for _, p := range s.Problems {
		sender, known := senders[p.Seq]
		if !known {
			sender = d.sender(p.Seq)
			senders[p.Seq] = sender
		}
		k.Problems = append(k.Problems, problemStatus{p, sender})
	}
	return k
}

// sender looks up who sent a record; nil if it isn't there any more.
func (d *daemon) sender(seq eventlog.Seq) *bakery.Sender {
	l := d.eventlog.Load()
	if l == nil || seq == 0 {
		return nil
	}
	for raw, err := range l.Records(seq) {
		if err != nil || raw.Seq != seq {
			return nil
		}
		if r, err := bakery.DecodeRecord(raw.Seq, raw.Data); err == nil {
			return &r.Sender
		}
		return nil
	}
	return nil
}

// leafKind is the kind of the configured default leaf.
func leafKind(s settings) (string, error) {
	words := strings.Fields(s.Queues.DefaultSQM)
	if len(words) == 0 {
		return "", nil
	}
	_, err := tc.ParseOptions(words[0], words[1:])
	return words[0], err
}

// thisHost is the machine that the process runs on, with the links of its network
// namespace.
func thisHost() host.Host { return host.This().Asking(kernel.LinkQueues) }
