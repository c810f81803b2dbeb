package bakery_test

import (
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// watchedLog tells of each pruning which generation it protects, and which one the newest snapshot is of.
type watchedLog struct {
	bakery.Log
	mark   uint64
	pruned func(mark, protected uint64)
}

func (l *watchedLog) Roll(s eventlog.Snapshot) (*eventlog.Pending, error) {
	l.mark = s.Mark
	return l.Log.Roll(s)
}

func (l *watchedLog) Prune(p eventlog.Policy) (eventlog.Pruned, error) {
	l.pruned(l.mark, p.MinMark)
	return l.Log.Prune(p)
}

// TestRetainedGenerationsAreDurable: what is on its way to the log doesn't count as a generation that is kept, as it may never get there.
func TestRetainedGenerationsAreDurable(t *testing.T) {
	r := newRig(t, twoLinks)
	r.stop()
	const kept = 2
	var prunings atomic.Int64
	r.o.Retain = bakery.Retention{MaxAge: time.Nanosecond, Generations: kept}
	r.o.OpenLog = func() (bakery.Log, error) {
		l, err := eventlog.Open(r.dir, eventlog.Options{SegmentBytes: 4096, Clock: time.Now})
		return &watchedLog{Log: l, pruned: func(mark, protected uint64) {
			prunings.Add(1)
			if want := mark - min(mark, kept) + 1; protected != want {
				t.Errorf("with a snapshot of generation %d generations from %d on are kept, want %d", mark, protected, want)
			}
		}}, err
	}
	r.start()
	var last *bakery.Ticket
	for i := 0; i < 2000 || prunings.Load() == 0 && i < 200_000; i++ { // a committer that has no CPU doesn't get to it soon
		var err error
		if last, err = r.h.Submit(t.Context(), bakery.Submission{Commands: []bakery.Command{bakery.MqSetup{}}}); err != nil {
			t.Fatal(err)
		}
	}
	last.Wait()
	r.stop()
	if prunings.Load() == 0 {
		t.Error("nothing was pruned")
	}
}
