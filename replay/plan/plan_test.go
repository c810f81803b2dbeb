package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/diff"
)

const plannedBase = `qdisc add dev eth0 root handle 7fff: mq
qdisc add dev eth0 parent 7fff:1 handle 1: htb default 2
class add dev eth0 parent 1: classid 1:1 htb rate 1gbit
class add dev eth0 parent 1:1 classid 1:3 htb rate 100mbit
class add dev eth0 parent 1:3 classid 1:4 htb rate 10mbit
qdisc add dev eth0 parent 1:4 handle 8004: fq_codel limit 500
class add dev eth0 parent 1:3 classid 1:5 htb rate 10mbit
qdisc add dev eth0 parent 1:5 handle 8005: cake
class add dev eth0 parent 1:1 classid 1:6 htb rate 10mbit
`

// TestPlanEffects has what traffic notices of each kind of change. An effect is "SIGN OBJECT ID EFFECT", a hit "LIST NAME STEPS LIMIT".
func TestPlanEffects(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string // the lines in which the two trees differ: from is taken out, to put in; "|" for a new line
		steps, traffic []string
	}{
		{"nothing", "", "", nil, nil},
		{"another rate", "classid 1:4 htb rate 10mbit", "classid 1:4 htb rate 20mbit", []string{"changed class 1:4 none"}, []string{"unharmed 1:4 0"}},
		{"another option", "fq_codel limit 500", "fq_codel limit 900", []string{"changed qdisc 1:4 none"}, []string{"unharmed 1:4 0"}},
		{"a smaller limit", "fq_codel limit 500", "fq_codel limit 90", []string{"changed qdisc 1:4 none over 90 packets"}, []string{"unharmed 1:4 0"}},
		{"another kind", "handle 8004: fq_codel limit 500", "handle 8004: cake",
			[]string{"removed qdisc 1:4 queue 500 packets", "added qdisc 1:4 queue"}, []string{"queue 1:4 0 500 packets"}},
		{"another handle", "handle 8005: cake", "handle 9005: cake", []string{"replaced qdisc 1:5 queue 10240 packets"}, []string{"queue 1:5 0 10240 packets"}},
		{"a first leaf", "classid 1:6 htb rate 10mbit", "classid 1:6 htb rate 10mbit|qdisc add dev eth0 parent 1:6 handle 8006: cake",
			[]string{"added qdisc 1:6 queue 1000 packets"}, []string{"queue 1:6 0 1000 packets"}},
		{"a first child", "classid 1:6 htb rate 10mbit", "classid 1:6 htb rate 10mbit|class add dev eth0 parent 1:6 classid 1:7 htb rate 1mbit",
			[]string{"added class 1:7 queue 1000 packets"}, []string{"queue 1:6 0 1000 packets", "new 1:7 0"}},
		{"another parent", "parent 1:3 classid 1:5", "parent 1:1 classid 1:5",
			[]string{"removed class 1:5 absent 10240 packets", "added class 1:5 absent", "added qdisc 1:5 absent"}, []string{"absent 1:5 2 10240 packets"}},
		{"another parent for a site", "parent 1:1 classid 1:3", "parent 1: classid 1:3",
			[]string{"removed class 1:5 absent 10240 packets", "removed class 1:4 absent 500 packets", "removed class 1:3 absent", "added class 1:3 absent",
				"added class 1:4 absent", "added class 1:5 absent", "added qdisc 1:4 absent", "added qdisc 1:5 absent"},
			[]string{"absent 1:4 4 500 packets", "absent 1:5 6 10240 packets"}},
		{"a new one", "classid 1:6 htb rate 10mbit", "classid 1:6 htb rate 10mbit|class add dev eth0 parent 1:1 classid 1:7 htb rate 1mbit",
			[]string{"added class 1:7 new"}, []string{"new 1:7 0"}},
		{"one that goes", "class add dev eth0 parent 1:1 classid 1:6 htb rate 10mbit", "", []string{"removed class 1:6 gone 1000 packets"}, []string{"gone 1:6 0 1000 packets"}},
		{"an HTB anew", "htb default 2", "htb default 3", []string{"removed qdisc 7fff:1 absent", "added qdisc 7fff:1 absent", "added class 1:1 absent",
			"added class 1:3 absent", "added class 1:6 absent", "added class 1:4 absent", "added class 1:5 absent", "added qdisc 1:4 absent", "added qdisc 1:5 absent"},
			[]string{"absent 1:4 6 500 packets", "absent 1:5 7 10240 packets", "absent 1:6 5 1000 packets"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := New(Planning{Before: scriptTree(t, plannedBase), Against: "log",
				After: scriptTree(t, strings.Replace(plannedBase, tt.from, strings.ReplaceAll(tt.to, "|", "\n"), 1))})
			var steps []string
			for _, s := range p.Steps {
				steps = append(steps, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", s.Change, s.Object, s.ID, s.Effect, limitOf(s.Text))))
			}
			if d := cmp.Diff(tt.steps, steps); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.traffic, hits(p.Traffic)); d != "" {
				t.Errorf("traffic (-want +got):\n%s", d)
			}
		})
	}
}

// limitOf is the limit that a text names.
func limitOf(text string) string {
	if _, limit, ok := strings.Cut(text, "at most "); ok {
		limit, _, _ = strings.Cut(limit, ")")
		return limit
	}
	if _, limit, ok := strings.Cut(text, "what is "); ok && strings.HasPrefix(limit, "over") {
		return limit
	}
	return ""
}

func hits(t Traffic) (all []string) {
	for _, part := range []struct {
		name string
		list []Hit
	}{{"absent", t.Absent}, {"queue", t.Queue}, {"new", t.New}, {"gone", t.Gone}, {"unharmed", t.Unharmed}} {
		for _, h := range part.list {
			name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "class "), " on eth0")
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", part.name, name, h.Steps, strings.TrimPrefix(h.AtMost, "at most "))))
		}
	}
	return all
}

// scriptTree folds tc lines.
func scriptTree(t *testing.T, lines string) *bakery.Tree {
	t.Helper()
	tree, refused := bakery.FoldScript(lines)
	if len(refused) > 0 {
		t.Fatal(refused)
	}
	return tree
}

// TestPlanOfRoots: a root that comes, goes, or is made anew interrupts its link, and is nothing on one that isn't there.
func TestPlanOfRoots(t *testing.T) {
	empty, base := bakery.NewTree(), scriptTree(t, plannedBase)
	other := scriptTree(t, strings.ReplaceAll(plannedBase, "7fff:", "7ffe:"))
	for _, tt := range []struct {
		name          string
		before, after *bakery.Tree
		live          *diff.Live
		interrupted   int
		hits, notes   int
	}{
		{"it comes", empty, base, nil, 1, 3, 0},
		{"it goes", base, empty, nil, 1, 3, 0},
		{"another", base, other, nil, 1, 3, 0},
		{"on a link with nothing", base, base, &diff.Live{Links: map[string]tc.Observed{"eth0": {State: &tc.State{}}}}, 1, 3, 1},
		{"on a link that isn't there", base, base, &diff.Live{}, 0, 0, 1},
	} {
		p := New(Planning{Before: tt.before, After: tt.after, Live: tt.live})
		if n := len(p.Traffic.Interrupted); n != tt.interrupted {
			t.Errorf("%s: %d links are interrupted, want %d", tt.name, n, tt.interrupted)
		}
		if n := len(hits(p.Traffic)); n != tt.hits {
			t.Errorf("%s: %v, want %d", tt.name, hits(p.Traffic), tt.hits)
		}
		if len(p.Notes) != tt.notes {
			t.Errorf("%s: notes %q, want %d", tt.name, p.Notes, tt.notes)
		}
	}
}
