package bakery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lqosd/eventlog"
)

// maxBehind is how many bytes of lines are kept for a Sink that fails; what comes
// after is left out of it, and Health says so.
const maxBehind = 64 << 20

// maxWrite is about how many bytes the Sink gets at once.
const maxWrite = 1 << 20

// acker is the goroutine that waits for commits, feeds the Sink and answers, in
// the order of submission.
type acker struct {
	in   <-chan *Ticket
	torn chan<- struct{} // capacity 1, coalesces
	sink Sink
	// steers says that mappings are applied, too.
	steers bool
	h      *Handle
	now    func() time.Time
	outage outage

	broken  bool     // a commit failed and the folder hasn't recovered
	unsure  []unsure // commits whose outcome isn't known
	lines   []byte   // room for rendering
	behind  []byte   // lines that the Sink didn't take
	skipped int      // lines' bytes that were over maxBehind
}

type unsure struct {
	last     eventlog.Seq
	accepted []accepted
}

func (a *acker) run() {
	for t := range a.in {
		switch {
		case t.recovered != nil:
			a.resume(*t.recovered)
		case t.read != nil:
			if a.broken && t.err == nil {
				t.err = errTornRead
			}
		case t.pending != nil:
			a.settle(t)
		}
		a.outage.answered(t.outcomes)
		close(t.ready)
	}
}

// settle waits for a ticket's commit.
func (a *acker) settle(t *Ticket) {
	res, err := t.pending.Wait()
	if err == nil {
		if !t.repeated() {
			a.outage.over(a.now())
		}
		a.writeAll(res.Last, t.accepted)
		return
	}
	if errors.Is(err, eventlog.ErrUnknownOutcome) {
		a.unsure = append(a.unsure, unsure{res.Last, t.accepted})
	} else {
		err = fmt.Errorf("%w: %w", ErrLogUnavailable, err)
	}
	for _, c := range t.accepted {
		t.outcomes[c.index].Err = err
	}
	if a.broken {
		return
	}
	a.broken = true
	a.h.failed(err)
	a.outage.failed(err, a.now())
	select {
	case a.torn <- struct{}{}:
	default:
	}
}

// resume goes on after the log was opened again: what it holds up to last is
// durable after all.
func (a *acker) resume(last eventlog.Seq) {
	for _, u := range a.unsure {
		if u.last <= last {
			a.writeAll(u.last, u.accepted)
		}
	}
	a.broken, a.unsure = false, nil
	a.h.setLog(nil)
	a.outage.reopened(last)
}

// writeAll renders what became durable, up to record last. A repeated submission has
// nothing to render: its lines were written the first time.
func (a *acker) writeAll(last eventlog.Seq, list []accepted) {
	shapes := func(c accepted) bool { return c.command != nil && c.command.Kind().shapes() }
	maps := func(c accepted) bool { return c.command != nil && c.command.Kind().maps() }
	if slices.ContainsFunc(list, shapes) {
		a.h.asksNow(a.now())
	}
	if a.steers && slices.ContainsFunc(list, maps) {
		a.h.mapsNow(a.now())
	}
	if a.sink == nil {
		return
	}
	var err error
	a.lines = a.lines[:0]
	for _, c := range list {
		if c.command != nil {
			a.lines = AppendLines(a.lines, c.command, RatesAsClient)
		}
		if len(a.lines) >= maxWrite {
			err = a.write(a.lines)
			a.lines = a.lines[:0]
		}
	}
	if len(a.lines)+len(a.behind) > 0 {
		err = a.write(a.lines)
	}
	if a.skipped > 0 && err == nil {
		err = fmt.Errorf("%d bytes of lines are missing, which came while it failed: bakery-replay render has them", a.skipped)
	}
	a.h.setSink(last, err)
}

// write passes lines on, after those that the Sink didn't take before.
func (a *acker) write(lines []byte) error {
	if len(a.behind) > 0 {
		a.keep(lines)
		lines = a.behind
	}
	err := a.sink.Write(lines)
	switch {
	case err == nil:
		a.behind = nil
	case len(a.behind) == 0:
		a.keep(lines)
	}
	return err
}

// keep holds lines back that the Sink can't take yet.
func (a *acker) keep(lines []byte) {
	if len(a.behind)+len(lines) > maxBehind {
		a.skipped += len(lines)
		return
	}
	a.behind = append(a.behind, lines...)
}
