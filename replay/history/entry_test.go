package history

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

func TestSummaries(t *testing.T) {
	commands := append(replaytest.Commands(), replaytest.MapIP("2001:db8::/56", 0x10004, true), bakery.DelIPFlow{Address: "2001:db8::/56", Upload: true},
		bakery.ClearIPFlow{}, bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: 1, ParentMinor: 4, SQM: []string{"cake"}},
		bakery.AddStructuralHTBClass{Link: "eth1", Parent: "0x1:", ClassID: "0x9", RateMbps: 1, CeilMbps: 2, SiteHash: 3, R2Q: 10},
		bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}}, aCommit(),
		bakery.ChangeSiteSpeedLive{SiteHash: 7, Bandwidths: bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: 2.5, UpMax: 2}, R2Q: 10,
			Classes: []bakery.SiteClass{{Link: "eth1", Parent: 0x10000, ID: 0x10003}}})
	want := []string{
		"MqSetup  eth1 queues 1 at 1:, eth0 queues 1 at 1:",
		`AddCircuitHTBClass  class add dev eth1 parent 1: classid 4 htb rate 1.0mbit ceil 10.0mbit prio 3 quantum 125000  "Smith"`,
		"AddCircuitHTBClass  class add dev eth1 parent 1: classid 5 htb rate 1.0mbit ceil 20.0mbit prio 3 quantum 250000",
		"MapIpToFlow  192.0.2.1 → 1:4 cpu 0",
		"ExecuteTCCommands  1 lines",
		`AddCircuitHTBClass  class add dev eth1 parent 1: classid 4 htb rate 1.0mbit ceil 30.0mbit prio 3 quantum 375000  "Smith"`,
		"MapIpToFlow  2001:db8::/56 → 1:4 cpu 0 upload",
		"DelIpFlow  2001:db8::/56 upload",
		"ClearIpFlow  ",
		"AddCircuitQdisc  qdisc add dev eth1 parent 1:4 cake",
		"AddStructuralHTBClass  class add dev eth1 parent 0x1: classid 0x9 htb rate 1.0mbit ceil 2.0mbit prio 3 quantum 25000",
		"ClearPriorSettings  eth1 eth0",
		"Commit  eth1 queues 1 at 1:, eth0 queues 1 at 1:; 1 sites, 1 circuits",
		"ChangeSiteSpeedLive  site 7  class change dev eth1 parent 1: classid 3 htb rate 1.0mbit ceil 2.5mbit prio 3 quantum 31250",
	}
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, commands))
	i := 0
	err := Entries(t.Context(), s, Filter{}, func(e Entry) error {
		if got := e.Kind.String() + "  " + e.Summary(); got != want[i] {
			t.Errorf("record %d: got %q, want %q", e.Seq, got, want[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("%d entries, %v", i, err)
	}
}

func TestFilter(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, replaytest.Commands()))
	for _, tc := range []struct {
		name  string
		f     Filter
		first eventlog.Seq
		n     int
	}{
		{"all", Filter{}, 1, 6},
		{"from", Filter{From: 4}, 4, 3},
		{"to", Filter{To: 2}, 1, 2},
		{"both", Filter{From: 2, To: 2}, 2, 1},
		{"nothing between", Filter{From: 3, To: 2}, 0, 0},
		{"beyond the end", Filter{From: 7, To: 9}, 0, 0},
		{"to beyond the end", Filter{From: 6, To: 99}, 6, 1},
		{"since a record", Filter{Since: replaytest.Begin.Add(4 * time.Minute)}, 5, 2},
		{"since just after it", Filter{Since: replaytest.Begin.Add(4*time.Minute + 1)}, 6, 1},
		{"kind", Filter{Kind: bakery.KindAddCircuitHTBClass}, 2, 3},
		{"kind, and from", Filter{Kind: bakery.KindAddCircuitHTBClass, From: 3}, 3, 2},
	} {
		var seqs []eventlog.Seq
		if err := Entries(t.Context(), s, tc.f, func(e Entry) error { seqs = append(seqs, e.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(seqs) != tc.n || tc.n > 0 && seqs[0] != tc.first {
			t.Errorf("%s: records %v, want %d from %d", tc.name, seqs, tc.n, tc.first)
		}
	}
}

// aCommit is a batch of a site with a circuit.
func aCommit() bakery.Command {
	speed := bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: 10, UpMax: 5}
	c := bakery.Commit{Members: []bakery.Member{
		{Site: &bakery.AddSite{SiteHash: 7, Parent: 0x10000, UpParent: 0x10000, Minor: 3, Bandwidths: speed}},
		{Circuit: &bakery.AddCircuit{CircuitHash: 8, Parent: 0x10003, UpParent: 0x10003, Minor: 4, Bandwidths: speed, Major: 1, UpMajor: 1,
			Addresses: "192.0.2.7"}}}}
	c.Setup = replaytest.Commands()[0].(bakery.MqSetup)
	return c
}

func TestEntriesOfPrunedLog(t *testing.T) {
	dir := replaytest.WriteLog(t, slices.Insert(replaytest.Commands(), 3, bakery.Command(replaytest.Roll{})))
	if _, err := eventlog.Prune(dir, eventlog.Policy{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	s := replaytest.Open(t, replay.Open, dir)
	var seqs []eventlog.Seq
	if err := Entries(t.Context(), s, Filter{From: 1, To: 5}, func(Entry) error { return nil }); !errors.Is(err, replay.ErrOutside) {
		t.Errorf("entries from a record that was dropped: %v", err)
	}
	if err := Entries(t.Context(), s, Filter{To: 5}, func(e Entry) error { seqs = append(seqs, e.Seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seqs, []eventlog.Seq{4, 5}) {
		t.Errorf("entries %v", seqs)
	}
}

func TestVisitorsErrorEndsTheWalk(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, replaytest.Commands()))
	stop, n := errors.New("stop"), 0
	err := Entries(t.Context(), s, Filter{}, func(Entry) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d visits, %v", n, err)
	}
}
