package tc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestDiff(t *testing.T) {
	from := parseState(t, tree)
	to := parseState(t, tree+`
class replace dev e0 parent 1:4 classid 1:3 htb rate 20mbit
class change dev e0 parent 1:3 classid 1:5 htb rate 1mbit ceil 2mbit
qdisc change dev e0 parent 1:5 cake nat diffserv8
qdisc replace dev e0 parent 7fff:2 handle 2: htb
class add dev e0 parent 2: classid 2:1 htb rate 1mbit
qdisc delete dev e0 clsact
qdisc add dev e0 ingress
qdisc add dev e1 root pfifo`)
	var got []string
	for _, d := range Diff(from, to) {
		got = append(got, d.String())
	}
	want := strings.TrimSpace(`
removed qdisc 8002: at 1:4 on e0
changed qdisc 8001: at 1:5 on e0: diffserv diffserv4 → diffserv8, nat - → nat
added qdisc 2: at 7fff:2 on e0
removed qdisc 8003: at 8002:1 on e0
replaced qdisc ffff: at ffff:fff1 on e0: kind clsact → ingress
moved class 1:3 on e0: parent 1:1 → 1:4, rate 10mbit → 20mbit
changed class 1:5 on e0: ceil - → 2mbit
added class 2:1 on e0
added qdisc at root on e1`)
	if d := cmp.Diff(want, strings.Join(got, "\n")); d != "" {
		t.Error(d)
	}
}

func TestDiffHandle(t *testing.T) {
	with := parseState(t, "qdisc add dev e0 root handle 8001: cake")
	without := parseState(t, "qdisc add dev e0 root cake")
	if d := Diff(with, without); len(d) != 0 {
		t.Errorf("any handle will do, but: %v", d)
	}
	if d := Diff(without, with); len(d) != 1 || d[0].Kind != Replaced {
		t.Errorf("a chosen handle is missing, but: %v", d)
	}
}

// TestDiffDirectQlen: where one side leaves it open it isn't among the fields that differ.
func TestDiffDirectQlen(t *testing.T) {
	asked := parseState(t, "qdisc add dev e0 root handle 1: htb default 2")
	has := parseState(t, "qdisc add dev e0 root handle 1: htb default 7 direct_qlen 1000")
	if d := Diff(asked, has); len(d) != 1 || d[0].String() != "changed qdisc 1: at root on e0: default 2 → 7" {
		t.Errorf("got %v", d)
	}
}

func TestDiffOfTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genState(t, "state")
		rebuilt, _, err := ParseScript(strings.NewReader(strings.Join(Script(s), "\n")))
		if d := Diff(s, rebuilt); err != nil || len(d) != 0 {
			t.Fatalf("%v %v", err, d)
		}
		if d := Diff(s, s.Clone()); len(d) != 0 {
			t.Fatal(d)
		}
	})
}

func TestDiffFindsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := handlesChosen(t, genState(t, "a")), handlesChosen(t, genState(t, "b"))
		there, back := Diff(a, b), Diff(b, a)
		if a.Equal(b) != (len(there) == 0) || len(there) != len(back) {
			t.Fatalf("equal is %v, %d differences, %d back", a.Equal(b), len(there), len(back))
		}
		for i, d := range there {
			if len(d.Fields) == 0 && d.Kind > Removed {
				t.Fatalf("difference %d has no fields: %v", i, d)
			}
		}
		if fmt.Sprint(there) != fmt.Sprint(Diff(a, b)) {
			t.Fatal("not deterministic")
		}
	})
}
