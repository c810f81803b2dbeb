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

// maxGroup is how many tickets are answered together: those behind them are woken no later than that.
const maxGroup = 512

// acker is the goroutine that waits for commits, feeds the Sink and answers, in
// the order of submission. What became durable meanwhile is a group: its lines are one write.
type acker struct {
	in   <-chan *Ticket
	torn chan<- struct{} // capacity 1, coalesces
	sink Sink
	// steers says that mappings are applied, too.
	steers bool
	h      *Handle
	now    func() time.Time
	outage outage

	group   []*Ticket // settled, and not yet answered
	durable durable   // what became so, of the group
	broken  bool      // a commit failed and the folder hasn't recovered
	unsure  []unsure  // commits whose outcome isn't known
	lines   []byte    // rendered, and not yet written
	behind  []byte    // lines that the Sink didn't take
	skipped int       // lines' bytes that were over maxBehind
}

// durable is what a group made so.
type durable struct {
	last         eventlog.Seq // 0: nothing
	shapes, maps bool
	err          error // of the Sink, the newest
}

type unsure struct {
	last     eventlog.Seq
	accepted []accepted
}

func (a *acker) run() {
	for t := range a.in {
		for t != nil {
			t = a.answer(t)
		}
	}
}

// answer answers t, and with it those behind it that need no waiting. It gives the ticket that it took and has to be waited for;
// nil: none.
func (a *acker) answer(t *Ticket) (next *Ticket) {
	for {
		a.settle(t)
		a.group = append(a.group, t)
		if next = a.next(); next == nil || len(a.group) == maxGroup || !next.settled() {
			break
		}
		t = next
	}
	a.flush()
	// The first one last: whoever waits for one after the other is woken once, and finds all of them.
	for i, t := range slices.Backward(a.group) {
		a.outage.answered(t.outcomes)
		close(t.ready)
		a.group[i] = nil
	}
	a.group = a.group[:0]
	return next
}

// next is a ticket that is there already, nil if none is.
func (a *acker) next() *Ticket {
	select {
	case t := <-a.in:
		return t
	default:
		return nil
	}
}

// settle waits for what a ticket has to wait for.
func (a *acker) settle(t *Ticket) {
	switch {
	case t.recovered != nil:
		a.resume(*t.recovered)
	case t.read != nil:
		if a.broken && t.err == nil {
			t.err = errTornRead
		}
	case t.pending != nil:
		a.commit(t)
	}
}

// commit waits for a ticket's commit.
func (a *acker) commit(t *Ticket) {
	res, err := t.pending.Wait()
	t.one.payload[0] = nil // who sent it may read the answer late
	if err == nil {
		if a.outage.reason != nil && !t.repeated() {
			a.outage.over(a.now())
		}
		a.render(res.Last, t.accepted)
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
			a.render(u.last, u.accepted)
		}
	}
	a.broken, a.unsure = false, nil
	a.h.setLog(nil)
	a.outage.reopened(last)
}

// render notes what became durable, up to record last, and renders it. A repeated submission has
// nothing to render: its lines were written the first time.
func (a *acker) render(last eventlog.Seq, list []accepted) {
	a.durable.last = last
	for _, c := range list {
		if c.command == nil {
			continue
		}
		kind := c.command.Kind()
		a.durable.shapes = a.durable.shapes || kind.shapes()
		a.durable.maps = a.durable.maps || kind.maps()
		if a.sink == nil {
			continue
		}
		a.lines = a.writeMany(appendLines(a.lines, c.command, RatesAsClient, a.writeMany))
	}
}

// writeMany writes lines when they are many, and gives the room for more.
func (a *acker) writeMany(lines []byte) []byte {
	if a.lines = lines; len(lines) >= maxWrite {
		a.writeLines()
	}
	return a.lines
}

// flush gives the Sink what is rendered, and tells what became durable.
func (a *acker) flush() {
	d := a.durable
	if d.last == 0 {
		return
	}
	if d.shapes {
		a.h.asksNow(a.now())
	}
	if a.steers && d.maps {
		a.h.mapsNow(a.now())
	}
	if a.sink != nil {
		if len(a.lines)+len(a.behind) > 0 {
			a.writeLines()
		}
		if a.skipped > 0 && a.durable.err == nil {
			a.durable.err = fmt.Errorf("%d bytes of lines are missing, which came while it failed: bakery-replay render has them", a.skipped)
		}
		a.h.setSink(d.last, a.durable.err)
	}
	a.durable = durable{}
}

func (a *acker) writeLines() {
	a.durable.err = a.write(a.lines)
	if a.lines = a.lines[:0]; cap(a.lines) > 2*maxWrite {
		a.lines = nil
	}
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
