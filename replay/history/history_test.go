package history

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

// refreshed is a network that was sent, and once more with another ceil, in steps of a time.
func refreshed(step time.Duration, ceil float64) []bakery.Command {
	leaf := bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: 1, ParentMinor: 4, CircuitHash: 7, SQM: []string{"cake", "diffserv4"}}
	var list []bakery.Command
	at := replaytest.Begin
	for _, c := range []bakery.Command{replaytest.MqSetup(), replaytest.Circuit("4", 10, "Smith"), leaf, replaytest.Circuit("5", 10, "Jones"),
		replaytest.MqSetup(), replaytest.Circuit("5", 10, "Jones"), replaytest.Circuit("4", ceil, "Smith"), leaf, replaytest.Circuit("4", ceil, "Smith")} {
		list = append(list, replaytest.Timed{Command: c, At: at})
		at = at.Add(step)
	}
	return list
}

func TestHistory(t *testing.T) {
	for name, test := range map[string]struct {
		step     time.Duration
		ceil     float64
		commands []bakery.Command // that follow
		target   replay.Target
		want     string
		restated int
	}{
		"a refresh that changes nothing":        {time.Second, 10, nil, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc", 2},
		"a refresh that changes a rate":         {time.Second, 20, nil, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 7 ~class", 1},
		"one that takes longer than it settles": {6 * time.Second, 10, nil, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 5 -qdisc -class 7 +class 8 +qdisc", 1},
		"one whose leaf takes longer":           {4 * time.Second, 10, nil, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 5 -qdisc 8 +qdisc", 1},
		"by handle":                             {time.Second, 20, nil, replay.Target{Class: 0x10004}, "2 +class 3 +qdisc 7 ~class", 1},
		"on the other link":                     {time.Second, 20, nil, replay.Target{Circuit: "Smith", Link: "eth0"}, "", 0},
		"a refresh that forgets the leaf":       {time.Second, 10, []bakery.Command{replaytest.Timed{Command: replaytest.MqSetup(), At: replaytest.Begin.Add(time.Hour)}, replaytest.Timed{Command: replaytest.Circuit("4", 10, "Smith"), At: replaytest.Begin.Add(time.Hour)}}, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 10 -qdisc", 2},
		"a refresh without it":                  {time.Second, 10, []bakery.Command{replaytest.MqSetup()}, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 10 -qdisc -class", 2},
		"the class gets another circuit":        {time.Second, 10, []bakery.Command{replaytest.Circuit("4", 10, "Miller")}, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 10 -qdisc -class", 2},
		"an address":                            {time.Second, 10, []bakery.Command{replaytest.MapIP("192.0.2.1", 0x10004, false), replaytest.MapIP("192.0.2.1", 0x10004, false), bakery.DelIPFlow{Address: "192.0.2.1"}}, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 10 +mapping 12 -mapping", 3},
		"a line of tc":                          {time.Second, 10, []bakery.Command{bakery.ExecuteTCCommands{Lines: []string{"class change dev eth1 parent 1: classid 1:4 htb rate 2mbit ceil 10mbit"}}}, replay.Target{Circuit: "Smith"}, "2 +class 3 +qdisc 10 ~class", 2},
		"all addresses":                         {time.Second, 10, []bakery.Command{replaytest.MapIP("192.0.2.1", 0x10004, false), bakery.ClearIPFlow{}}, replay.Target{Address: netip.MustParsePrefix("192.0.2.0/24")}, "10 +mapping 11 -mapping", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, append(refreshed(test.step, test.ceil), test.commands...)))
			h, err := Of(t.Context(), s, test.target, 0, s.Last())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range h.Entries {
				got = append(got, fmt.Sprint(e.Seq))
				for _, d := range e.Changes {
					got = append(got, map[string]string{"added": "+", "removed": "-"}[d.Change]+d.Object)
				}
			}
			text := strings.ReplaceAll(strings.Join(got, " "), " class", " ~class")
			if text != test.want || h.Restated != test.restated {
				t.Errorf("got %q, restated %d; want %q, %d", text, h.Restated, test.want, test.restated)
			}
		})
	}
}
