package tree

import (
	"math"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/replaytest"
)

// onAStick is a tree with both directions on one link: queues 1 and 2 down, 3 and 4 up.
func onAStick(t *testing.T) *bakery.Tree {
	t.Helper()
	tree := bakery.NewTree()
	sqm := []string{"cake", "diffserv4"}
	down := bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: sqm}
	up := bakery.Direction{Link: "eth0", FirstMajor: 3, Queues: 2, CapacityMbps: 100, SQM: sqm}
	site := func(parent string, hash int64, ceil float64) bakery.Command {
		return bakery.AddStructuralHTBClass{Link: "eth0", Parent: parent, ClassID: "3", RateMbps: 10, CeilMbps: ceil, SiteHash: hash, R2Q: 10}
	}
	customer := func(parent, id string, rate, ceil float64) bakery.Command {
		return bakery.AddCircuitHTBClass{Link: "eth0", Parent: parent, ClassID: id, RateMbps: rate, CeilMbps: ceil, CircuitHash: 9, R2Q: 10}
	}
	for i, c := range []bakery.Command{
		bakery.MqSetup{Down: down, Up: up, R2Q: 10}, site("2:", 5, 50), site("4:", 5, 5),
		customer("2:3", "4", 6, 80), customer("2:3", "5", 6, 80), customer("4:3", "4", 1, 20), customer("2:", "6", 1, 2),
	} {
		if err := bakery.Fold(tree, bakery.Record{Seq: tree.Seq + 1, Time: replaytest.Begin, Command: c}); err != nil {
			t.Fatal(i, err)
		}
	}
	return tree
}

func TestLoads(t *testing.T) {
	tree := onAStick(t)
	for _, tc := range []struct {
		what                       string
		got                        *Load
		classes                    int
		guaranteed, oversubscribed float64
	}{
		{"a site", loadAt(t, tree, 0x20003), 2, 1.2, 3.2},
		{"the other way", loadAt(t, tree, 0x40003), 1, 0.1, 4},
		{"a queue, without the class of the link", LoadOfQueue(tree, "eth0", 0x20000), 2, 0.011, 0.052},
		{"a queue with the skeleton alone", LoadOfQueue(tree, "eth0", 0x10000), 0, 0, 0},
		{"what has nothing below", loadAt(t, tree, 0x20004), 0, 0, 0},
		{"down", &DirectionLoads(tree, "eth0")[0].Load, 3, 0.013, 0.162},
		{"up", &DirectionLoads(tree, "eth0")[1].Load, 1, 0.01, 0.2},
	} {
		switch near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }; {
		case tc.got == nil && tc.classes == 0:
		case tc.got == nil || tc.got.Classes != tc.classes || !near(tc.got.Guaranteed, tc.guaranteed) || !near(tc.got.Oversubscribed, tc.oversubscribed):
			t.Errorf("%s: %+v, want %d classes, %v, %v", tc.what, tc.got, tc.classes, tc.guaranteed, tc.oversubscribed)
		}
	}
	if l := DirectionLoads(bakery.NewTree(), "eth0"); l != nil {
		t.Errorf("without a setup: %v", l)
	}
}

func loadAt(t *testing.T, tree *bakery.Tree, id tc.Handle) *Load {
	t.Helper()
	c, ok := tree.State().Class("eth0", id)
	if !ok {
		t.Fatal("no class", id)
	}
	return LoadOf(tree, c)
}

func TestStickShowsDirections(t *testing.T) {
	var text strings.Builder
	if err := Write(&text, onAStick(t), View{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"to the subscribers: 1gbit, 1 site, 3 circuits;", "to the internet: 100mbit, 1 site, 1 circuit;",
		"2: htb default 2  to the subscribers", "3: htb default 2  to the internet", "×3.20"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q isn't in:\n%s", want, text.String())
		}
	}
}

func TestRatioText(t *testing.T) {
	for r, want := range map[float64]string{0: "", 0.001: "<×0.01", 0.64: "×0.64", 3.2: "×3.20", 9.996: "×10.0", 31.24: "×31.2", 311.9: "×312"} {
		if got := RatioText(r); got != want {
			t.Errorf("%v: %q, want %q", r, got, want)
		}
	}
	for r, want := range map[tc.Rate]string{0: "0bit", 999: "999bit", 999_600: "1mbit", 1_234_560_000: "1.23gbit", 5e15: "5000tbit"} {
		if got := RoundRate(r); got != want {
			t.Errorf("%d: %q, want %q", r, got, want)
		}
	}
}
