package bakery_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/internal/golden"
)

const goldenDir = "../testdata/golden"

// setupOf is the Setup that the daemon makes of a recorded configuration.
func setupOf(t testing.TB, c golden.Case) bakery.Setup {
	t.Helper()
	conf, err := c.Config(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := bakery.Setup{DownMbps: conf.Queues.DownlinkMbps, UpMbps: conf.Queues.UplinkMbps,
		SQM: []string{conf.Queues.DefaultSQM}, Queues: *conf.Queues.OverrideAvailableQueues}
	if conf.SingleInterface != nil {
		s.DownLink, s.UpLink = conf.SingleInterface.Interface, conf.SingleInterface.Interface
		s.Queues /= 2
	} else {
		s.DownLink, s.UpLink = conf.Bridge.ToNetwork, conf.Bridge.ToInternet
	}
	return s
}

func commandOf(t testing.TB, r golden.Request) bakery.Command {
	t.Helper()
	c, err := bakery.DecodeCommand(r.Name, r.Args != nil, func(v any) error { return json.Unmarshal(r.Args, v) })
	if err != nil {
		t.Fatalf("decoding %s: %v", r.JSON(), err)
	}
	return c
}

func goldenCases(t testing.TB) []golden.Case {
	t.Helper()
	cases, err := golden.Cases(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

// play submits a recorded trace and gives the lines that the Sink got, and the
// handle of the bakery.
func play(t testing.TB, c golden.Case, file string) (string, *rig) {
	t.Helper()
	r := newRig(t, setupOf(t, c))
	commands := commandsOf(t, c, file)
	for i, o := range r.submit(commands...) {
		if o.Err != nil {
			t.Fatalf("command %d, %v: %v", i+1, commands[i].Kind(), o.Err)
		}
	}
	return r.sink.String(), r
}

// commandsOf are those of a recording.
func commandsOf(t testing.TB, c golden.Case, file string) []bakery.Command {
	t.Helper()
	trace, err := c.Trace(file)
	if err != nil {
		t.Fatal(err)
	}
	commands := make([]bakery.Command, len(trace))
	for i, req := range trace {
		commands[i] = commandOf(t, req)
	}
	return commands
}

func TestGoldenTrace(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			got, r := play(t, c, "trace.jsonl")
			if err := c.Check(got); err != nil {
				t.Error(err)
			}
			checkStateIs(t, r.tree(), c)
		})
	}
}

func TestGoldenBulk(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			got, r := play(t, c, "trace-bulk.jsonl")
			want, err := c.Lines()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Error(diff)
			}
			checkStateIs(t, r.tree(), c)
		})
	}
}

// checkStateIs compares a Tree with what the client's own lines build, leaf handles
// aside.
func checkStateIs(t *testing.T, tree *bakery.Tree, c golden.Case) {
	t.Helper()
	lines, err := c.Lines()
	if err != nil {
		t.Fatal(err)
	}
	want, bad, err := tc.ParseScript(strings.NewReader(strings.NewReplacer("rate 0kbit", "rate 10kbit", "ceil 0kbit", "ceil 10kbit").Replace(lines)))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if diffs := tc.Diff(tree.State(), want); len(diffs) > 0 {
		t.Errorf("%d differences, the first: %v", len(diffs), diffs[0])
	}
}

// TestSlowSites: what clients send for sites slower than they can say is programmed as
// 10 kbit/s, rendered as it was sent, and told as a warning.
func TestSlowSites(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 0, 0.005), lines("class add dev eth1 parent 1: classid 1:4 htb rate 0kbit ceil 5kbit"))
	if got := r.sink.String(); !strings.HasSuffix(got, "classid 3 htb rate 0kbit ceil 5kbit prio 3 quantum 1522\nclass add dev eth1 parent 1: classid 1:4 htb rate 0kbit ceil 5kbit\n") {
		t.Errorf("rendered %q", got)
	}
	tree := r.tree()
	for minor := uint16(3); minor <= 4; minor++ {
		id := tc.NewHandle(1, minor)
		class, _ := tree.State().Class("eth1", id)
		if class.HTB.Rate != bakery.MinRate || class.HTB.Ceil != bakery.MinRate {
			t.Errorf("%s is programmed with rate %s ceil %s", id, class.HTB.Rate, class.HTB.Ceil)
		}
		if n, _ := tree.Note("eth1", id); n.AskedMbps == nil || *n.AskedMbps != [2]float64{0, 0.005} {
			t.Errorf("%s: the note says %v was asked", id, n.AskedMbps)
		}
	}
}

// TestGoldenNames checks that the classes which the client sent a second time as tc
// lines are still known by the names of the first.
func TestGoldenNames(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			_, r := play(t, c, "trace.jsonl")
			trace, err := c.Trace("trace.jsonl")
			if err != nil {
				t.Fatal(err)
			}
			hashes := map[int64]bool{}
			for _, req := range trace {
				if a, ok := commandOf(t, req).(bakery.AddCircuitHTBClass); ok {
					hashes[a.CircuitHash] = true
				}
			}
			if got := r.tree().Circuits(); got != len(hashes) {
				t.Errorf("%d circuits, want %d", got, len(hashes))
			}
		})
	}
}

// TestGoldenRefresh plays a trace twice: the tree of the second time is the tree of
// the first, leaf handles included, so that a kernel would have nothing to do.
func TestGoldenRefresh(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			_, r := play(t, c, "trace.jsonl")
			first := r.tree()
			r.must(commandsOf(t, c, "trace.jsonl")...)
			if diffs := tc.Diff(first.State(), r.tree().State()); len(diffs) > 0 {
				t.Errorf("%d differences, the first: %v", len(diffs), diffs[0])
			}
		})
	}
}

// TestNumberFormat checks rates and quanta at the edges against what the client
// writes.
func TestNumberFormat(t *testing.T) {
	data, err := os.ReadFile(goldenDir + "/number-format.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(data)), "\n")[1:]
	if len(rows) < 100 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		f := strings.Split(row, "\t")
		mbps, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		r2q, err := strconv.ParseUint(f[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		c := bakery.AddStructuralHTBClass{Link: "eth1", Parent: "0x1:", ClassID: "0x3", RateMbps: mbps, CeilMbps: mbps, R2Q: r2q}
		got := string(bakery.AppendLines(nil, c, bakery.RatesAsClient))
		want := "class add dev eth1 parent 0x1: classid 0x3 htb rate " + f[2] + " ceil " + f[2] + " prio 3 quantum " + f[4] + "\n"
		if got != want {
			t.Errorf("%s Mbit/s, r2q %s: got %q, want %q", f[0], f[1], got, want)
		}
	}
}

var testTime = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// foldAll folds commands that are resolved already.
func foldAll(t testing.TB, tree *bakery.Tree, commands ...bakery.Command) {
	t.Helper()
	for _, c := range commands {
		if err := bakery.Fold(tree, recordOf(tree, c)); err != nil {
			t.Fatal(err)
		}
	}
}

func recordOf(tree *bakery.Tree, c bakery.Command) bakery.Record {
	return bakery.Record{Seq: tree.Seq + 1, Time: testTime, Sender: bakery.Sender{UID: 0, PID: 7}, Command: c}
}

// log opens an event log in dir.
func openLog(dir string) (bakery.Log, error) {
	return eventlog.Open(dir, eventlog.Options{SegmentBytes: 1 << 20, Clock: time.Now})
}
