package tc

import (
	"strings"
	"testing"
)

func TestOutermost(t *testing.T) {
	const base = `
qdisc replace dev e0 root handle 7fff: mq
qdisc add dev e0 parent 7fff:1 handle 1: htb default 2
class add dev e0 parent 1: classid 1:1 htb rate 100mbit
class add dev e0 parent 1:1 classid 1:3 htb rate 10mbit
class add dev e0 parent 1:3 classid 1:5 htb rate 1mbit
qdisc add dev e0 parent 1:5 handle 8001: pfifo limit 5
class add dev e0 parent 1:1 classid 1:4 htb rate 10mbit
qdisc add dev e0 parent 1:4 handle 8002: pfifo limit 5
`
	for name, c := range map[string]struct{ edits, want string }{
		"nothing":         {"", ""},
		"a rate":          {"class change dev e0 parent 1:1 classid 1:4 htb rate 2mbit", "changed class 1:4 on e0: rate 10mbit → 2mbit +0"},
		"a class":         {"class delete dev e0 classid 1:4", "removed class 1:4 on e0 +1"},
		"a site":          {"class delete dev e0 classid 1:5\nclass delete dev e0 classid 1:3", "removed class 1:3 on e0 +2"},
		"a queue":         {"qdisc delete dev e0 parent 7fff:1", "removed qdisc 1: at 7fff:1 on e0 +6"},
		"the root":        {"qdisc replace dev e0 root handle 9: htb\nclass add dev e0 parent 9: classid 9:1 htb rate 1mbit", "replaced qdisc 9: at root on e0: kind mq → htb, handle 7fff: → 9: +8"},
		"the root, gone":  {"qdisc delete dev e0 root", "removed qdisc 7fff: at root on e0 +7"},
		"a class and its": {"class add dev e0 parent 1:3 classid 1:9 htb rate 1mbit\nqdisc add dev e0 parent 1:9 handle 8009: pfifo", "added class 1:9 on e0 +1"},
	} {
		from, to := parseState(t, base), parseState(t, base+c.edits)
		var got []string
		for _, o := range Outermost(Diff(from, to), from, to) {
			got = append(got, o.String()+" +"+string(rune('0'+o.Inside)))
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s: %s\nwant %s", name, s, c.want)
		}
	}
}

// TestDirectQlen: an HTB is not built anew because the link's queue length, which it
// took once, has another value now.
func TestDirectQlen(t *testing.T) {
	state := func(options string) *State {
		return Canonical(parseState(t, "qdisc replace dev e0 root handle 1: htb "+options), Host{})
	}
	for _, c := range []struct {
		from, to string
		same     bool
	}{{"direct_qlen 1000", "", true}, {"", "direct_qlen 1000", true}, {"direct_qlen 5", "direct_qlen 6", false}, {"direct_qlen 5 r2q 3", "", false}} {
		from, to := state(c.from), state(c.to)
		if (len(Diff(from, to)) == 0) != c.same || (len(Plan(from, to)) == 0) != c.same {
			t.Errorf("from %q to %q: %v %v", c.from, c.to, Diff(from, to), Plan(from, to))
		}
	}
}
