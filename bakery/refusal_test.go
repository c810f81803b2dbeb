package bakery_test

import (
	"math"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

func site(link, parent, classID string, rate, ceil float64) bakery.AddStructuralHTBClass {
	return bakery.AddStructuralHTBClass{Link: link, Parent: parent, ClassID: classID, RateMbps: rate, CeilMbps: ceil, SiteHash: 42, R2Q: 10}
}

func circuit(link, parent, classID string, hash int64, ceil float64) bakery.AddCircuitHTBClass {
	name := "CircuitID: " + classID
	return bakery.AddCircuitHTBClass{Link: link, Parent: parent, ClassID: classID, RateMbps: 1, CeilMbps: ceil,
		CircuitHash: hash, Comment: &name, R2Q: 10}
}

func leaf(link string, major, minor uint32, words ...string) bakery.AddCircuitQdisc {
	return bakery.AddCircuitQdisc{Link: link, ParentMajor: major, ParentMinor: minor, CircuitHash: 7, SQM: words}
}

func lines(l ...string) bakery.ExecuteTCCommands { return bakery.ExecuteTCCommands{Lines: l} }

// opaque is a record of one line that was taken as opaque.
func opaque(line string) bakery.ExecuteTCCommands {
	return bakery.ExecuteTCCommands{Lines: []string{line}, Opaque: []int{0}}
}

// refusal is a command that is refused over the tree of TestRefusals.
type refusal struct {
	name    string
	command bakery.Command
	want    string // in the reason
}

func refusals() []refusal {
	two, off, long := 2, 9, strings.Repeat("x", 5000)
	return []refusal{
		{"unknown parent class", site("eth1", "1:99", "6", 1, 1), "1:99"},
		{"unknown parent qdisc", site("eth1", "9:", "6", 1, 1), "9:"},
		{"link that isn't managed", site("eth7", "1:", "6", 1, 1), "not managed"},
		{"link of 16 bytes", site("abcdefghijklmnop", "1:", "6", 1, 1), "not managed"},
		{"link with a control character", site("eth\n1", "1:", "6", 1, 1), "not managed"},
		{"negative rate", site("eth1", "1:", "6", -1, 1), "-1"},
		{"negative ceil", site("eth1", "1:", "6", 1, -1), "-1"},
		{"rate that is no number", site("eth1", "1:", "6", math.NaN(), 1), "NaN"},
		{"infinite ceil", site("eth1", "1:", "6", 1, math.Inf(1)), "Inf"},
		{"rate over 64 bits", site("eth1", "1:", "6", 1e300, 1), "1e+300"},
		{"minor over 16 bits", site("eth1", "1:", "10000", 1, 1), "10000"},
		{"minor 0", site("eth1", "1:", "0", 1, 1), "0"},
		{"another major than the parent's", site("eth1", "1:", "2:6", 1, 1), "2:6"},
		{"handle that is none", site("eth1", "one", "6", 1, 1), "one"},
		{"r2q 0", bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:", ClassID: "6", RateMbps: 1, CeilMbps: 1}, "r2q"},
		{"class below itself", site("eth1", "1:5", "3", 100, 100), "1:3"},
		{"leaf of an unknown class", leaf("eth1", 1, 0x99, "cake"), "1:99"},
		{"leaf of a class with classes", leaf("eth1", 1, 3, "cake"), "1:3"},
		{"leaf with a major over 16 bits", leaf("eth1", 0x10001, 4, "cake"), "10001"},
		{"leaf without words", leaf("eth1", 1, 4), "no qdisc"},
		{"leaf of an unknown kind", leaf("eth1", 1, 4, "sourdough"), "sourdough"},
		{"leaf with an unknown option", leaf("eth1", 1, 4, "cake", "raisins"), "raisins"},
		{"leaf with a second line", leaf("eth1", 1, 4, "cake\nqdisc del dev eth1 root"), "control"},
		{"leaf that holds classes", leaf("eth1", 1, 4, "htb"), "htb"},
		{"stick offset on two links", bakery.MqSetup{QueuesAvailable: &two, StickOffset: &off}, "stick_offset"},
		{"mapping of no address", bakery.MapIPToFlow{Address: "300.1.1.1", Handle: 0x10004}, "300.1.1.1"},
		{"mapping of a wrong prefix", bakery.MapIPToFlow{Address: "10.0.0.0/33", Handle: 0x10004}, "10.0.0.0/33"},
		{"mapping of a zone", bakery.MapIPToFlow{Address: "fe80::1%eth0", Handle: 0x10004}, "fe80"},
		{"mapping to a qdisc", bakery.MapIPToFlow{Address: "10.0.0.1", Handle: 0x10000}, "1:"},
		{"deletion of no address", bakery.DelIPFlow{Address: ""}, "address"},
		{"line with an unknown parent", lines("class add dev eth1 parent 1:99 classid 1:6 htb rate 1mbit"), "1:99"},
		{"line of an unknown object", lines("frobnicate the network"), "frobnicate"},
		{"line with an unknown option", lines("qdisc add dev eth1 parent 1:4 cake raisins"), "raisins"},
		{"line that adds what is there", lines("class add dev eth1 parent 1: classid 1:3 htb rate 1mbit"), "1:3"},
		{"line for another link", lines("qdisc add dev lo root pfifo"), "not managed"},
		{"opaque line for another link", lines("filter add dev lo parent 1: matchall"), "not managed"},
		{"line with a second line in it", lines("qdisc add dev eth1 parent 1:4 cake\nqdisc del dev eth1 root"), "control"},
		{"empty line", lines(" "), "empty"},
		{"line with a misspelt kind", lines("class add dev eth1 parent 1: classid 1:6 hbt rate 5mbit"), "hbt"},
		{"line with a misspelt qdisc", lines("qdisc add dev eth1 parent 1:4 caek diffserv4"), "caek"},
		{"comment of 5,000 bytes", bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:3", ClassID: "7", RateMbps: 1, CeilMbps: 1, R2Q: 10, Comment: &long}, "comment"},
		{"good line before a bad one", lines("qdisc add dev eth1 parent 1:4 cake", "nonsense"), "nonsense"},
	}
}

// TestRefusals: what can't be folded is refused with a reason, changes nothing and
// isn't logged.
func TestRefusals(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 100, 100), site("eth1", "1:3", "5", 50, 50), circuit("eth1", "1:3", "4", 9, 10))
	before := r.tree()
	written := r.sink.String()
	for _, tt := range refusals() {
		t.Run(tt.name, func(t *testing.T) {
			out := r.submit(tt.command)[0]
			if out.Err == nil {
				t.Fatalf("accepted as record %d", out.Seq)
			}
			if !strings.Contains(out.Err.Error(), tt.want) {
				t.Errorf("reason %q doesn't name %q", out.Err, tt.want)
			}
			if after := r.tree(); !after.Equal(before) {
				t.Errorf("the tree changed")
			}
		})
	}
	if r.sink.String() != written {
		t.Error("a refused command was written")
	}
	r.restart()
	if !r.tree().Equal(before) {
		t.Error("a refused command was logged")
	}
}

func TestForce(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 100, 100))
	e := lines("class add dev eth1 parent 1: classid 1:4 htb rate 1mbit", "nonsense", "tc  qdisc   add dev eth1 parent 1:4 pfifo",
		"class add dev eth1 parent 1:77 classid 1:5 htb rate 1mbit", "filter add dev eth1 parent 1: matchall classid 1:4")
	e.Force = true
	out := r.submit(e)[0]
	if out.Err != nil {
		t.Fatal(out.Err)
	}
	if len(out.Refused) != 2 || out.Refused[0].Line != 2 || out.Refused[1].Line != 4 {
		t.Errorf("refused %v, want lines 2 and 4", out.Refused)
	}
	want := "class add dev eth1 parent 1: classid 1:4 htb rate 1mbit\nqdisc add dev eth1 parent 1:4 pfifo\n" +
		"filter add dev eth1 parent 1: matchall classid 1:4\n"
	if !strings.HasSuffix(r.sink.String(), want) {
		t.Errorf("wrote %q", r.sink.String())
	}
	if o := r.tree().Opaque(); len(o) != 1 || o[0].Link != "eth1" {
		t.Errorf("opaque lines %v", o)
	}
	all := lines("nonsense")
	all.Force = true
	if r.submit(all)[0].Err == nil {
		t.Error("a batch of bad lines alone was accepted")
	}
}

// TestKey: a submission under a key is all or nothing, and harmless to repeat, also
// after a restart.
func TestKey(t *testing.T) {
	r := newRig(t, twoLinks)
	s := bakery.Submission{Key: "refresh-1", Commands: []bakery.Command{bakery.MqSetup{}, site("eth1", "1:", "3", 100, 100)}}
	first := r.submitAs(s)
	for range 2 {
		again := r.submitAs(s)
		for i := range again {
			if again[i].Err != nil || !again[i].Duplicate || again[i].Seq != first[i].Seq {
				t.Errorf("again: %+v, the first time: %+v", again[i], first[i])
			}
		}
		r.restart()
	}
	before := r.tree()
	bad := r.submitAs(bakery.Submission{Key: "refresh-2", Commands: []bakery.Command{
		site("eth1", "1:", "4", 1, 1), site("eth1", "9:", "4", 1, 1)}})
	if bad[0].Err == nil || bad[1].Err == nil {
		t.Errorf("half of a keyed session was accepted: %+v", bad)
	}
	if !r.tree().Equal(before) {
		t.Error("the refused session changed the tree")
	}
	if out := r.submit(site("eth1", "1:", "4", 1, 1))[0]; out.Err != nil || out.Seq != before.Seq+1 {
		t.Errorf("after the refusal: %+v, want Seq %d", out, before.Seq+1)
	}
}

// TestKeyOnItsWay: a session that is repeated before the first was answered isn't
// folded twice.
func TestKeyOnItsWay(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{})
	s := bakery.Submission{Key: "again", Commands: []bakery.Command{site("eth1", "1:", "3", 100, 100), site("eth1", "1:", "4", 100, 100)}}
	var tickets []*bakery.Ticket
	for range 50 {
		ticket, err := r.h.Submit(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	for i, ticket := range tickets {
		for k, o := range ticket.Wait() {
			if o.Err != nil || o.Seq != eventlog.Seq(2+k) || o.Duplicate != (i > 0) {
				t.Fatalf("repetition %d, command %d: %+v", i, k, o)
			}
		}
	}
	if seq := r.tree().Seq; seq != 3 {
		t.Errorf("the log ends at %d, want 3", seq)
	}
	long := r.submitAs(bakery.Submission{Key: strings.Repeat("k", eventlog.MaxKey+1), Commands: s.Commands})
	if long[0].Err == nil || r.tree().Seq != 3 {
		t.Errorf("a key that is too long: %+v", long)
	}
}

// TestKeyOfAnother: a key that another session has used is refused, not answered as if.
func TestKeyOfAnother(t *testing.T) {
	r := newRig(t, twoLinks)
	r.submitAs(bakery.Submission{Key: "k", Commands: []bakery.Command{bakery.MqSetup{}}})
	for _, o := range r.submitAs(bakery.Submission{Key: "k", Commands: []bakery.Command{
		site("eth1", "1:", "3", 1, 1), site("eth1", "1:", "4", 1, 1)}}) {
		if o.Err == nil || !strings.Contains(o.Err.Error(), "another session") {
			t.Errorf("%+v", o)
		}
	}
}

// TestLinksOfTheTree: a configuration that names other links, and a refused MqSetup,
// don't take the tree's links away; ClearPriorSettings deletes their roots.
func TestLinksOfTheTree(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{})
	r.stop()
	other := bakery.Setup{DownLink: "wan1", UpLink: "wan0", DownMbps: 10, UpMbps: 10, SQM: []string{"cake"}, Queues: 0}
	r.o.Setup = func() (bakery.Setup, error) { return other, nil }
	r.start()
	if out := r.submit(bakery.MqSetup{})[0]; out.Err == nil {
		t.Fatal("a setup without queues was accepted")
	}
	r.must(site("eth1", "1:", "3", 1, 1), bakery.ClearPriorSettings{}, bakery.ClearPriorSettings{})
	if got := r.sink.String(); !strings.HasSuffix(got, "qdisc delete dev eth1 root\nqdisc delete dev eth0 root\n") {
		t.Errorf("wrote %q", got)
	}
}

// TestRootByHandle: a root that is replaced by its handle alone is a reset too.
func TestRootByHandle(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, circuit("eth1", "1:", "3", 9, 10), lines("filter add dev eth1 matchall"))
	before := r.tree()
	r.must(lines("qdisc replace dev eth1 handle 7fff: mq"))
	after := r.tree()
	if after.Generation != before.Generation+1 || after.Circuits() != 0 || len(after.Opaque()) != 0 {
		t.Errorf("generation %d after %d, %d circuits, %d opaque lines", after.Generation, before.Generation, after.Circuits(), len(after.Opaque()))
	}
}

// TestTwiceTC: how often a line says "tc" makes no difference, neither live nor in the
// log.
func TestTwiceTC(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(lines("tc tc filter add dev eth1 matchall", "tc tc qdisc replace dev eth1 root handle 7fff: mq"))
	live := r.tree()
	r.restart()
	if !r.tree().Equal(live) {
		t.Error("replay differs from the live fold")
	}
}

// TestFoldScript: a file of lines may say a class twice, as tc-rust.txt does after an
// update.
func TestFoldScript(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 100, 100), site("eth1", "1:", "3", 200, 200), leaf("eth1", 1, 3, "cake"), leaf("eth1", 1, 3, "cake", "nat"))
	tree, refused := bakery.FoldScript("# comment\n\n" + r.sink.String() + "nonsense # here\n")
	if diffs := tc.Diff(tree.State(), r.tree().State()); len(diffs) > 0 {
		t.Errorf("%d differences, the first: %v", len(diffs), diffs[0])
	}
	if len(refused) != 1 || refused[0].Line != 3+strings.Count(r.sink.String(), "\n") {
		t.Errorf("refused %v", refused)
	}
}

// TestSinkFails: the command is durable and acknowledged, Health tells, and the
// lines come once the Sink works again.
func TestSinkFails(t *testing.T) {
	r := newRig(t, twoLinks)
	r.sink.fail(errDisk)
	r.must(bakery.MqSetup{})
	r.must(site("eth1", "1:", "3", 100, 100))
	if h := r.h.Health(); h.Sink == nil {
		t.Error("Health tells nothing")
	}
	r.sink.fail(nil)
	r.must(site("eth1", "1:", "4", 100, 100))
	if h := r.h.Health(); h.Sink != nil {
		t.Errorf("Health still tells %v", h.Sink)
	}
	got := r.sink.String()
	if n := strings.Count(got, "\n"); n != 2+2*2*5+2 {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

func TestStopped(t *testing.T) {
	r := newRig(t, twoLinks)
	r.stop()
	if _, err := r.h.Submit(t.Context(), bakery.Submission{}); err != bakery.ErrStopped {
		t.Errorf("Submit after the end: %v", err)
	}
	if _, err := r.h.Tree(t.Context()); err != bakery.ErrStopped {
		t.Errorf("Tree after the end: %v", err)
	}
}
