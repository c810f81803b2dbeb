package kerneltest

import (
	"errors"
	"fmt"
	"strings"

	"lqosd/bakery/tc"
)

// skeleton is a tree with one of each thing that a shaper has.
const skeleton = `
qdisc add dev v0 root handle 7fff: mq
qdisc add dev v0 parent 7fff:1 handle 1: htb default 2
qdisc add dev v0 parent 7fff:2 handle 2: htb default 2 r2q 100
qdisc add dev v0 parent 7fff:3 handle 3: htb default 2 direct_qlen 50
class add dev v0 parent 1: classid 1:1 htb rate 10gbit ceil 10gbit quantum 60000
class add dev v0 parent 1:1 classid 1:2 htb rate 5gbit ceil 10gbit prio 5 quantum 60000
class add dev v0 parent 1:1 classid 1:3 htb rate 100mbit ceil 500mbit burst 64k cburst 128k quantum 1522
class add dev v0 parent 1:3 classid 1:4 htb rate 20mbit ceil 100mbit prio 3 quantum 12500
class add dev v0 parent 1:3 classid 1:5 htb rate 3333333bit ceil 34360mbit mpu 64 overhead 18 quantum 1522
class add dev v0 parent 1:3 classid 1:ffff htb rate 8kbit ceil 64kbit linklayer atm quantum 300000
class add dev v0 parent 2: classid 2:1 htb rate 40gbit
class add dev v0 parent 2:1 classid 2:2 htb rate 1mbit mtu 9000
class add dev v0 parent 2:1 classid 2:3 htb rate 10mbit prio 9
qdisc add dev v0 parent 1:2 handle 8001: pfifo limit 100
qdisc add dev v0 parent 1:4 handle 8002: bfifo limit 100k
qdisc add dev v0 parent 1:5 handle 4000: pfifo
qdisc add dev v0 parent 1:ffff handle 4001: bfifo
qdisc add dev v0 parent 2:2 handle 4002: tbf rate 3mbit burst 10k latency 50ms
qdisc add dev v0 parent 4002:1 handle 4003: bfifo limit 7k
qdisc add dev v0 parent 7fff:4 handle 4: tbf rate 1gbit burst 100k limit 1m peakrate 2gbit mtu 2000
qdisc add dev v0 clsact
`

// A link with nothing on it has an empty State, not none. No ops have no results, and an op
// of nothing is refused.
func testEmpty(b *bench) {
	o := b.observe()
	if o.Index <= 0 || o.TxQueues != 4 || o.LinkInfo != (tc.LinkInfo{MTU: 1500, TxQueueLen: 1000}) {
		b.Errorf("observed index %d, %d queues, %+v", o.Index, o.TxQueues, o.LinkInfo)
	}
	if n := o.State.Len(); n != 0 {
		b.Errorf("%d things are on it: %q", n, tc.Script(o.State))
	}
	b.mustApply(nil)
	if r := b.apply([]tc.Op{{}, b.parse("qdisc add dev v0 clsact")[0]}); !errors.Is(r[0].Err, tc.ErrInvalid) || r[1].Err != nil {
		b.Errorf("nothing, and something: %v", r)
	}
	if all, err := b.Observe(b.Context(), nil, nil); len(all) != 0 || err != nil {
		b.Errorf("no links: %v, %v", all, err)
	}
}

// What is asked of the kernel is what it has then, in the form that Canonical says.
func testRoundTrip(b *bench) {
	b.must(skeleton)
	b.want(skeleton)
	before := b.observe().State
	b.must("class change dev v0 classid 1:4 htb rate 30mbit ceil 100mbit prio 3 quantum 12500")
	b.wantState(before, b.wanted(skeleton)) // what was observed doesn't change any more
	b.want(skeleton + "class change dev v0 classid 1:4 htb rate 30mbit ceil 100mbit prio 3 quantum 12500")
	b.must("qdisc delete dev v0 root")
	b.want("qdisc add dev v0 clsact")
	b.must("qdisc delete dev v0 clsact")
	b.want("")
}

// Ops of one Apply may be of several links; what is on one isn't on the other.
func testSeveralLinks(b *bench) {
	other := strings.ReplaceAll(skeleton, "dev v0", "dev v1")
	b.must(skeleton + other + "class change dev v1 classid 2:2 htb rate 2mbit")
	b.want(skeleton)
	all, err := b.Observe(b.Context(), []string{"v0", "v1"}, nil)
	if err != nil || len(all) != 2 || all["v0"].Index == all["v1"].Index {
		b.Fatalf("observed %d links: %v", len(all), err)
	}
	got := all["v1"].State
	b.wantState(got, b.wanted(other+"class change dev v1 classid 2:2 htb rate 2mbit"))
}

func testIdentity(b *bench) {
	id := b.Identity()
	b.must(skeleton)
	if id == "" || id != b.Identity() {
		b.Errorf("identity %q, then %q", id, b.Identity())
	}
}

// A context that ended stops everything, and says so.
func testCancelled(b *bench) {
	ctx := ended(b.T)
	for i, r := range b.Apply(ctx, b.parse(skeleton)) {
		if !errors.Is(r.Err, ctx.Err()) || !errors.Is(r.Err, tc.ErrNotTried) {
			b.Fatalf("op %d: %v", i, r.Err)
		}
	}
	b.want("")
	if _, err := b.Observe(ctx, []string{"v0"}, nil); !errors.Is(err, ctx.Err()) {
		b.Errorf("Observe: %v", err)
	}
	if err := b.Execute(ctx, "qdisc add dev v0 root handle 1: htb"); err == nil {
		b.Error("Execute did it")
	}
	b.want("")
}

// A link that isn't there is missing, and its ops fail, without harm to others.
func testNoLink(b *bench) {
	all, err := b.Observe(b.Context(), []string{"v0", "nolink"}, nil)
	if _, there := all["nolink"]; there || len(all) != 1 || err != nil {
		b.Errorf("observed %v, %v", all, err)
	}
	results := b.try("qdisc add dev nolink root handle 1: htb\nqdisc add dev v0 root handle 1: htb\n" +
		"class add dev nolink parent 1: classid 1:1 htb rate 1mbit\n" +
		"class add dev nolink parent 1:1 classid 1:2 htb rate 1mbit\nqdisc delete dev nolink root")
	for i, r := range results {
		if want := i != 1; errors.Is(r.Err, tc.ErrNoLink) != want {
			b.Errorf("op %d: %v", i, r.Err)
		}
	}
	b.want("qdisc add dev v0 root handle 1: htb")
}

// A link that comes back has another index and nothing on it.
func testLinkReturns(b *bench) {
	b.must(skeleton)
	was := b.observe().Index
	b.RemoveLink("v0")
	if all, err := b.Observe(b.Context(), []string{"v0"}, nil); len(all) != 0 || err != nil {
		b.Errorf("observed %v, %v", all, err)
	}
	if r := b.try("class change dev v0 classid 1:4 htb rate 1mbit"); !errors.Is(r[0].Err, tc.ErrNoLink) {
		b.Errorf("the link is gone: %v", r[0].Err)
	}
	b.AddLink(Link{Name: "v0"})
	o := b.observe()
	if o.Index == was || o.State.Len() != 0 {
		b.Errorf("index %d, then %d with %q", was, o.Index, tc.Script(o.State))
	}
	b.must(skeleton)
	b.want(skeleton)
}

// What is below a class that couldn't be made isn't tried, or the kernel would hang it at
// the root. All else is done.
func testNotTried(b *bench) {
	const good = `
qdisc add dev v0 root handle 1: htb
class add dev v0 parent 1: classid 1:1 htb rate 100mbit quantum 2000
class add dev v0 parent 1:1 classid 1:9 htb rate 10mbit quantum 2000
`
	results := b.try(good + `
class add dev v0 parent 1:1 classid 1:2 htb rate 4bit quantum 2000
class add dev v0 parent 1:2 classid 1:3 htb rate 10mbit quantum 2000
class add dev v0 parent 1:3 classid 1:4 htb rate 10mbit quantum 2000
qdisc add dev v0 parent 1:4 handle 8001: pfifo
class add dev v0 parent 1:9 classid 1:a htb rate 10mbit quantum 2000
`)
	for i, r := range results {
		bad := i >= 3 && i <= 6
		if (r.Err != nil) != bad || errors.Is(r.Err, tc.ErrNotTried) != (i == 4 || i == 5) && i != 6 {
			b.Errorf("op %d: %v", i, r.Err)
		}
	}
	b.want(good + "class add dev v0 parent 1:9 classid 1:a htb rate 10mbit quantum 2000")
	// It is about one Apply: another one may know that the parent is there.
	b.must("class add dev v0 parent 1:1 classid 1:2 htb rate 10mbit quantum 2000\n" +
		"class add dev v0 parent 1:2 classid 1:3 htb rate 10mbit quantum 2000")
}

// One op that fails does no harm to the others.
func testOneOfAThousand(b *bench) {
	const bad = 613
	var script strings.Builder
	script.WriteString("qdisc add dev v0 root handle 1: htb\nclass add dev v0 parent 1: classid 1:1 htb rate 1gbit quantum 2000\n")
	for i := 2; i < 1000; i++ {
		fmt.Fprintf(&script, "class add dev v0 parent 1:1 classid 1:%x htb rate %dkbit quantum 2000\n", i, 1000+i)
	}
	ops := b.parse(script.String())
	twice := *ops[bad-1].Class
	ops[bad].Class = &twice
	for i, r := range b.apply(ops) {
		if i != bad && r.Err != nil || i == bad && !errors.Is(r.Err, tc.ErrExists) {
			b.Errorf("op %d: %v", i, r.Err)
		}
	}
	want := lines(script.String())
	b.want(strings.Join(append(want[:bad:bad], want[bad+1:]...), "\n"))
}

// Execute does a line of tc(8).
func testExecute(b *bench) {
	if err := b.Execute(b.Context(), "qdisc add dev v0 root handle 1: htb default 5"); err != nil {
		b.Error(err)
	}
	b.want("qdisc add dev v0 root handle 1: htb default 5")
	if err := b.Execute(b.Context(), "qdisc add dev v0 root handle 1: htb default 5"); err == nil {
		b.Error("what the kernel refuses has no error")
	}
}
