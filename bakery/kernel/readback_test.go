package kernel

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery/tc"
)

// mixedTree has what every kernel has: mq, htb, tbf and fifos, at all speeds.
func mixedTree() []string {
	lines := []string{"qdisc add dev v0 root handle 7fff: mq", "qdisc add dev v0 parent 7fff:1 handle 1: htb default 2",
		"qdisc add dev v0 parent 7fff:2 handle 2: htb r2q 100 direct_qlen 77", "qdisc add dev v0 parent 7fff:4 handle 4: bfifo", "qdisc add dev v0 clsact"}
	for i, rate := range []string{"8kbit", "10kbit", "64kbit", "1001kbit", "3333333bit", "20mbit", "37mbit", "100mbit",
		"999mbit", "1234560kbit", "5gbit", "10gbit", "13gbit", "34360mbit", "40gbit", "100gbit"} {
		for q := 1; q <= 2; q++ {
			lines = append(lines, fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate %s", q, q, 0x10+i, rate),
				fmt.Sprintf("class add dev v0 parent %d:%x classid %d:%x htb rate %s ceil 100gbit quantum 1522 prio %d", q, 0x10+i, q, 0x50+i, rate, i),
				fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate %s burst 10k cburst 100k mpu 64 overhead 10", q, q, 0x90+i, rate),
				fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate 1mbit ceil %s mtu 9000 linklayer atm", q, q, 0xd0+i, rate))
		}
	}
	return append(lines, "qdisc add dev v0 parent 1:d1 handle 8001: pfifo", "qdisc add dev v0 parent 1:d2 handle 8002: bfifo",
		"qdisc add dev v0 parent 1:d3 handle 8003: tbf rate 3mbit burst 10k latency 50ms",
		"qdisc add dev v0 parent 8003:1 handle 8004: pfifo limit 7", "qdisc add dev v0 parent 1:d4 handle 8005: bfifo limit 100k")
}

// TestReadBackTree builds a tree by tc(8) and by Apply: tc(8) shows the same, and Observe
// sees what Canonical says.
func TestReadBackTree(t *testing.T) {
	inLab(t, func(l lab) { l.readBack(mixedTree()) })
}

// readBack builds lines both ways.
func (l lab) readBack(lines []string) {
	l.Helper()
	l.reset("v0")
	l.batch(lines...)
	want := l.show("v0")
	byTC := l.observe()
	h := l.hostOf(byTC)
	if d := differences(wanted(l, h, lines...), byTC.State); d != "" {
		l.Errorf("what tc(8) built isn't what Canonical says:\n%s", d)
	}
	if !tc.Canonical(byTC.State, h).Equal(byTC.State) {
		l.Errorf("Canonical changes what was observed:\n%s", differences(byTC.State, tc.Canonical(byTC.State, h)))
	}
	for name, how := range map[string][]string{"as given": lines, "canonical": tc.Script(wanted(l, h, lines...))} {
		l.reset("v0")
		l.apply(how...)
		got := l.show("v0")
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" || len(got) < 2 {
			l.Errorf("%s, what tc(8) shows (-tc +Apply):\n%s", name, d)
		}
		if d := differences(byTC.State, l.observe().State); d != "" {
			l.Errorf("%s, what Observe sees:\n%s", name, d)
		}
	}
}

// kindLines are options of every kind that can be a leaf.
var kindLines = []string{
	"cake", "cake bandwidth 20mbit", "cake bandwidth 20mbit diffserv4 nat wash ack-filter no-split-gso ingress rtt 50ms overhead 18 mpu 64 memlimit 32mb fwmark 0xff",
	"cake unlimited besteffort dual-srchost ack-filter-aggressive atm overhead -4", "cake bandwidth 100gbit precedence flowblind ptm raw",
	"cake diffserv8 dual-dsthost rtt 300us", "cake diffserv3 hosts", "cake srchost", "cake dsthost", "cake flows", "cake docsis", "cake autorate-ingress",
	"cake bandwidth 3333333bit triple-isolate conservative",
	"fq_codel", "fq_codel limit 100 target 10ms interval 50ms quantum 300 noecn flows 512 memory_limit 4mb drop_batch 8",
	"fq_codel ce_threshold 1ms ce_threshold_selector 0x1/0x3", "fq_codel target 7us ce_threshold 999us",
	"codel", "codel ecn limit 5 target 7us interval 77ms ce_threshold 3ms",
	"fq", "fq maxrate 5mbit nopacing buckets 100 limit 50 flow_limit 20 quantum 3000 initial_quantum 9000",
	"fq low_rate_threshold 1mbit orphan_mask 255 refill_delay 20ms ce_threshold 4ms timer_slack 500ns horizon_cap horizon 2s",
	"pfifo", "pfifo limit 10", "pfifo limit 0", "bfifo", "bfifo limit 100kb",
	"tbf rate 1mbit burst 10k latency 50ms", "tbf rate 3333333bit burst 1600 limit 20k", "tbf rate 1mbit burst 10k limit 20k peakrate 2mbit mtu 2000",
	"tbf rate 37mbit burst 15k latency 13ms mpu 64 overhead 10", "tbf rate 100gbit burst 12500000 limit 100mb",
	"sfq limit 127", "sfq limit 50 perturb 10 flows 100", "sfq limit 50 headdrop divisor 512 depth 30 flows 40 quantum 2000", "sfq limit 100 redflowlimit 100000 ecn probability 0.1",
	"sfq limit 100 redflowlimit 120000 min 8000 max 24000 harddrop",
	"netem", "netem delay 10ms", "netem delay 10ms 1ms 5% loss 1% 2% ecn", "netem limit 5 delay 1ms reorder 5% 50% gap 3",
	"netem loss state 1%", "netem loss state 1% 90% 20% 80% 3%", "netem loss gemodel 1% 20% 30% 4%", "netem corrupt 1% 2% duplicate 2% 3%",
	"netem rate 1mbit -4 48 5", "netem rate 100gbit", "netem slot 1ms 2ms packets 3 bytes 100", "netem delay 7us 3us",
}

// kindTree has all of lines below one htb.
func kindTree(kinds []string) []string {
	lines := []string{"qdisc add dev v0 root handle 1: htb default 2"}
	for i, kind := range kinds {
		lines = append(lines, fmt.Sprintf("class add dev v0 parent 1: classid 1:%x htb rate 1mbit", i+1),
			fmt.Sprintf("qdisc add dev v0 parent 1:%x handle %x: %s", i+1, 0x8001+i, kind))
	}
	return lines
}

// TestReadBackKinds does the same with every kind that this kernel has.
func TestReadBackKinds(t *testing.T) {
	inLab(t, func(l lab) { l.readBackKinds() })
}

// TestReadBackEveryKind does it where there are all: cake, fq_codel and the others are read
// back from a kernel that has them, and changed there.
func TestReadBackEveryKind(t *testing.T) {
	inVMLab(t, func(l lab) {
		if got := l.kinds(); len(got) != len(kindLines) {
			t.Errorf("this kernel has %d of %d lines: %q", len(got), len(kindLines), got)
		}
		l.readBackKinds()
		l.readBackChanges()
	})
}

func (l lab) readBackKinds() {
	l.Helper()
	lines := l.kinds()
	// A netem that duplicates can't be beside others of its kind.
	if alone := slices.IndexFunc(lines, duplicates); alone >= 0 {
		l.readBack(kindTree(lines[alone : alone+1]))
		lines = slices.Delete(lines, alone, alone+1)
	}
	l.readBack(kindTree(lines))
}

func duplicates(line string) bool { return strings.Contains(line, "duplicate") }

// kinds are those of kindLines that this kernel has.
func (l lab) kinds() []string {
	l.Helper()
	has, asked := map[string]bool{}, map[string]bool{}
	return slices.DeleteFunc(slices.Clone(kindLines), func(line string) bool {
		kind, _, _ := strings.Cut(line, " ")
		if !asked[kind] {
			asked[kind] = true
			words := kind
			if kind == "tbf" {
				words += " rate 1mbit burst 10k latency 50ms"
			}
			l.reset("v1")
			err := exec.Command("tc", strings.Fields("qdisc replace dev v1 root handle 1: "+words)...).Run()
			has[kind] = err == nil
			if err != nil {
				l.Logf("this kernel lacks %s", kind)
			}
		}
		return !has[kind]
	})
}

// TestReadBackChanges changes every qdisc into the next one of its kind, and into the next
// but one, by the plan from one state to the other: the kernel takes each op, and has then
// what was wanted.
func TestReadBackChanges(t *testing.T) {
	inLab(t, func(l lab) { l.readBackChanges() })
}

func (l lab) readBackChanges() {
	l.Helper()
	l.reset("v0")
	lines := slices.DeleteFunc(l.kinds(), duplicates)
	h := l.hostOf(l.observe())
	from := wanted(l, h, kindTree(lines)...)
	l.apply(tc.Script(from)...)
	for round := range 3 {
		lines = rotate(lines)
		to := wanted(l, h, kindTree(lines)...)
		plan := tc.Plan(from, to)
		changes := 0
		for i, r := range l.kernel.Apply(l.Context(), plan) {
			if r.Err != nil {
				l.Errorf("round %d: %v", round, r.Err)
			}
			if plan[i].Verb == tc.Change {
				changes++
			}
		}
		if d := differences(to, l.observe().State); d != "" {
			l.Errorf("round %d:\n%s", round, d)
		}
		l.Logf("round %d: %d ops, %d of them changes", round, len(plan), changes)
		from = to
	}
}

// rotate moves every line to the place of the one before of the same kind.
func rotate(lines []string) []string {
	places := map[string][]int{}
	for i, line := range lines {
		kind, _, _ := strings.Cut(line, " ")
		places[kind] = append(places[kind], i)
	}
	moved := slices.Clone(lines)
	for _, list := range places {
		for i, at := range list {
			moved[at] = lines[list[(i+1)%len(list)]]
		}
	}
	return moved
}

// TestReadBackHooks has the qdiscs without a place in the tree.
func TestReadBackHooks(t *testing.T) {
	inLab(t, func(l lab) {
		l.readBack([]string{"qdisc add dev v0 clsact", "qdisc add dev v0 root handle 1: pfifo"})
		l.readBack([]string{"qdisc add dev v0 ingress", "qdisc add dev v0 root handle 1: pfifo"})
		l.apply("qdisc delete dev v0 ingress", "qdisc delete dev v0 root")
		if got := l.observe().State; got.Len() != 0 {
			t.Errorf("left over: %v", tc.Script(got))
		}
	})
}
