package bakery_test

import (
	"errors"
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
	gone.Store(false)
	for errors.Is(r.submit(site("eth1", "1:", "6", 100, 100))[0].Err, bakery.ErrLogUnavailable) {
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
