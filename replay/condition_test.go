package replay

import (
	"math"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/replay/replaytest"
)

func TestCondition(t *testing.T) {
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, replaytest.Commands()))
	tree, err := s.Tree(t.Context(), s.Last())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		text string
		want bool
	}{
		{"class 1:4 rate < 10mbit", true},
		{"class 1:4 rate<1mbit", false},
		{"class 1:4 rate <= 1000kbit", true},
		{"class 1:4 ceil = 30mbit", true},
		{"class 1:4 ceil == 30mbit", true},
		{"class 1:4 ceil != 30mbit", false},
		{"class 1:4 ceil > 29mbit", true},
		{"class 1:4 ceil >= 31mbit", false},
		{"class 1:4 prio = 3", true},
		{"class 1:4 quantum = 375000", true},
		{"class 1:4 parent = 1:", true},
		{"class 1:4 parent != 1:", false},
		{"class 1:4 leaf = cake", false}, // it has none
		{"class 1:4 on eth0 exists", false},
		{"class 1:4 on eth1 exists", true},
		{"class 1:2 on eth0 leaf = cake", true},
		{"class 1:2 ceil = 999mbit", true}, // on one of the links
		{"class 1:2 ceil = 499mbit", true}, // on the other
		{"class 1:9 exists", false},
		{"class 1:9 missing", true},
		{"not class 1:9 missing", false},
		{"class 1:9 rate < 10mbit", false}, // what isn't there has no rate
		{"not class 1:9 rate < 10mbit", true},
		{"circuit Smith exists", true},
		{`circuit "Smith" ceil >= 30mbit`, true},
		{"circuit 7 rate = 1mbit", true},
		{"circuit 8 exists", false},
		{"site 7 exists", false},
		{"qdisc root kind = mq", true},
		{"qdisc root on eth1 handle = 7fff:", true},
		{"qdisc 1:2 kind != cake", false},
		{"qdisc 1:77 exists", false},
		{"address 192.0.2.1 exists", true},
		{"address 192.0.2.1/32 class = 1:4", true},
		{"address 192.0.2.1 cpu > 0", false},
		{"address 192.0.2.2 missing", true},
		{"classes = 6", true},
		{"qdiscs > 100", false},
		{"circuits = 1", true},
		{"addresses >= 1", true},
		{"generation = 1", true},
		{"class 1:4 exists and class 1:5 exists", true},
		{"class 1:4 exists and not class 1:5 exists", false},
	} {
		c, err := ParseCondition(test.text)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := c.Holds(tree); got != test.want {
			t.Errorf("%s: %v", c, got)
		}
	}
}

func TestBadCondition(t *testing.T) {
	for text, want := range map[string]string{
		"":                         `"": a clause begins with address, addresses, circuit, circuits, class, classes, generation, qdisc, qdiscs, site`,
		"klass 1:4 exists":         `"klass": a clause begins with`,
		"class":                    "class what?",
		"class four exists":        `"four"`,
		"class 1:4":                `"": it has exists, missing, ceil, leaf, parent, prio, quantum, rate`,
		"class 1:4 speed < 10mbit": `"speed": it has exists, missing, ceil`,
		"class 1:4 rate":           `"" after rate: write <, <=, =, !=, >= or >`,
		"class 1:4 rate ~ 10mbit":  `"~" after rate`,
		"class 1:4 rate <":         "rate < what?",
		"class 1:4 rate < ten":     "rate: ",
		"class 1:4 parent < 1:":    "parent <: only = and != go with a word",
		"class 1:4 on":             "on which link?",
		"class 1:4 exists or":      "or where it should end, or go on with and",
		"class 1:4 exists and":     `"": a clause begins with`,
		"address 192.0.2 exists":   `"192.0.2" is neither an IP address nor a prefix`,
		"classes > many":           "classes: ",
	} {
		if c, err := ParseCondition(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: condition %q, error %v; want one with %s", text, c, err, want)
		}
	}
}

func TestCalled(t *testing.T) {
	for _, test := range []struct {
		hash    int64
		comment string
		name    string
		want    bool
	}{
		{7, "", "7", true}, {-5, "", "-5", true}, {-5, "", "5", false}, {10, "", "10", true}, {10, "", "20", false},
		{math.MinInt64, "", "-9223372036854775808", true}, {0, "", "0", false}, {7, "Site 7", "Site 7", true},
		{7, "Site", "x7", false}, {7, "", "", false}, {17, "", "1-7", false}, {0, "7", "7", true},
	} {
		n := bakery.Note{Hash: test.hash, Comment: test.comment}
		if Called(n, test.name) != test.want {
			t.Errorf("%+v by %q: want %v", n, test.name, test.want)
		}
	}
}
