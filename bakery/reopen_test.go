package bakery_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// tearable is an event log that can be told to refuse.
type tearable struct {
	bakery.Log
	torn *atomic.Bool
}

func (l tearable) Enqueue(tx eventlog.Tx) (*eventlog.Pending, error) {
	if l.torn.Load() {
		return nil, errors.Join(eventlog.ErrNotAppended, errDisk)
	}
	return l.Log.Enqueue(tx)
}

// TestReopen: when the log refuses, the sender is told that nothing was appended;
// the bakery goes back to what the log holds, refuses while it can't be opened, and
// goes on when it can.
func TestReopen(t *testing.T) {
	r := newRig(t, twoLinks)
	r.stop()
	var torn, gone atomic.Bool
	opened := 0
	r.o.OpenLog = func() (bakery.Log, error) {
		if gone.Load() {
			return nil, errDisk
		}
		torn.Store(false)
		opened++
		l, err := openLog(r.dir)
		return tearable{l, &torn}, err
	}
	r.start()
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 100, 100))
	before := r.tree()
	written := r.sink.String()

	torn.Store(true)
	gone.Store(true)
	out := r.submit(site("eth1", "1:", "4", 100, 100))[0]
	if !errors.Is(out.Err, bakery.ErrLogUnavailable) || !errors.Is(out.Err, eventlog.ErrNotAppended) {
		t.Fatalf("a torn log: %v", out.Err)
	}
	for { // the folder notices, and tries in vain
		out := r.submit(site("eth1", "1:", "5", 100, 100))[0]
		if !errors.Is(out.Err, bakery.ErrLogUnavailable) {
			t.Fatalf("without a log: %+v", out)
		}
		if r.h.Health().Log != nil {
			break
		}
	}
	if _, err := r.h.Tree(t.Context()); !errors.Is(err, bakery.ErrLogUnavailable) {
		t.Errorf("reading without a log: %v", err)
	}
	sites := func(ids ...string) (list []bakery.Submission) {
		for _, id := range ids {
			list = append(list, bakery.Submission{Commands: []bakery.Command{site("eth1", "1:", id, 100, 100)}})
		}
		return list
	}
	tickets, err := r.h.SubmitAll(t.Context(), sites("7", "8", "9"))
	if err != nil {
		t.Fatal(err)
	}
	for i, ticket := range tickets {
		if out := ticket.Wait()[0]; !errors.Is(out.Err, bakery.ErrLogUnavailable) {
			t.Errorf("of several, submission %d: %+v", i, out)
		}
	}
	gone.Store(false)
	for errors.Is(r.submit(site("eth1", "1:", "6", 100, 100))[0].Err, bakery.ErrLogUnavailable) {
	}
	if out := r.submitAs(bakery.Submission{}); len(out) != 0 {
		t.Errorf("outcomes of nothing: %v", out)
	}
	if h := r.h.Health(); h.Log != nil {
		t.Errorf("Health still tells %v", h.Log)
	}
	tree := r.tree()
	if tree.Seq != before.Seq+1 || opened != 2 {
		t.Errorf("the tree is at %d, was at %d; opened %d times", tree.Seq, before.Seq, opened)
	}
	want := written + "class add dev eth1 parent 1: classid 6 htb rate 100.0mbit ceil 100.0mbit prio 3 quantum 1250000\n"
	if got := r.sink.String(); got != want {
		t.Errorf("the Sink got %q", strings.TrimPrefix(got, written))
	}
}

// TestNothingUndurableIsRead: after a refusal of the log no reader sees the record
// that it refused, and the next one gets its Seq.
func TestNothingUndurableIsRead(t *testing.T) {
	r := newRig(t, twoLinks)
	r.stop()
	var torn atomic.Bool
	r.o.OpenLog = func() (bakery.Log, error) {
		torn.Store(false)
		l, err := openLog(r.dir)
		return tearable{l, &torn}, err
	}
	r.start()
	r.must(bakery.MqSetup{})
	for range 20 {
		before := r.tree()
		torn.Store(true)
		if out := r.submit(site("eth1", "1:", "3", 100, 100))[0]; out.Err == nil {
			t.Fatal("a torn log took a command")
		}
		if after := r.tree(); !after.Equal(before) {
			t.Fatalf("a reader sees record %d, which the log refused", after.Seq)
		}
		if out := r.submit(site("eth1", "1:", "4", 100, 100))[0]; out.Err != nil || out.Seq != before.Seq+1 {
			t.Fatalf("after the refusal: %+v, want Seq %d", out, before.Seq+1)
		}
	}
}

// TestEveryTicketIsAnswered: what is handed in while the bakery ends is answered, or
// not taken.
func TestEveryTicketIsAnswered(t *testing.T) {
	for range 50 {
		r := newRig(t, twoLinks)
		r.must(bakery.MqSetup{})
		senders := make(chan error)
		for range 8 {
			go func() {
				var all []*bakery.Ticket
				for {
					one := bakery.Submission{Commands: []bakery.Command{site("eth1", "1:", "3", 1, 1)}}
					tickets, err := r.h.SubmitAll(context.Background(), slices.Repeat([]bakery.Submission{one}, 30))
					if err != nil {
						for _, ticket := range all {
							ticket.Wait()
						}
						senders <- err
						return
					}
					all = append(all, tickets...)
				}
			}()
		}
		r.stop()
		for range 8 {
			if err := <-senders; !errors.Is(err, bakery.ErrStopped) {
				t.Fatal(err)
			}
		}
	}
}
