package bakery_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// gate is a Sink that holds its first write up until it is opened, and counts.
type gate struct {
	opened   chan struct{}
	held     chan struct{} // closed when the first write has come
	answered chan struct{}
	early    atomic.Bool // it was, before its line was here
	once     sync.Once
	mu       sync.Mutex
	writes   []string
}

func (g *gate) Write(lines []byte) error {
	g.once.Do(func() { close(g.held) })
	<-g.opened
	select {
	case <-g.answered: // closed when the second submission is answered
		g.early.Store(!g.has("classid 0x3 "))
	case <-time.After(20 * time.Millisecond):
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes = append(g.writes, string(lines))
	return nil
}

func (g *gate) has(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Contains(strings.Join(g.writes, ""), text)
}

// TestDurableTogether: what became durable while the Sink was busy is one write, in log order, before any of it is answered.
func TestDurableTogether(t *testing.T) {
	r := newRig(t, twoLinks)
	r.stop()
	g := &gate{opened: make(chan struct{}), held: make(chan struct{}), answered: make(chan struct{})}
	r.o.Sink = g
	r.start()
	ctx := context.Background()
	first, err := r.h.Submit(ctx, bakery.Submission{Commands: []bakery.Command{bakery.MqSetup{}}})
	if err != nil {
		t.Fatal(err)
	}
	<-g.held
	const n = 40
	var submissions []bakery.Submission
	for i := range n {
		site := bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:", ClassID: fmt.Sprintf("0x%x", 3+i), RateMbps: 1, CeilMbps: 10, R2Q: 10}
		if i == 20 {
			site.Parent = "1:dead" // refused
		}
		submissions = append(submissions, bakery.Submission{Commands: []bakery.Command{site}})
	}
	tickets, err := r.h.SubmitAll(ctx, submissions)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		tickets[0].Wait()
		close(g.answered)
	}()
	last, err := r.h.Submit(ctx, bakery.Submission{Commands: []bakery.Command{bakery.ClearIPFlow{}}})
	if err != nil {
		t.Fatal(err)
	}
	close(g.opened) // all are in line: what isn't durable yet takes two commits at most
	seq := first.Wait()[0].Seq
	for i, ticket := range tickets {
		out := ticket.Wait()[0]
		if i == 20 {
			if out.Err == nil {
				t.Error("a class below nothing was taken")
			}
			continue
		}
		if seq++; out.Err != nil || out.Seq != seq {
			t.Errorf("submission %d: %+v, want seq %d", i, out, seq)
		}
	}
	if out := last.Wait()[0]; out.Err != nil || out.Seq != seq+1 || r.h.Applied() != eventlog.Seq(n+1) {
		t.Errorf("the last: %+v, applied %d", out, r.h.Applied())
	}
	if g.early.Load() {
		t.Error("a submission was answered before its line was written")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(strings.Join(g.writes[1:], "")), "\n")
	if len(g.writes)-1 > 5 || len(lines) != n-1 {
		t.Fatalf("%d lines came in %d writes", len(lines), len(g.writes)-1)
	}
	for i, line := range lines {
		if i >= 20 {
			i++
		}
		if !strings.Contains(line, fmt.Sprintf("classid 0x%x ", 3+i)) {
			t.Errorf("line %d is %q", i, line)
		}
	}
}

// TestAnsweredTicketsHoldNoPayload: the records of a batch are large, and a ticket is held until its answer is on its way.
func TestAnsweredTicketsHoldNoPayload(t *testing.T) {
	r := newRig(t, twoLinks)
	for _, c := range []bakery.Command{bakery.MqSetup{}, bakery.ClearPriorSettings{}} {
		ticket, err := r.h.Submit(t.Context(), bakery.Submission{Commands: []bakery.Command{c}})
		if err != nil {
			t.Fatal(err)
		}
		if out := ticket.Wait(); out[0].Err != nil || ticket.HoldsPayload() {
			t.Errorf("%+v; it holds its payload: %v", out, ticket.HoldsPayload())
		}
	}
}
