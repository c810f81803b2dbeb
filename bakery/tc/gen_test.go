package tc

import (
	"strings"

	"pgregory.net/rapid"
)

// optionPool are option words of every kind that can sit anywhere.
var optionPool = []string{
	"cake", "cake diffserv4", "cake besteffort nat bandwidth 20mbit", "cake rtt 300us wash overhead 18 mpu 64",
	"cake raw memlimit 32mb fwmark 0xff ack-filter ingress", "cake atm overhead -4 no-split-gso autorate-ingress",
	"fq_codel", "fq_codel limit 100 target 10ms noecn", "fq_codel flows 512 ce_threshold 1ms memory_limit 4mb",
	"fq_codel quantum 300 interval 50ms drop_batch 8 ce_threshold_selector 0x1/0x3",
	"codel", "codel ecn limit 5", "codel target 7us ce_threshold 3ms",
	"fq", "fq maxrate 5mbit nopacing buckets 100", "fq limit 0 timer_slack 500ns horizon_cap horizon 2s",
	"pfifo", "pfifo limit 10", "pfifo limit 0", "bfifo limit 100kb",
	"tbf rate 1mbit burst 10k latency 50ms", "tbf rate 1mbit burst 10k limit 20k peakrate 2mbit mtu 2000",
	"sfq perturb 10", "sfq limit 50 headdrop divisor 512", "sfq redflowlimit 100000 ecn probability 0.1",
	"netem", "netem delay 10ms 1ms 5% distribution normal loss 1% 2% ecn", "netem limit 5 delay 1ms reorder 5% 50% gap 3",
	"netem loss state 1% corrupt 1% duplicate 2% 3%", "netem loss gemodel 1% 20% rate 1mbit -4 48 5 slot 1ms 2ms packets 3 bytes 100",
	"htb", "htb default 2", "htb default 10 r2q 5 direct_qlen 100",
}

var classPool = []string{
	"rate 1mbit", "rate 1mbit ceil 2mbit prio 3 quantum 1522", "rate 1234560kbit burst 10k cburst 20kb",
	"rate 1001bit mtu 9000", "rate 20gbit ceil 80gbit", "rate 5mbit mpu 64 overhead 10 linklayer atm", "rate 0bit", "rate 9bit quantum 1 prio 9",
}

// genOp draws a line over a small world, so that Ops meet: two links, a few
// handles, a few classes.
func genOp(t *rapid.T) Op {
	dev := rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "dev")
	verb := rapid.SampledFrom([]string{"add", "add", "add", "replace", "replace", "change", "delete"}).Draw(t, "verb")
	htb := rapid.SampledFrom([]string{"1:", "1:", "2:", "3:"}).Draw(t, "htb")
	class := func(label string) string {
		return htb + rapid.SampledFrom([]string{"1", "2", "3", "4", "a"}).Draw(t, label)
	}
	kind := rapid.SampledFrom(optionPool).Draw(t, "options")
	handle := rapid.SampledFrom([]string{"", " handle 1:", " handle 2:", " handle 8001:", " handle 8002:", " handle 8003:"}).Draw(t, "handle")
	var line string
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		line = "qdisc " + verb + " dev " + dev + " root handle 7fff: mq"
	case 1:
		line = "qdisc " + verb + " dev " + dev + " parent 7fff:" + strings.TrimSuffix(htb, ":") + " handle " + htb + " htb default 2"
	case 2:
		line = "qdisc " + verb + " dev " + dev + " root handle 1: htb"
	case 3:
		line = "qdisc " + verb + " dev " + dev + rapid.SampledFrom([]string{" clsact", " ingress", " root" + handle + " " + kind}).Draw(t, "top")
	case 4, 5, 6:
		parent := rapid.SampledFrom([]string{htb, class("parent"), class("parent")}).Draw(t, "class parent")
		line = "class " + verb + " dev " + dev + " parent " + parent + " classid " + class("id")
		if verb != "delete" {
			line += " htb " + rapid.SampledFrom(classPool).Draw(t, "class")
		}
	default:
		place := rapid.SampledFrom([]string{class("place"), class("place"), "8001:1"}).Draw(t, "at")
		line = "qdisc " + verb + " dev " + dev + " parent " + place + handle + " " + kind
	}
	op, err := ParseLine(line)
	if err != nil {
		t.Fatalf("generated line %q: %v", line, err)
	}
	return op
}

// genState draws a State by applying Ops, refused ones too.
func genState(t *rapid.T, label string) *State {
	s := new(State)
	for _, dev := range []string{"eth0", "eth1"} {
		skeleton := rapid.SampledFrom([]string{"", "qdisc add dev " + dev + " root handle 1: htb default 2",
			"qdisc add dev " + dev + " root handle 7fff: mq\nqdisc add dev " + dev + " parent 7fff:1 handle 1: htb default 2\n" +
				"qdisc add dev " + dev + " parent 7fff:2 handle 2: htb default 2"}).Draw(t, label+" skeleton")
		built, bad, err := ParseScript(strings.NewReader(skeleton))
		if len(bad) > 0 || err != nil {
			t.Fatal(bad, err)
		}
		if l, ok := built.links.Get(dev); ok {
			s.keep(dev, l)
		}
	}
	for _, op := range rapid.SliceOfN(rapid.Custom(genOp), 0, 40).Draw(t, label) {
		_ = s.Apply(op) // refused Ops are part of the draw
	}
	return s
}

// handlesChosen gives every qdisc without a handle one of its own.
func handlesChosen(t *rapid.T, s *State) *State {
	next := uint16(0x9000)
	for name := range s.links.All() {
		for q := range s.Clone().Qdiscs(name) {
			if q.Handle != 0 {
				continue
			}
			next++
			q.Handle = NewHandle(next, 0)
			s.link(name).setQdisc(&q)
		}
	}
	return s
}
