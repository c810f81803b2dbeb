package diff

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/internal/golden"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

var update = flag.Bool("update", false, "write the goldens anew")

// recordedBatch is the network that a recorded client stated.
func recordedBatch(t testing.TB, name string, edit func(*bakery.Member) (keep bool), more ...bakery.Member) bakery.Commit {
	t.Helper()
	trace, err := golden.Case{Name: name, Dir: filepath.Join("../../testdata/golden", name)}.Trace("trace-head.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	b := bakery.NewBatch()
	add := func(m bakery.Member) {
		if edit != nil && !edit(&m) {
			return
		}
		if err := b.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range trace {
		switch r.Name {
		case "BakeryAddSite":
			add(bakery.Member{Site: decode[bakery.AddSite](t, r.Args)})
		case "BakeryAddCircuit":
			add(bakery.Member{Circuit: decode[bakery.AddCircuit](t, r.Args)})
		}
	}
	for _, m := range more {
		add(m)
	}
	c, ok := b.Commit().(bakery.Commit)
	if !ok {
		t.Fatal("the batch is refused")
	}
	d := bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 4, CapacityMbps: 5000, SQM: []string{"cake", "diffserv4"}}
	up := d
	up.Link = "eth0"
	c.Setup, c.Leaf = bakery.MqSetup{Down: d, Up: up, R2Q: 10417}, bakery.LeafRule{FastMbps: 1000}
	return c
}

func decode[T any](t testing.TB, b []byte) *T {
	t.Helper()
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

// busyDay is a recorded network, and the same one a day later: a plan was changed, a customer has moved to another
// site and one is gone, and there is a new site with its first customer.
func busyDay(t testing.TB) []bakery.Command {
	site, circuit := "Kirchturm <Süd>", "Müller & Söhne \"Café\" `1`"
	more := []bakery.Member{
		{Site: &bakery.AddSite{SiteHash: 4711, Parent: 0x30004, UpParent: 0x30004, Minor: 0x70, Bandwidths: bakery.Bandwidths{DownMin: 50, UpMin: 50, DownMax: 100, UpMax: 100}}},
		{Circuit: &bakery.AddCircuit{CircuitHash: 4712, Name: &circuit, SiteName: &site, Parent: 0x30070, UpParent: 0x30070, Minor: 0x71,
			Bandwidths: bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: 50, UpMax: 10}, Major: 3, UpMajor: 3, Addresses: "100.64.200.1,fdd7:b724:0:9900::/56"}},
	}
	edit := func(m *bakery.Member) bool {
		c := m.Circuit
		if c == nil {
			return true
		}
		switch *c.Name {
		case "c-11":
			c.DownMax, c.UpMax = 25, 5
		case "c-1":
			name := "S AP 2"
			c.SiteName, c.Parent, c.UpParent, c.Major, c.UpMajor = &name, 0x30009, 0x30009, 3, 3
		}
		return *c.Name != "c-5"
	}
	return []bakery.Command{recordedBatch(t, "tree3_frac", nil), recordedBatch(t, "tree3_frac", edit, more...)}
}

// TestDiffGoldens compares every format with its golden, for a busy day and for a quiet one.
func TestDiffGoldens(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, busyDay(t)))
	for name, r := range map[string]Report{"busy": compare(t, s, 1, 2), "same": compare(t, s, 2, 2), "back": compare(t, s, 2, 1)} {
		for _, format := range Formats {
			if name == "back" && format != "text" {
				continue
			}
			var got bytes.Buffer
			if err := r.Write(&got, format, false); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "diff", name+"."+format)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
			checkFormat(t, format, got.Bytes())
		}
	}
}
