package bakery

import (
	"errors"
	"fmt"
	"log/slog"

	"lqosd/eventlog"
)

// maxBehind is how many bytes of lines are kept for a Sink that fails; what comes
// after is left out of it, and Health says so.
const maxBehind = 64 << 20

// acker is the goroutine that waits for commits, feeds the Sink and answers, in
// the order of submission.
type acker struct {
	in   <-chan *Ticket
	torn chan<- struct{} // capacity 1, coalesces
	sink Sink
	h    *Handle
	log  *slog.Logger

	broken  bool     // a commit failed and the folder hasn't recovered
	unsure  []unsure // lines of commits whose outcome isn't known
	behind  []byte   // lines that the Sink didn't take
	skipped int      // lines' bytes that were over maxBehind
}

type unsure struct {
	last  eventlog.Seq
	lines []byte
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
		close(t.ready)
	}
}

// settle waits for a ticket's commit.
func (a *acker) settle(t *Ticket) {
	res, err := t.pending.Wait()
	if err == nil {
		a.write(t.lines)
		return
	}
	if errors.Is(err, eventlog.ErrUnknownOutcome) {
		a.unsure = append(a.unsure, unsure{res.Last, t.lines})
	} else {
		err = fmt.Errorf("%w: %w", ErrLogUnavailable, err)
	}
	for _, i := range t.accepted {
		t.outcomes[i].Err = err
	}
	if a.broken {
		return
	}
	a.broken = true
	a.h.setLog(err)
	a.log.Error("the event log failed", "err", err)
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
			a.write(u.lines)
		}
	}
	a.broken, a.unsure = false, nil
	a.h.setLog(nil)
	a.log.Info("the event log was opened again", "last_seq", last)
}

// write passes lines on, after those that the Sink didn't take before.
func (a *acker) write(lines []byte) {
	if a.sink == nil {
		return
	}
	if len(a.behind) > 0 {
		a.keep(lines)
		lines = a.behind
	}
	if len(lines) == 0 {
		return
	}
	err := a.sink.Write(lines)
	switch {
	case err != nil && len(a.behind) == 0:
		a.keep(lines)
	case err == nil:
		a.behind = nil
		if a.skipped > 0 {
			err = fmt.Errorf("%d bytes of lines are missing, which came while it failed: bakery-replay render has them", a.skipped)
		}
	}
	a.h.setSink(err)
}

// keep holds lines back that the Sink can't take yet.
func (a *acker) keep(lines []byte) {
	if len(a.behind)+len(lines) > maxBehind {
		a.skipped += len(lines)
		return
	}
	a.behind = append(a.behind, lines...)
}
