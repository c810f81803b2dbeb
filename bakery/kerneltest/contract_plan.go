package kerneltest

import (
	"fmt"
	"strings"

	"lqosd/bakery/tc"
)

// changes are what makes other trees of base: every way in which something can go from
// here to there.
var changes = []struct{ name, edits string }{
	{"base", ""},
	{"change", "class change dev v0 parent 1:3 classid 1:5 htb rate 2mbit\nqdisc change dev v0 parent 1:5 pfifo limit 6"},
	{"move", "class replace dev v0 parent 1:4 classid 1:3 htb rate 10mbit"},
	{"kind", "qdisc replace dev v0 parent 1:5 handle 8001: bfifo limit 5k"},
	{"kind and handle", "qdisc replace dev v0 parent 1:5 handle 8009: bfifo limit 5k"},
	{"swap handles", "class delete dev v0 classid 1:5\nqdisc replace dev v0 parent 1:4 handle 8001: pfifo limit 5\n" +
		"class add dev v0 parent 1:3 classid 1:6 htb rate 1mbit\nqdisc add dev v0 parent 1:6 handle 8002: pfifo limit 3"},
	{"first child", "class add dev v0 parent 1:5 classid 1:6 htb rate 1mbit\nqdisc add dev v0 parent 1:6 handle 8001: pfifo limit 5"},
	{"last child", "class delete dev v0 classid 1:5\nqdisc add dev v0 parent 1:3 handle 8001: pfifo limit 5"},
	{"htb options", "qdisc replace dev v0 parent 7fff:1 handle 1: htb default 5"},
	{"inner prio", "class change dev v0 classid 1:3 htb rate 10mbit prio 5 quantum 3000"},
	{"queues", "qdisc delete dev v0 parent 7fff:1\nqdisc add dev v0 parent 7fff:2 handle 1: htb\nclass add dev v0 parent 1: classid 1:5 htb rate 1mbit"},
	{"other root", "qdisc replace dev v0 root handle 5: htb\nclass add dev v0 parent 5: classid 5:1 htb rate 1mbit"},
	{"one root less", "qdisc replace dev v0 root handle 1: htb\nclass add dev v0 parent 1: classid 1:1 htb rate 1mbit"},
	{"no root", "qdisc delete dev v0 root"},
	{"ingress", "qdisc delete dev v0 clsact\nqdisc add dev v0 ingress"},
	{"nothing", "qdisc delete dev v0 root\nqdisc delete dev v0 clsact"},
	{"inside the tbf", "qdisc replace dev v0 parent 8002:1 handle 8003: bfifo limit 9k"},
	{"deep", "class add dev v0 parent 1:5 classid 1:6 htb rate 1mbit\nclass add dev v0 parent 1:6 classid 1:7 htb rate 1mbit\n" +
		"class add dev v0 parent 1:7 classid 1:8 htb rate 1mbit\nclass add dev v0 parent 1:8 classid 1:9 htb rate 1mbit\n" +
		"class add dev v0 parent 1:9 classid 1:a htb rate 1mbit\nqdisc add dev v0 parent 1:a handle 8001: pfifo limit 5"},
}

const base = `
qdisc add dev v0 root handle 7fff: mq
qdisc add dev v0 parent 7fff:1 handle 1: htb default 2
class add dev v0 parent 1: classid 1:1 htb rate 100mbit
class add dev v0 parent 1:1 classid 1:3 htb rate 10mbit
class add dev v0 parent 1:1 classid 1:4 htb rate 10mbit
class add dev v0 parent 1:3 classid 1:5 htb rate 1mbit
qdisc add dev v0 parent 1:5 handle 8001: pfifo limit 5
qdisc add dev v0 parent 1:4 handle 8002: tbf rate 1mbit burst 10k latency 50ms
qdisc add dev v0 parent 8002:1 handle 8003: pfifo
qdisc add dev v0 clsact
`

// testPlans goes from every tree to every other: the kernel takes each op of the plan, has
// what was wanted then, and a second plan is empty.
func testPlans(b *bench) {
	trees := make([]*tc.State, len(changes))
	for i, c := range changes {
		trees[i] = b.wanted(base + c.edits)
	}
	for i := range trees {
		for j := range trees {
			name := strings.ReplaceAll(fmt.Sprintf("%s-%s", changes[i].name, changes[j].name), " ", "_")
			b.run(name, func(b *bench) {
				b.clear()
				b.lead(trees[i])
				b.lead(trees[j])
			})
		}
	}
}

// lead brings link v0 to a tree.
func (b *bench) lead(to *tc.State) {
	b.Helper()
	plan := tc.Plan(b.observe().State, to)
	for i, r := range b.apply(plan) {
		if r.Err != nil {
			b.Errorf("%s: %v", plan[i].Line(), r.Err)
		}
	}
	b.wantState(b.observe().State, to)
	if b.Failed() {
		b.FailNow()
	}
}
