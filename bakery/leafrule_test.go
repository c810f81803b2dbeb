package bakery_test

import (
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// leafCase is the leaf of a circuit: as it is rendered, and what the kernel gets.
type leafCase struct {
	name     string
	rule     bakery.LeafRule
	sqm      string // the default
	override string
	mbps     float32
	line     string        // "": none
	rtt      time.Duration // of a cake
}

func leafCases() []leafCase {
	const ms = time.Millisecond
	exact, upTo := bakery.LeafRule{FastMbps: 1000}, bakery.LeafRule{FastMbps: 1000, SlowRTT: bakery.SlowRTTUpTo}
	never := bakery.LeafRule{}
	const cake = "cake diffserv4"
	return []leafCase{
		{"default", exact, cake, "", 10, cake, 0},
		{"default in one word", exact, "cake", "", 10, "cake", 0},
		{"1", exact, cake, "", 1, "cake diffserv4 rtt 300", 300 * ms},
		{"2", exact, cake, "", 2, "cake diffserv4 rtt 180", 180 * ms},
		{"3", exact, cake, "", 3, "cake diffserv4 rtt 140", 140 * ms},
		{"4", exact, cake, "", 4, "cake diffserv4 rtt 120", 120 * ms},
		{"under 1", exact, cake, "", 0.5, cake, 0},
		{"between", exact, cake, "", 2.5, cake, 0},
		{"5", exact, cake, "", 5, cake, 0},
		{"0 up to", upTo, cake, "", 0, "cake diffserv4 rtt 300", 300 * ms},
		{"1 up to", upTo, cake, "", 1, "cake diffserv4 rtt 300", 300 * ms},
		{"1.1 up to", upTo, cake, "", 1.1, "cake diffserv4 rtt 180", 180 * ms},
		{"2.5 up to", upTo, cake, "", 2.5, "cake diffserv4 rtt 140", 140 * ms},
		{"4 up to", upTo, cake, "", 4, "cake diffserv4 rtt 120", 120 * ms},
		{"4.1 up to", upTo, cake, "", 4.1, cake, 0},
		{"words that name an rtt", exact, "cake diffserv4 rtt 50ms", "", 1, "cake diffserv4 rtt 50ms", 50 * ms},
		{"words that name a region", exact, "cake satellite", "", 1, "cake satellite", 1000 * ms},
		{"override that names an rtt", exact, cake, "cake rtt 70ms", 2, "cake rtt 70ms", 70 * ms},
		{"slow without cake", exact, "fq_codel", "", 1, "fq_codel", 0},
		{"fast", exact, cake, "", 1000, "fq_codel", 0},
		{"nearly fast", exact, cake, "", 999.9, cake, 0},
		{"fast and never", never, cake, "", 5000, cake, 0},
		{"fast with other words", exact, "pfifo limit 9", "", 5000, "pfifo limit 9", 0},
		{"fast and cake", exact, cake, "cake", 5000, cake, 0},
		{"fast and slow", bakery.LeafRule{FastMbps: 2}, cake, "", 2, "fq_codel", 0},
		{"cake", exact, cake, "cake", 1, "cake diffserv4 rtt 300", 300 * ms},
		{"cake with the default's words", exact, "cake besteffort", "cake", 10, "cake besteffort", 0},
		{"cake where it isn't the default", exact, "fq_codel", "cake", 1, "cake diffserv4 rtt 300", 300 * ms},
		{"fq_codel", exact, cake, "fq_codel", 1, "fq_codel", 0},
		{"fq_codel with the default's words", exact, "fq_codel limit 99", "fq_codel", 1, "fq_codel limit 99", 0},
		{"capitals and blanks", exact, cake, "  FQ_CoDel\tlimit  7 ", 1, "fq_codel limit 7", 0},
		{"blanks around a kind", exact, "cake besteffort", " cake / none ", 10, "cake besteffort", 0},
		{"words of its own", exact, cake, "cake besteffort", 3, "cake besteffort rtt 140", 140 * ms},
		{"none", exact, cake, "none", 1, "", 0},
		{"empty", exact, cake, "", 1, "cake diffserv4 rtt 300", 300 * ms},
		{"down and up", exact, cake, "fq_codel/cake", 10, "fq_codel", 0},
		{"down alone", exact, cake, "fq_codel/", 10, "fq_codel", 0},
		{"up alone", exact, cake, "/fq_codel", 10, cake, 0},
		{"none for the download", exact, cake, "none/cake", 10, "", 0},
	}
}

// TestLeafRule: the leaf that a circuit gets, in the lines and in the kernel's state.
func TestLeafRule(t *testing.T) {
	for _, tt := range leafCases() {
		t.Run(tt.name, func(t *testing.T) {
			c := resolved(stateCircuit(81, "1:", 5, tt.mbps, sqm(tt.override)))
			c.Leaf, c.Setup.Down.SQM = tt.rule, []string{tt.sqm}
			tt.check(t, c, "eth1")
		})
	}
	for _, tt := range leafCases() {
		if down, up, ok := strings.Cut(tt.override, "/"); ok { // the upload is the download of it turned round
			tt.override = up + "/" + down
		}
		t.Run("upload/"+tt.name, func(t *testing.T) {
			c := resolved(stateCircuit(81, "1:", 5, tt.mbps, sqm(tt.override), func(c *bakery.AddCircuit) { c.DownMin, c.DownMax = 777, 777 }))
			c.Leaf, c.Setup.Up.SQM = tt.rule, []string{tt.sqm}
			tt.check(t, c, "eth0")
		})
	}
}

func (tt leafCase) check(t *testing.T, c bakery.Commit, link string) {
	t.Helper()
	tree := bakery.NewTree()
	foldAll(t, tree, c)
	got := ""
	for line := range strings.SplitSeq(string(bakery.AppendLines(nil, c, bakery.RatesAsClient)), "\n") {
		if leaf, ok := strings.CutPrefix(line, "qdisc add dev "+link+" parent 1:5 "); ok {
			got += leaf
		}
	}
	if got != tt.line {
		t.Errorf("rendered %q, want %q", got, tt.line)
	}
	q, there := tree.State().Qdisc(link, tc.NewHandle(1, 5))
	if there != (tt.line != "") {
		t.Fatalf("the leaf is %+v", q)
	}
	if !there {
		return
	}
	kind, _, _ := strings.Cut(tt.line, " ")
	if q.Options.Kind() != kind {
		t.Errorf("the kernel gets %s", q.Options.Kind())
	}
	if cake, ok := q.Options.(tc.Cake); ok && cake.RTT != tt.rtt {
		t.Errorf("the kernel gets an rtt of %v, want %v", cake.RTT, tt.rtt)
	}
}

// TestDefaultWithoutOverride: no override is as good as an empty one.
func TestDefaultWithoutOverride(t *testing.T) {
	one, other := resolved(stateCircuit(81, "1:", 5, 1)), resolved(stateCircuit(81, "1:", 5, 1, sqm("")))
	if a, b := bakery.AppendLines(nil, one, bakery.RatesExact), bakery.AppendLines(nil, other, bakery.RatesExact); string(a) != string(b) {
		t.Errorf("%s\n%s", a, b)
	}
}

// TestShortestDecimals: a rate of 32 bits is the decimal number that clients mean by it.
func TestShortestDecimals(t *testing.T) {
	for mbps, want := range map[float32]tc.Rate{999.9: 999_900_000, 0.49: 490_000, 1e-9: bakery.MinRate, 0: bakery.MinRate, 16: 16_000_000,
		1 << 24: 16_777_216_000_000, 1 << 31: 2_147_483_600_000_000, 1.5e9: 1_500_000_000_000_000} {
		tree, c := bakery.NewTree(), resolved(stateCircuit(81, "1:", 5, mbps))
		c.Setup.R2Q = 1 << 40
		foldAll(t, tree, c)
		if class, _ := tree.State().Class("eth1", tc.NewHandle(1, 5)); class.HTB.Rate != want || class.HTB.Ceil != want {
			t.Errorf("%v Mbit/s is programmed as %+v, want %d bit/s", mbps, class.HTB, want)
		}
	}
}
