package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery/tc"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/replay/plan"
)

// TestPlanIsDone plans against the kernel, lets a daemon do it, and compares what the kernel tells of.
func TestPlanIsDone(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		end := f.serve()
		network := plannedNetwork(f.t, 20)
		if p := f.comesTrue("the first network", network); len(p.Traffic.Interrupted) != 2 || len(p.Traffic.New) < 4 {
			f.t.Errorf("the first network: %+v", p.Traffic)
		}
		f.comesTrue("the same again", network)
		p := f.comesTrue("all kinds of changes", plannedChanges(f.t))
		for _, want := range []struct {
			what string
			got  []plan.Hit
			name string
		}{{"absent", p.Traffic.Absent, "C"}, {"queue", p.Traffic.Queue, "B"}, {"new", p.Traffic.New, "E"}, {"gone", p.Traffic.Gone, "D"}, {"unharmed", p.Traffic.Unharmed, "A"}} {
			if len(want.got) != 1 || want.got[0].Name != fmt.Sprintf("circuit %q", want.name) {
				f.t.Errorf("%s: %+v, want %s", want.what, want.got, want.name)
			}
		}
		if p := f.comesTrue("a refresh with another rate", plannedNetwork(f.t, 30)); p.Totals.Ops == 0 || len(p.Traffic.Interrupted) > 0 {
			f.t.Errorf("a refresh: %+v, %+v", p.Totals, p.Traffic)
		}
		two := 2
		f.configure(f.t, "example", func(c *lqosconf.Config) {
			*c = f.conf
			c.Queues.OverrideAvailableQueues = &two
		})
		f.comesTrue("fewer queues", plannedNetwork(f.t, 30))
		end()
		f.disturb()
		plan := f.plan("what drifted", nil, 1, f.logDir())
		f.watch.count()
		end = f.serve()
		f.applied()
		f.did("what drifted", plan)
		if p := f.comesTrue("the end", []golden.Request{{Name: "BakeryClearPriorSettings"}}); len(p.Traffic.Interrupted) != 2 {
			f.t.Errorf("the end: %+v", p.Traffic)
		}
		end()
	}, settlesSoon)
}

// plannedNetwork has two sites, four circuits below the first, and their addresses. rate is a circuit's, in Mbit/s.
func plannedNetwork(t *testing.T, rate int) []golden.Request {
	list := []golden.Request{{Name: "BakeryMqSetup"}}
	add := func(format string, args ...any) { list = append(list, asRequest(t, fmt.Sprintf(format, args...))) }
	for _, link := range []string{"eth1", "eth0"} {
		for _, site := range []int{0x10, 0x20} {
			add(`"BakeryAddStructuralHTBClass":{"interface":%q,"parent":"0x1:","classid":"0x%x","rate_mbps":50,"ceil_mbps":100,"site_hash":%d,"r2q":10}`, link, site, site)
		}
		for i, name := range []string{"A", "B", "C", "D"} {
			list = append(list, plannedCircuit(t, link, 0x11+i, 0x10, name, rate)...)
		}
	}
	for i := range 4 {
		add(`"MapIpToFlow":{"ip_address":"192.0.2.%d","tc_handle":%d,"cpu":0,"upload":false}`, i+1, 0x10011+i)
	}
	return list
}

func plannedCircuit(t *testing.T, link string, minor, parent int, name string, rate int) []golden.Request {
	return []golden.Request{
		asRequest(t, fmt.Sprintf(`"BakeryAddCircuitHTBClass":{"interface":%q,"parent":"0x1:0x%x","classid":"0x%x","rate_mbps":1,"ceil_mbps":%d,"circuit_hash":%d,"comment":%q,"r2q":10}`,
			link, parent, minor, rate, 100+name[0], name)),
		asRequest(t, fmt.Sprintf(`"BakeryAddCircuitQdisc":{"interface":%q,"parent_major":1,"parent_minor":%d,"circuit_hash":%d,"sqm_params":["pfifo"]}`, link, minor, 100+name[0])),
	}
}

// plannedChanges has one of each kind: another rate for A, another leaf for B, C below the other site, no D, a new E.
func plannedChanges(t *testing.T) []golden.Request {
	list := plannedCircuit(t, "eth1", 0x11, 0x10, "A", 25)
	list = append(list, plannedCircuit(t, "eth1", 0x13, 0x20, "C", 20)...)
	list = append(list, plannedCircuit(t, "eth1", 0x15, 0x20, "E", 20)...)
	for _, r := range []string{
		`"BakeryExecuteTCCommands":{"commands":["qdisc replace dev eth1 parent 1:12 bfifo limit 100000","qdisc change dev eth1 parent 1:11 pfifo limit 70","class delete dev eth1 classid 1:14","class delete dev eth0 classid 1:14"],"force_mode":false}`,
		`"DelIpFlow":{"ip_address":"192.0.2.4","upload":false}`,
		`"MapIpToFlow":{"ip_address":"192.0.2.5","tc_handle":65557,"cpu":0,"upload":false}`,
	} {
		list = append(list, asRequest(t, r))
	}
	return list
}

// disturb changes, removes and adds something while no daemon looks.
func (f *field) disturb() {
	f.t.Helper()
	command(f.t, "tc", "class", "change", "dev", "eth1", "parent", "1:10", "classid", "1:11", "htb", "rate", "3mbit", "ceil", "5mbit")
	command(f.t, "tc", "class", "del", "dev", "eth0", "classid", "1:13")
	command(f.t, "tc", "class", "add", "dev", "eth0", "parent", "1:20", "classid", "1:99", "htb", "rate", "3mbit")
}

// comesTrue plans requests, sends them in one session, and wants what the plan says to happen, and nothing else.
func (f *field) comesTrue(what string, requests []golden.Request) plan.Plan {
	f.t.Helper()
	plan := f.plan(what, requests, -1, "unix:"+f.socket())
	f.watch.count()
	before := f.status()
	f.play(requests)
	after := f.status()
	if got, want := after.Kernel.Writes-before.Kernel.Writes, uint64(plan.Totals.Ops+plan.Totals.Lines); got != want {
		f.t.Errorf("%s: the daemon counts %d ops, the plan %d", what, got, want)
	}
	if got, want := after.Kernel.Steering.Writes-before.Kernel.Steering.Writes, uint64(plan.Totals.Mappings); got != want {
		f.t.Errorf("%s: the daemon counts %d entries of maps, the plan %d", what, got, want)
	}
	f.did(what, plan)
	if again := f.plan(what+", then nothing", nil, 0, "unix:"+f.socket()); !again.Nothing() {
		f.t.Errorf("%s: afterwards there is still to do: %+v", what, again.Steps)
	}
	f.sameAsLog()
	return plan
}

// did wants the kernel to have told of the ops of the plan since the last count, in its order.
func (f *field) did(what string, plan plan.Plan) {
	f.t.Helper()
	names := map[string]string{}
	for _, link := range f.links {
		i, err := net.InterfaceByName(link)
		if err != nil {
			f.t.Fatal(err)
		}
		names[fmt.Sprint(i.Index)] = link
	}
	var got []string
	for _, m := range f.watch.count() { // "new class 10004 parent 10003 on 7"
		w := strings.Fields(m)
		switch at := len(w) - 1; {
		case w[1] == "class":
			got = append(got, fmt.Sprintf("%s class %s on %s", w[0], w[2], names[w[at]]))
		case w[0] == "new" && w[4] != "ffffffff":
			got = append(got, fmt.Sprintf("new qdisc at %s on %s", w[4], names[w[at]]))
		}
	}
	var want []string
	for _, s := range plan.Steps {
		id, err := tc.ParseHandle(s.ID)
		switch {
		case s.Object == "class" && err == nil && s.Change == "removed":
			want = append(want, fmt.Sprintf("deleted class %x on %s", uint32(id), s.Link))
		case s.Object == "class" && err == nil:
			want = append(want, fmt.Sprintf("new class %x on %s", uint32(id), s.Link))
		case s.Object == "qdisc" && err == nil && s.Change != "removed" && s.ID != "root":
			want = append(want, fmt.Sprintf("new qdisc at %x on %s", uint32(id), s.Link))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("%s: what was planned (-) and done (+):\n%s", what, d[:min(len(d), 4000)])
	}
}

// plan runs bakery-replay plan --against live, which has to end with a code; -1: by what it says.
func (f *field) plan(what string, requests []golden.Request, code int, log string) plan.Plan {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "commands.jsonl")
	var text strings.Builder
	for _, r := range append(slices.Clone(requests), golden.Request{Name: "Ping"}) {
		text.WriteString(r.JSON() + "\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		f.t.Fatal(err)
	}
	got, out, diag := f.run(f.t, program(f.t, "bakery-replay"), "plan", log, "--commands", path, "--against", "live", "--config", f.config(), "--json")
	var p plan.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || len(p.Refused) > 0 || diag != "" {
		f.t.Fatalf("%s: exit code %d, %v, refused %v, %s", what, got, err, p.Refused, diag)
	}
	if code < 0 {
		code = min(len(p.Steps), 1)
	}
	if got != code {
		f.t.Errorf("%s: exit code %d, want %d", what, got, code)
	}
	return p
}
