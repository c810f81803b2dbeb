package kerneltest

import (
	"strings"

	"lqosd/bakery/tc"
)

// quirk is something that the kernel does and that nobody would expect: after before, do
// goes well and leads to after.
type quirk struct{ name, before, do, after string }

const (
	hfHTB    = "qdisc add dev v0 root handle 1: htb\n"
	hfParent = "class add dev v0 parent 1: classid 1:1 htb rate 100mbit quantum 2000\n"
	hfClass  = "class add dev v0 parent 1:1 classid 1:2 htb rate 10mbit quantum 2000\n"
	hfOther  = "class add dev v0 parent 1: classid 1:5 htb rate 100mbit quantum 2000\n"
	hfLeaf   = "qdisc add dev v0 parent 1:2 handle 8001: pfifo limit 5\n"
)

var quirks = []quirk{
	{"a class without a parent that is there hangs at the root", hfHTB + hfParent,
		"class add dev v0 parent 1:999 classid 1:2 htb rate 10mbit quantum 2000",
		hfHTB + hfParent + "class add dev v0 parent 1: classid 1:2 htb rate 10mbit quantum 2000"},
	{"a class without a parent hangs at the root", hfHTB + hfParent,
		"class replace dev v0 classid 1:2 htb rate 10mbit quantum 2000",
		hfHTB + hfParent + "class add dev v0 parent 1: classid 1:2 htb rate 10mbit quantum 2000"},
	{"parent root is the HTB", hfHTB, "class add dev v0 root classid 1:1 htb rate 100mbit quantum 2000", hfHTB + hfParent},
	{"replace keeps the old parent and takes the parameters", hfHTB + hfParent + hfOther + hfClass + hfLeaf,
		"class replace dev v0 parent 1:5 classid 1:2 htb rate 20mbit quantum 3000",
		hfHTB + hfParent + hfOther + "class add dev v0 parent 1:1 classid 1:2 htb rate 20mbit quantum 3000\n" + hfLeaf},
	{"change keeps the old parent, too", hfHTB + hfParent + hfOther + hfClass,
		"class change dev v0 parent 1:5 classid 1:2 htb rate 20mbit quantum 3000",
		hfHTB + hfParent + hfOther + "class add dev v0 parent 1:1 classid 1:2 htb rate 20mbit quantum 3000"},
	{"the first child takes the leaf, and its handle is free", hfHTB + hfParent + hfClass + hfLeaf,
		"class add dev v0 parent 1:2 classid 1:3 htb rate 1mbit quantum 2000\nqdisc add dev v0 parent 1:3 handle 8001: bfifo limit 1k",
		hfHTB + hfParent + hfClass + "class add dev v0 parent 1:2 classid 1:3 htb rate 1mbit quantum 2000\n" +
			"qdisc add dev v0 parent 1:3 handle 8001: bfifo limit 1k"},
	{"a class without children is a leaf again", hfHTB + hfParent + hfClass,
		"class delete dev v0 classid 1:2\nqdisc add dev v0 parent 1:1 handle 8001: pfifo limit 5",
		hfHTB + hfParent + "qdisc add dev v0 parent 1:1 handle 8001: pfifo limit 5"},
	{"a class takes its leaf along", hfHTB + hfParent + hfClass + hfLeaf, "class delete dev v0 classid 1:2", hfHTB + hfParent},
	{"quantum and prio stay while a class has children",
		hfHTB + "class add dev v0 parent 1: classid 1:1 htb rate 100mbit quantum 2000 prio 3\n" + hfClass,
		"class change dev v0 classid 1:1 htb rate 200mbit quantum 3000 prio 4\nclass delete dev v0 classid 1:2",
		hfHTB + "class add dev v0 parent 1: classid 1:1 htb rate 200mbit quantum 2000 prio 3"},
	{"a quantum that is given isn't clamped", hfHTB, "class add dev v0 parent 1: classid 1:1 htb rate 1mbit quantum 300000",
		hfHTB + "class add dev v0 parent 1: classid 1:1 htb rate 1mbit quantum 300000"},
	{"a leaf is replaced by one with another handle", hfHTB + hfParent + hfClass + hfLeaf,
		"qdisc replace dev v0 parent 1:2 handle 8002: bfifo limit 1k",
		hfHTB + hfParent + hfClass + "qdisc add dev v0 parent 1:2 handle 8002: bfifo limit 1k"},
	{"replace without a handle is a change", hfHTB + hfParent + hfClass + hfLeaf,
		"qdisc replace dev v0 parent 1:2 pfifo limit 7",
		hfHTB + hfParent + hfClass + "qdisc add dev v0 parent 1:2 handle 8001: pfifo limit 7"},
	{"change finds a qdisc by its handle", hfHTB + hfParent + hfClass + hfLeaf, "qdisc change dev v0 handle 8001: pfifo limit 7",
		hfHTB + hfParent + hfClass + "qdisc add dev v0 parent 1:2 handle 8001: pfifo limit 7"},
	{"a change without a limit keeps it", hfHTB + hfParent + hfClass + hfLeaf, "qdisc change dev v0 parent 1:2 handle 8001: pfifo",
		hfHTB + hfParent + hfClass + hfLeaf},
	{"a change of tbf limits the fifo in it", `
qdisc add dev v0 root handle 1: tbf rate 1mbit burst 10k limit 20k
qdisc add dev v0 parent 1:1 handle 2: pfifo limit 7`, "qdisc change dev v0 root handle 1: tbf rate 1mbit burst 10k limit 3k", `
qdisc add dev v0 root handle 1: tbf rate 1mbit burst 10k limit 3k
qdisc add dev v0 parent 1:1 handle 2: pfifo limit 3072`},
	{"replace of mq by itself keeps all", small, "qdisc replace dev v0 root handle 7fff: mq", small},
	{"another root takes all along", hfHTB + hfParent + "qdisc add dev v0 clsact\n", "qdisc replace dev v0 root handle 2: pfifo limit 5",
		"qdisc add dev v0 root handle 2: pfifo limit 5\nqdisc add dev v0 clsact"},
	{"replace without a handle makes a root of another kind", hfHTB + hfParent,
		"qdisc replace dev v0 root bfifo limit 5k\nqdisc replace dev v0 root handle 2: pfifo limit 5",
		"qdisc add dev v0 root handle 2: pfifo limit 5"},
	{"a queue takes all along", small, "qdisc delete dev v0 parent 7fff:1 handle 1:\nqdisc delete dev v0 clsact", `
qdisc add dev v0 root handle 7fff: mq
qdisc add dev v0 parent 7fff:2 handle 2: htb default 2`},
	{"ingress can be where clsact was", "qdisc add dev v0 clsact\n", "qdisc delete dev v0 clsact\nqdisc add dev v0 ingress", "qdisc add dev v0 ingress"},
}

func testQuirks(b *bench) {
	for _, q := range quirks {
		for _, by := range []string{"us", "others"} {
			b.run(strings.ReplaceAll(q.name, " ", "_")+"/"+by, func(b *bench) {
				b.clear()
				b.must(q.before)
				b.want(q.before)
				if by == "us" {
					b.must(q.do)
				} else {
					b.meddle(q.do)
				}
				b.want(q.after)
			})
		}
	}
	b.run("the_kernel_chooses_handles", testChosenHandles)
	b.run("ingress_needs_no_handle", testIngressHandle)
	b.run("an_HTB_keeps_the_queue_length", testDirectQlen)
}

// Qdiscs for which no handle is given get one each, from 8001: upwards.
func testChosenHandles(b *bench) {
	b.clear()
	b.must(hfHTB + hfParent + hfOther + "qdisc add dev v0 parent 1:1 pfifo\nqdisc add dev v0 parent 1:5 pfifo")
	s := b.observe().State
	first, _ := s.Qdisc("v0", tc.NewHandle(1, 1))
	second, _ := s.Qdisc("v0", tc.NewHandle(1, 5))
	if first.Handle == second.Handle || !chosen(first.Handle) || !chosen(second.Handle) {
		b.Errorf("handles %v and %v", first.Handle, second.Handle)
	}
	b.want(hfHTB + hfParent + hfOther + "qdisc add dev v0 parent 1:1 pfifo\nqdisc add dev v0 parent 1:5 pfifo")
	b.must("qdisc replace dev v0 parent 1:1 bfifo")
	third, _ := b.observe().State.Qdisc("v0", tc.NewHandle(1, 1))
	if third.Handle == first.Handle || third.Handle == second.Handle || !chosen(third.Handle) {
		b.Errorf("handles %v and %v, then %v for another kind", first.Handle, second.Handle, third.Handle)
	}
}

// An ingress or clsact qdisc has one place and one handle, which needn't be named.
func testIngressHandle(b *bench) {
	b.clear()
	b.mustApply([]tc.Op{{Verb: tc.Add, Qdisc: &tc.Qdisc{Link: "v0", Parent: tc.Ingress, Options: tc.Clsact{}}}})
	b.want("qdisc add dev v0 clsact")
	b.mustApply([]tc.Op{{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: "v0", Parent: tc.Ingress}}})
	b.want("")
}

// An HTB's own queue is as long as the link's is when the HTB is made.
func testDirectQlen(b *bench) {
	b.clear()
	b.must("qdisc add dev v0 root handle 1: htb")
	q, _ := b.observe().State.Qdisc("v0", tc.Root)
	if want := (tc.HTB{R2Q: 10, DirectQlen: tc.Some[uint32](1000)}); q.Options != want {
		b.Errorf("%+v, want %+v", q.Options, want)
	}
}

func chosen(h tc.Handle) bool { return h.IsQdisc() && h.Major() >= 0x8000 }

// The kernel says when it clamps a quantum that it computed, and does it. Nothing else has
// a warning.
func testWarnings(b *bench) {
	const big, few = "sch_htb: quantum of class 100FF is big. Consider r2q change.", "sch_htb: quantum of class 10002 is small. Consider r2q change."
	steps := []struct {
		line, warning string
		id            string
		quantum       uint32
	}{
		{"class add dev v0 parent 1: classid 1:ff htb rate 1gbit", big, "1:ff", 200000},
		{"class add dev v0 parent 1: classid 1:2 htb rate 64kbit", few, "1:2", 1000},
		{"class change dev v0 parent 1: classid 1:ff htb rate 2gbit", big, "1:ff", 200000},
		{"class change dev v0 parent 1: classid 1:ff htb rate 2gbit quantum 5", "", "1:ff", 5},
		{"class replace dev v0 parent 1: classid 1:2 htb rate 10mbit", "", "1:2", 125000},
		{"class replace dev v0 parent 1: classid 1:2 htb rate 16mbit", "", "1:2", 200000},
		{"class replace dev v0 parent 1: classid 1:2 htb rate 80kbit", "", "1:2", 1000},
		{"class add dev v0 parent 1:2 classid 1:3 htb rate 1mbit", "", "1:3", 12500},
		{"class change dev v0 parent 1: classid 1:2 htb rate 1gbit", "", "1:2", 1000},
	}
	b.must("qdisc add dev v0 root handle 1: htb")
	for _, s := range steps {
		r := b.try(s.line)[0]
		if r.Err != nil || strings.TrimSuffix(r.Warning, "\n") != s.warning {
			b.Errorf("%s: warning %q, want %q; %v", s.line, r.Warning, s.warning, r.Err)
		}
		if got := b.class(s.id).HTB.Quantum; got != s.quantum {
			b.Errorf("%s: quantum %d, want %d", s.line, got, s.quantum)
		}
	}
}
