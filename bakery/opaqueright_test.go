package bakery_test

import (
	"strings"
	"testing"

	"lqosd/bakery"
)

// TestOpaqueNeedsTheRight: a line that tc(8) would run word for word is refused to a sender that
// may not ask for it, and one that is modelled isn't.
func TestOpaqueNeedsTheRight(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	before := r.tree()
	const modelled = "class add dev eth1 parent 1: classid 1:77 htb rate 1mbit"
	for _, line := range []string{aFilter, "filter del dev eth1 parent 1:", "chain add dev eth1 parent 1: chain 1", "actions add action gact drop",
		"qdisc add dev eth1 parent 1:5 red limit 1000", "  tc  filter\tadd dev eth1 bpf object-file /tmp/evil.o"} {
		out := r.submitAs(bakery.Submission{Commands: []bakery.Command{lines(modelled, line)}})[0]
		if out.Err == nil || !strings.Contains(out.Err.Error(), "line 2, ") || !strings.Contains(out.Err.Error(), "bakery.opaque_lines") {
			t.Errorf("%q: %v", line, out.Err)
		}
	}
	if !r.tree().Equal(before) {
		t.Error("a refused line changed the tree")
	}
	forced := lines(modelled, aFilter)
	forced.Force = true
	out := r.submitAs(bakery.Submission{Commands: []bakery.Command{forced}})[0]
	if out.Err != nil || len(out.Refused) != 1 || out.Refused[0].Line != 2 || !strings.Contains(out.Refused[0].Why, "bakery.opaque_lines") {
		t.Errorf("by force: %v, refused %v", out.Err, out.Refused)
	}
	if n := len(r.tree().Opaque()); n != 0 {
		t.Errorf("%d opaque lines are kept", n)
	}
}

// TestOpaqueOfOlderLogsFolds: the right is asked for when a command is accepted, and not when its
// record is folded.
func TestOpaqueOfOlderLogsFolds(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	r.must(lines(aFilter))
	before := r.tree()
	r.restart()
	if after := r.tree(); len(after.Opaque()) != 1 || !after.Equal(before) {
		t.Errorf("the log folds to %v", after.Opaque())
	}
	if out := r.submitAs(bakery.Submission{Commands: []bakery.Command{lines(aFilter)}})[0]; out.Err == nil {
		t.Error("a line that is there is accepted from a sender without the right")
	}
}

// hostileLines are words that reach for more than a tree. whole says that nobody may send them, whatever his right.
var hostileLines = []struct {
	line  string
	whole bool
}{
	{"exec bpf import /sys/fs/bpf/x run /bin/sh", true},
	{"exec", true},
	{"monitor", true},
	{"monitor file /etc/shadow", true},
	{"-batch /tmp/lines", true},
	{"-b /tmp/lines", true},
	{"-force -batch -", true},
	{"-batch add", true}, // the file is called so
	{"-n change filter add dev eth1 matchall", true},
	{"exec add dev eth1", true},
	{"monitor add dev eth1", true},
	{"-n other qdisc add dev eth1 root red", true},
	{"-netns other filter add dev eth1 matchall", true},
	{"-cgroup /sys/fs/cgroup/x qdisc add dev eth1 root red", true},
	{"-c /etc filter add dev eth1 matchall", true},
	{"-conf /tmp/conf filter add dev eth1 matchall", true},
	{"--help", true},
	{"tc -n other filter add dev eth1 matchall", true},
	{"; reboot", true},
	{"$(reboot)", true},
	{"`reboot`", true},
	{"| sh", true},
	{"qdisc add dev eth1 root\nfilter add dev eth1 matchall", true},
	{"filter add dev eth1 matchall\x00", true},
	{"filter add dev eth1 matchall\x1b[2J", true},
	{"filter add dev eth1 matchall\u0085filter add dev eth1 matchall", true},
	{"filter show dev eth1", true},
	{"filter get dev eth1 pref 1", true},
	{"filter add dev lo matchall", true},
	{"filter add dev ../eth1 matchall", true},
	{"chain add dev eth0/../lo chain 1", true},
	{"qdisc add dev lo root red limit 1000", true},
	{"help", true},
	{"", true},
	{"tc", true},
	{"filter add dev eth1 bpf object-file /tmp/evil.o section x", false},
	{"filter add dev eth1 parent 1: matchall action mirred egress redirect dev lo", false},
	{"filter add dev eth1 matchall; reboot", false}, // words of tc, for there is no shell
	{"filter add dev eth1 matchall $(reboot) `reboot` | sh > /etc/passwd", false},
	{"filter add block 7 matchall", false},
	{"actions add action bpf object-pinned /sys/fs/bpf/x", false},
	{"qdisc add dev eth1 root handle 1: prio -batch /tmp/lines", false},
}

// TestHostileLines: nobody gets an option of tc(8) itself, an object that changes no tree, another link or a second line
// past the parser; what an admin may say word for word nobody else may.
func TestHostileLines(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	for _, h := range hostileLines {
		for _, admin := range []bool{true, false} {
			before := r.tree()
			out := r.submitAs(bakery.Submission{Commands: []bakery.Command{lines(h.line)}, Opaque: admin})[0]
			if taken := out.Err == nil; taken != (admin && !h.whole) {
				t.Errorf("%q, admin %v: error %v", h.line, admin, out.Err)
			}
			if out.Err != nil && !r.tree().Equal(before) {
				t.Errorf("%q, admin %v: refused, and the tree has changed", h.line, admin)
			}
		}
	}
}
