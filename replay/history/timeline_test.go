package history

import (
	"fmt"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/replaytest"
)

var roomy = Limits{Events: 1000, Refreshes: 1000, Changes: 1000, Each: 1000, Buckets: 10}

// busyNetwork is a refresh with addresses, changes of one circuit, others of addresses, a second refresh, a batch, and an end.
func busyNetwork() []bakery.Command {
	at := func(after time.Duration, c bakery.Command) bakery.Command {
		return replaytest.Timed{Command: c, At: replaytest.Begin.Add(after)}
	}
	wipe := bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}}
	return []bakery.Command{
		at(0, wipe), at(0, replaytest.MqSetup()), at(time.Second, replaytest.Circuit("4", 10, "Smith")), at(9*time.Second, replaytest.MapIP("192.0.2.1", 0x10004, false)), // 1 to 4
		at(20*time.Second, replaytest.Circuit("4", 20, "Smith")),                                                                      // 5
		at(40*time.Second, replaytest.MapIP("192.0.2.2", 0x10004, false)), at(41*time.Second, bakery.DelIPFlow{Address: "192.0.2.2"}), // 6, 7
		at(42*time.Second, replaytest.Circuit("5", 20, "Jones")),                                           // 8: another family
		at(43*time.Second, replaytest.MqSetup()), at(44*time.Second, replaytest.Circuit("4", 20, "Smith")), // 9, 10
		at(45*time.Second, replaytest.MqSetup()), // 11: a refresh of its own
		at(46*time.Second, bakery.ExecuteTCCommands{Lines: []string{"class add dev eth1 parent 1: classid 1:9 htb rate 2mbit ceil 10mbit"}}), // 12
		at(47*time.Second, aCommit()), at(48*time.Second, replaytest.Circuit("6", 20, "Miller")), // 13, 14
		at(49*time.Second, wipe), // 15
	}
}

func timelineOf(t *testing.T, s *replay.Source, from, to eventlog.Seq, limits Limits) Timeline {
	t.Helper()
	l, err := NewTimeline(t.Context(), s, from, to, limits)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTimelineGroups(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyNetwork()))
	want := "1-4 refresh, 5-5, 6-7, 8-8, 9-10 refresh, 11-11 refresh, 12-12, 13-13 refresh, 14-14, 15-15 refresh, "
	got := ""
	for _, e := range timelineOf(t, s, 0, s.Last(), roomy).Events {
		got += fmt.Sprintf("%d-%d%s, ", e.From, e.To, map[bool]string{true: " refresh"}[e.Refresh])
	}
	if got != want {
		t.Errorf("the events are %s\nwant %s", got, want)
	}
}

// TestTimelineTellsWhatChanged compares what events changed with comparisons of whole Trees, for each part of a log.
func TestTimelineTellsWhatChanged(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyNetwork()))
	for from := range s.Last() {
		for to := from; to <= s.Last(); to++ {
			l := timelineOf(t, s, from, to, roomy)
			next := from + 1
			for _, e := range l.Events {
				if e.From != next {
					t.Fatalf("%d to %d: an event begins with record %d, want %d", from, to, e.From, next)
				}
				next = e.To + 1
				checkEvent(t, s, e)
			}
			if next != to+1 || l.Records != uint64(to-from) || inBuckets(l) != int(to-from) {
				t.Errorf("%d to %d: the events end before record %d; %d records, %d in buckets", from, to, next, l.Records, inBuckets(l))
			}
			checkTree(t, s, l.Before, from)
			checkTree(t, s, l.After, to)
		}
	}
}

func checkEvent(t *testing.T, s *replay.Source, e Event) {
	t.Helper()
	if !e.Refresh && e.Records() > 1 {
		return // what is done and undone shows as two changes
	}
	want, err := diff.CompareMoments(t.Context(), s, e.From-1, e.To)
	if err != nil {
		t.Fatal(err)
	}
	if !e.Compared || e.Totals != want.Totals || len(e.Changes) != len(want.Differences) {
		t.Errorf("records %d to %d: %+v and %d changes, want %+v", e.From, e.To, e.Totals, len(e.Changes), want.Totals)
	}
}

func inBuckets(l Timeline) (n int) {
	for _, b := range l.Buckets {
		n += b.Records
	}
	return n
}

func checkTree(t *testing.T, s *replay.Source, got *bakery.Tree, at eventlog.Seq) {
	t.Helper()
	want, err := s.Tree(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) {
		t.Errorf("the tree after record %d is another one", at)
	}
}

func TestTimelineLimits(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyNetwork()))
	for name, test := range map[string]struct {
		limits           Limits
		events, skipped  int
		compared, listed int
	}{
		"all":           {roomy, 10, 0, 10, 46},
		"few events":    {Limits{3, 1000, 1000, 1000, 10}, 3, 7, 3, 27},
		"few refreshes": {Limits{1000, 2, 1000, 1000, 10}, 10, 0, 7, 32},
		"few changes":   {Limits{1000, 1000, 20, 1000, 10}, 10, 0, 10, 20},
		"few of each":   {Limits{1000, 1000, 1000, 1, 10}, 10, 0, 10, 10},
	} {
		l := timelineOf(t, s, 0, s.Last(), test.limits)
		compared, listed, totals := 0, 0, diff.Totals{}
		for _, e := range l.Events {
			if e.Compared {
				compared++
			}
			listed += len(e.Changes)
			totals = e.Totals
		}
		if len(l.Events) != test.events || l.Skipped != test.skipped || compared != test.compared || listed != test.listed {
			t.Errorf("%s: %d events, %d skipped, %d compared, %d changes; want %+v", name, len(l.Events), l.Skipped, compared, listed, test)
		}
		if want, err := diff.CompareMoments(t.Context(), s, 14, 15); err != nil || totals != want.Totals {
			t.Errorf("%s: the last event's totals are %+v, want %+v; %v", name, totals, want.Totals, err)
		}
		checkTree(t, s, l.After, s.Last())
	}
}

func TestTimelineSummaries(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyNetwork()))
	l := timelineOf(t, s, 0, s.Last(), roomy)
	for i, want := range map[int]string{
		0: "1 circuit class, 1 address mapped", 2: "1 address mapped, 1 address unmapped", 4: "1 circuit class",
		5: "eth1 queues 1 at 1:, eth0 queues 1 at 1:", 6: "1 lines",
	} {
		if got := l.Events[i].Summary; got != want {
			t.Errorf("event %d: %q, want %q", i, got, want)
		}
	}
}
