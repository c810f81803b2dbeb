package bakery_test

import (
	"encoding/hex"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := bakery.Record{Seq: 5, Time: testTime, Sender: bakery.Sender{
			UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"), PID: rapid.Int32().Draw(t, "pid")},
			Command: genCommand(t)}
		payload := bakery.AppendRecord(nil, want)
		got, err := bakery.DecodeRecord(5, payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		for n := range payload {
			if _, err := bakery.DecodeRecord(5, payload[:n]); !errors.Is(err, eventlog.ErrCorrupt) {
				t.Fatalf("the first %d of %d bytes: %v", n, len(payload), err)
			}
		}
		if _, err := bakery.DecodeRecord(5, append(payload, 0)); !errors.Is(err, eventlog.ErrCorrupt) {
			t.Fatalf("a byte too many: %v", err)
		}
	})
}

func TestNewerRecord(t *testing.T) {
	payload := bakery.AppendRecord(nil, recordOf(bakery.NewTree(), bakery.ClearIPFlow{}))
	payload[0]++
	_, err := bakery.DecodeRecord(1, payload)
	if !errors.Is(err, eventlog.ErrNewerFormat) || errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("a record of the next version: %v", err)
	}
	payload[0]--
	payload[1] = 99
	if _, err := bakery.DecodeRecord(1, payload); !errors.Is(err, eventlog.ErrNewerFormat) || errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("a record of a kind to come: %v", err)
	}
	snapshot := bakery.NewTree().AppendSnapshot(nil)
	snapshot[0]++
	if _, err := bakery.DecodeSnapshot(snapshot); !errors.Is(err, eventlog.ErrNewerFormat) {
		t.Errorf("a snapshot of the next version: %v", err)
	}
}

// TestUnknownLeafRule: a rule for slow plans that nobody knows isn't taken for one that is.
func TestUnknownLeafRule(t *testing.T) {
	c := resolved(stateCircuit(81, "1:", 5, 1))
	c.Leaf.SlowRTT = bakery.SlowRTTUpTo + 1
	_, err := bakery.DecodeRecord(1, bakery.AppendRecord(nil, recordOf(bakery.NewTree(), c)))
	if err == nil || !strings.Contains(err.Error(), "unknown rule 2 for slow plans") {
		t.Errorf("the record: %v", err)
	}
}

// TestDocumentedRecord: the examples of docs/format.md are what the codec writes.
func TestDocumentedRecord(t *testing.T) {
	for name, c := range map[string]bakery.Command{
		"record": bakery.AddStructuralHTBClass{Link: "eth1", Parent: "0x1:", ClassID: "0x3", RateMbps: 1.5, CeilMbps: 1000, SiteHash: 42, R2Q: 2084},
		"commit": documentedCommit(),
		"speed":  documentedSpeed(),
	} {
		want := documented(t, name)
		r := bakery.Record{Seq: 1, Time: testTime, Sender: bakery.Sender{UID: 1000, GID: 100, PID: 7}, Command: c}
		payload := bakery.AppendRecord(nil, r)
		if got := hex.EncodeToString(payload); got != want {
			t.Errorf("%s: got  %s\nwant %s", name, got, want)
		}
		again, err := bakery.DecodeRecord(1, payload)
		if d := cmp.Diff(r, again); d != "" || err != nil {
			t.Errorf("%s is read as another: %v %s", name, err, d)
		}
	}
}

// documentedCommit is a site, and a circuit below it, on one queue per direction.
func documentedCommit() bakery.Commit {
	one, zero := 1, 0
	d := bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake diffserv4"}}
	up := d
	up.Link = "eth0"
	return bakery.Commit{Setup: bakery.MqSetup{QueuesAvailable: &one, StickOffset: &zero, Down: d, Up: up, R2Q: 2084},
		Leaf: bakery.LeafRule{FastMbps: 1000, SlowRTT: bakery.SlowRTTUpTo},
		Members: []bakery.Member{stateSite(42, "1:", 3, 100),
			stateCircuit(-1, "1:3", 4, 1.5, at("10.0.0.1"), sqm("cake"), func(c *bakery.AddCircuit) { name := "C1"; c.Name = &name })}}
}

func documentedSpeed() bakery.ChangeSiteSpeedLive {
	c := speed(42, 20, 40, 5, 10)
	c.R2Q = 2084
	c.Classes = []bakery.SiteClass{{Link: "eth0", Parent: tc.NewHandle(1, 0), ID: tc.NewHandle(1, 3), Upload: true},
		{Link: "eth1", Parent: tc.NewHandle(1, 0), ID: tc.NewHandle(1, 3)}}
	return c
}

// documented is the example of docs/format.md with this name, in hex.
func documented(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "<!-- "+name+" -->\n```\n")
	dump, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatalf("docs/format.md has no example of a %s", name)
	}
	return strings.Join(strings.Fields(dump), "")
}

// sameFloat takes NaN for itself.
func sameFloat[F float32 | float64](a, b F) bool { return a == b || a != a && b != b }

// TestCutSnapshot: no part of a snapshot passes for one, or makes the decoder panic.
func TestCutSnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := run(t, genCommands(t)).tree.AppendSnapshot(nil)
		for n := range b {
			if _, err := bakery.DecodeSnapshot(b[:n]); !errors.Is(err, eventlog.ErrCorrupt) {
				t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
			}
		}
	})
}

// TestDamagedBatch: a batch of a million members of which none can be read is read no further
// than the first.
func TestDamagedBatch(t *testing.T) {
	empty := bakery.AppendRecord(nil, recordOf(bakery.NewTree(), bakery.Commit{}))
	const million = 1 << 20
	damaged := append(empty[:len(empty)-1:len(empty)-1], 0x80, 0x80, 0x40) // a million in place of 0
	damaged = append(damaged, make([]byte, million)...)
	allocs := testing.AllocsPerRun(1, func() {
		if _, err := bakery.DecodeRecord(1, damaged); !errors.Is(err, eventlog.ErrCorrupt) {
			t.Errorf("decoding: %v", err)
		}
	})
	if allocs > 100 {
		t.Errorf("%v objects were made of it", allocs)
	}
}

// The record of a large batch is encoded into memory of about its size, which is made once.
func TestLargeRecordIsMadeAtOnce(t *testing.T) {
	c := largeCommit(t, 20)
	name, site, addresses := strings.Repeat("n", 40), strings.Repeat("long ", 40), "192.0.2.1,2001:db8::/64"
	for _, m := range c.Members {
		if m.Circuit != nil {
			m.Circuit.Name, m.Circuit.SiteName, m.Circuit.Addresses, m.Circuit.CircuitHash = &name, &site, addresses, math.MinInt64
		}
	}
	r := recordOf(bakery.NewTree(), c)
	var payload []byte
	allocs := testing.AllocsPerRun(1, func() { payload = bakery.AppendRecord(nil, r) })
	if room := float64(cap(payload)) / float64(len(payload)); room > 1.2 || allocs > 8 {
		t.Errorf("%.0f allocations, room for %.2f times as much", allocs, room)
	}
}
