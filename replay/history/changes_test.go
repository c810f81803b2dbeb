package history

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/replay/replaytest"
)

// everyCommand has every kind of command but Commit, over a refresh.
func everyCommand() []bakery.Command {
	site := bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:", ClassID: "1:3", RateMbps: 50, CeilMbps: 100, SiteHash: 77, R2Q: 10}
	return append(append(replaytest.Commands(), site, replaytest.MapIP("192.0.2.1", 0x10004, true), replaytest.MapIP("192.0.2.1", 0x10005, false),
		bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: 1, ParentMinor: 4, CircuitHash: 7, SQM: []string{"cake", "diffserv4"}},
		bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:3", ClassID: "1:4", RateMbps: 1, CeilMbps: 20, CircuitHash: 7, R2Q: 10},
		bakery.DelIPFlow{Address: "192.0.2.1"}, bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:5 sfq", "class del dev eth1 classid 1:4"}},
		bakery.ChangeSiteSpeedLive{SiteHash: 77, Bandwidths: bakery.Bandwidths{DownMin: 1, DownMax: 2, UpMin: 1, UpMax: 2}, R2Q: 10,
			Classes: []bakery.SiteClass{{Link: "eth1", Parent: 0x10000, ID: 0x10003}}},
		bakery.ClearIPFlow{}), append(refreshed(time.Second, 20), bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}})...)
}

// TestChangesAreDifferences: what is found by looking only at what a record touched is what a
// comparison of the whole Trees finds.
func TestChangesAreDifferences(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, everyCommand()))
	seen := eventlog.Seq(0)
	err := Entries(t.Context(), s, Filter{Changes: true}, func(e Entry) error {
		seen++
		want, err := wholly(t.Context(), s, e.Seq-1, e.Seq)
		if d := cmp.Diff(want, e.Changes); d != "" {
			t.Errorf("record %d, %s (-whole +touched):\n%s", e.Seq, e.Kind, d)
		}
		return err
	})
	if err != nil || seen != s.Last() {
		t.Errorf("%d of %d records, error %v", seen, s.Last(), err)
	}
}

// wholly compares whole Trees, class by class.
func wholly(ctx context.Context, s *replay.Source, a, b eventlog.Seq) ([]diff.Difference, error) {
	from, err := s.Tree(ctx, a)
	if err != nil {
		return nil, err
	}
	to, err := s.Tree(ctx, b)
	if err != nil {
		return nil, err
	}
	list := append([]diff.Difference{}, diff.CompareStates(from.State(), to.State(), diff.NameOf(from, to))...)
	list = append(list, diff.CompareMappings(from.Mappings, to.Mappings)...)
	for _, d := range diff.Compare(diff.Side{Tree: from}, diff.Side{Tree: to}).Differences {
		if d.Object == "line" {
			list = append(list, d)
		}
	}
	return list, nil
}

// TestTargetMissesNothing: a class that changed concerns the target that it is.
func TestTargetMissesNothing(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, everyCommand()))
	chosen := map[eventlog.Seq]bool{}
	target := replay.Target{Circuit: "Smith", Link: "eth1"}
	if err := Entries(t.Context(), s, Filter{Target: target}, func(e Entry) error { chosen[e.Seq] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for seq := eventlog.Seq(1); seq <= s.Last(); seq++ {
		r, err := diff.CompareMoments(t.Context(), s, seq-1, seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Differences {
			if d.Name != `circuit "Smith"` {
				continue
			}
			if changed++; !chosen[seq] {
				t.Errorf("record %d isn't chosen, and changed %+v", seq, d)
			}
		}
	}
	if changed < 10 || len(chosen) == int(s.Last()) {
		t.Errorf("%d changes of it, %d of %d records chosen", changed, len(chosen), s.Last())
	}
}
