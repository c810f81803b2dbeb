package bakery_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// stick has both directions on eth1.
var stick = bakery.Setup{DownLink: "eth1", UpLink: "eth1", DownMbps: 1000, UpMbps: 500,
	SQM: []string{"cake diffserv4"}, Queues: 2}

// mapTo maps an address to a class.
func mapTo(address, class string) bakery.MapIPToFlow {
	h, err := tc.ParseHandle(class)
	if err != nil {
		panic(err)
	}
	return bakery.MapIPToFlow{Address: address, Handle: uint32(h)}
}

func upload(m bakery.MapIPToFlow) bakery.MapIPToFlow { m.Upload = true; return m }

// forCircuit says whose the address is.
func forCircuit(m bakery.MapIPToFlow, id uint64) bakery.MapIPToFlow { m.CircuitID = &id; return m }

// claimNetwork has circuits 81 at 1:4 and 82 at 1:5, those of both links alike.
func claimNetwork() []bakery.Command {
	return []bakery.Command{bakery.MqSetup{}, circuit("eth1", "1:", "4", 81, 5), circuit("eth0", "1:", "4", 81, 5),
		circuit("eth1", "1:", "5", 82, 5), circuit("eth0", "1:", "5", 82, 5),
		lines("class add dev eth1 parent 1: classid 1:8 htb rate 1mbit", "class add dev eth0 parent 1: classid 1:9 htb rate 1mbit")}
}

func TestClaims(t *testing.T) {
	drop := func(class string) bakery.Command { return lines("class del dev eth1 classid " + class) }
	cases := []struct {
		name     string
		commands []bakery.Command
		want     string // why the last is refused; "" if it isn't
	}{
		{"a class that isn't there", []bakery.Command{mapTo("10.0.0.1", "1:99")}, "tc_handle 1:99: there is no such class on eth1"},
		{"whose class isn't there", []bakery.Command{forCircuit(mapTo("10.0.0.1", "1:99"), 7)}, "tc_handle 1:99: there is no such class on eth1, for circuit 7"},
		{"a class of the other link", []bakery.Command{mapTo("10.0.0.1", "1:9")}, "tc_handle 1:9: there is no such class on eth1"},
		{"an upload class of the other link", []bakery.Command{upload(mapTo("10.0.0.1", "1:8"))}, "tc_handle 1:8: there is no such class on eth0"},
		{"an upload class", []bakery.Command{upload(mapTo("10.0.0.1", "1:9"))}, ""},
		{"another circuit", []bakery.Command{mapTo("10.0.0.1", "1:4"), mapTo("10.0.0.1/32", "1:5")},
			`10.0.0.1/32 is mapped to 1:4 of circuit "CircuitID: 4" already, and 1:5 of circuit "CircuitID: 5" can't have it, too: DelIpFlow first, or ClearIpFlow`},
		{"another circuit by its id", []bakery.Command{forCircuit(mapTo("fd00::/56", "1:4"), 1), forCircuit(mapTo("fd00::/56", "1:5"), 2)},
			"fd00::/56 is mapped to 1:4 of circuit 1 already, and 1:5 of circuit 2 can't have it, too: DelIpFlow first, or ClearIpFlow"},
		{"a class that nobody named", []bakery.Command{mapTo("10.0.0.1", "1:8"), mapTo("10.0.0.1", "1:5")}, "10.0.0.1/32 is mapped to 1:8 already, and 1:5 of"},
		{"the same circuit", []bakery.Command{forCircuit(mapTo("10.0.0.1", "1:4"), 9), forCircuit(mapTo("10.0.0.1", "1:5"), 9)}, ""},
		{"an id that is the hash", []bakery.Command{mapTo("10.0.0.1", "1:4"), forCircuit(mapTo("10.0.0.1", "1:5"), 81)}, ""},
		{"an id of 0", []bakery.Command{mapTo("10.0.0.1", "1:4"), forCircuit(mapTo("10.0.0.1", "1:5"), 0)}, "is mapped to 1:4"},
		{"the same class", []bakery.Command{forCircuit(mapTo("10.0.0.1", "1:4"), 1), mapTo("10.0.0.1", "1:4")}, ""},
		{"the same class for another", []bakery.Command{forCircuit(mapTo("10.0.0.1", "1:4"), 1), forCircuit(mapTo("10.0.0.1", "1:4"), 2)},
			"10.0.0.1/32 is mapped to 1:4 of circuit 1 already, and 1:4 of circuit 2"},
		{"another length", []bakery.Command{mapTo("10.0.0.0/24", "1:4"), mapTo("10.0.0.0/25", "1:5")}, ""},
		{"the other direction", []bakery.Command{mapTo("10.0.0.1", "1:4"), upload(forCircuit(mapTo("10.0.0.1", "1:5"), 81))}, ""},
		{"the other direction for another", []bakery.Command{mapTo("10.0.0.1", "1:4"), upload(mapTo("10.0.0.1", "1:5"))},
			"10.0.0.1/32 is mapped to 1:4 of circuit"},
		{"the other direction, a class that nobody named", []bakery.Command{mapTo("10.0.0.1", "1:4"), upload(mapTo("10.0.0.1", "1:9"))}, ""},
		{"a class that has gone", []bakery.Command{mapTo("10.0.0.1", "1:4"), drop("1:4"), mapTo("10.0.0.1", "1:5")}, ""},
		{"after DelIpFlow", []bakery.Command{mapTo("10.0.0.1", "1:4"), bakery.DelIPFlow{Address: "10.0.0.1"}, mapTo("10.0.0.1", "1:5")}, ""},
		{"after a reset", append(append([]bakery.Command{mapTo("10.0.0.1", "1:4")}, claimNetwork()...), mapTo("10.0.0.1", "1:5")), ""},
		{"after a reset, twice", append(append([]bakery.Command{mapTo("10.0.0.1", "1:4")}, claimNetwork()...), mapTo("10.0.0.1", "1:4"), mapTo("10.0.0.1", "1:5")),
			"10.0.0.1/32 is mapped to 1:4"},
		{"after ClearIpFlow", []bakery.Command{mapTo("10.0.0.1", "1:4"), bakery.ClearIPFlow{}, mapTo("10.0.0.1", "1:5")}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			r.must(claimNetwork()...)
			before := r.tree().Seq
			out := r.submit(c.commands...)
			logged := len(out)
			for i, o := range out {
				got := ""
				if o.Err != nil {
					got = o.Err.Error()
					logged--
				}
				if last := i == len(out)-1; got != "" && (!last || c.want == "") || last && !strings.Contains(got, c.want) {
					t.Errorf("command %d: %q, want %q", i+1, got, c.want)
				}
			}
			if after := r.tree().Seq; int(after-before) != logged {
				t.Errorf("%d records were appended, want %d", after-before, logged)
			}
		})
	}
}

// TestClaimsWithoutLinks: while nobody knows which link has which role any class counts.
func TestClaimsWithoutLinks(t *testing.T) {
	r := newRig(t, bakery.Setup{Queues: 1})
	r.stop()
	s := twoLinks
	r.o.Setup = func() (bakery.Setup, error) { return s, nil }
	r.start()
	r.must(claimNetwork()...)
	s = bakery.Setup{Queues: 1}
	r.restart()
	r.must(mapTo("10.0.0.1", "1:9"), upload(mapTo("10.0.0.1", "1:8")))
	if out := r.submit(mapTo("10.0.0.2", "1:99")); out[0].Err == nil || out[0].Err.Error() != "tc_handle 1:99: there is no such class" {
		t.Error(out[0].Err)
	}
}

// TestMappingIsWhose: the id given, or the hash of the class of then, or the handle.
func TestMappingIsWhose(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(claimNetwork()...)
	r.must(circuit("eth0", "1:", "8", 80, 5), mapTo("10.0.0.1", "1:4"), upload(mapTo("10.0.0.1", "1:9")), forCircuit(mapTo("10.0.0.2", "1:4"), 7),
		mapTo("10.0.0.3", "1:8"), mapTo("10.0.0.4", "1:2"), upload(mapTo("10.0.0.5", "1:5")))
	r.must(circuit("eth1", "1:", "4", 99, 5), bakery.ClearPriorSettings{})
	want := map[string]uint64{"10.0.0.1/32": 81, "10.0.0.1/32 up": 0x10009, "10.0.0.2/32": 7, "10.0.0.3/32": 80, "10.0.0.4/32": 0x10002, "10.0.0.5/32 up": 82}
	if d := cmp.Diff(want, circuitsOf(r.tree())); d != "" {
		t.Error(d)
	}
}

func circuitsOf(tree *bakery.Tree) map[string]uint64 {
	circuits := map[string]uint64{}
	for m := range tree.Mappings {
		k := m.Prefix.String()
		if m.Upload {
			k += " up"
		}
		circuits[k] = m.Circuit
	}
	return circuits
}

// TestSteers: which mapping counts for which direction, and what waits for its class.
func TestSteers(t *testing.T) {
	mappings := []bakery.Command{mapTo("10.0.0.1", "1:4"), mapTo("10.0.0.3", "1:5"), mapTo("10.0.0.0/24", "1:8"), upload(forCircuit(mapTo("10.0.0.1", "1:5"), 81)),
		upload(mapTo("10.0.0.2", "1:9")), upload(mapTo("10.0.0.9", "1:4"))}
	for name, c := range map[string]struct {
		roles   bakery.Roles
		want    string
		waiting int
	}{
		"two links": {bakery.Roles{Down: "eth1", Up: "eth0"}, `
10.0.0.0/24 down → 1:8 cpu 0
10.0.0.1/32 down → 1:4 cpu 0
10.0.0.3/32 down → 1:5 cpu 0
10.0.0.1/32 up → 1:5 cpu 0
10.0.0.2/32 up → 1:9 cpu 0
10.0.0.3/32 up → 1:5 cpu 0
10.0.0.9/32 up → 1:4 cpu 0`, 1},
		"a stick": {bakery.Roles{Down: "eth1", Up: "eth1"}, `
10.0.0.0/24 down → 1:8 cpu 0
10.0.0.1/32 down → 1:4 cpu 0
10.0.0.3/32 down → 1:5 cpu 0
10.0.0.1/32 up → 1:5 cpu 0
10.0.0.9/32 up → 1:4 cpu 0`, 1},
		"no links": {bakery.Roles{}, "", 6},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			r.must(claimNetwork()...)
			r.must(mappings...)
			tree := r.tree()
			steers, waiting := tree.Steers(c.roles, func(link string, class tc.Handle) bool {
				_, ok := tree.State().Class(link, class)
				return ok
			})
			got := ""
			for _, s := range steers {
				got += "\n" + s.String()
			}
			if d := cmp.Diff(c.want, got); d != "" || waiting != c.waiting {
				t.Errorf("%d wait, want %d; steers: %s", waiting, c.waiting, d)
			}
		})
	}
}

// TestFirstSnapshot: a snapshot from before mappings had circuits is read, and its mappings
// get those that have the classes.
func TestFirstSnapshot(t *testing.T) {
	tree := bakery.NewTree()
	foldAll(t, tree, bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}}},
		circuit("eth1", "1:", "4", 81, 5), mapTo("10.0.0.1", "1:4"), forCircuit(upload(mapTo("10.0.0.1", "1:4")), 7), mapTo("fd00::/56", "1:77"),
		opaque("filter add dev eth1 matchall"))
	first := firstSnapshot(t, tree)
	old, err := bakery.DecodeSnapshot(first)
	if err != nil {
		t.Fatal(err)
	}
	if !old.Equal(tree) || !maps.Equal(circuitsOf(old), circuitsOf(tree)) {
		t.Errorf("mappings: %v, want %v", circuitsOf(old), circuitsOf(tree))
	}
	// What was another's then is told by the names of today, and is no difference.
	foldAll(t, tree, circuit("eth1", "1:", "4", 99, 5))
	if old, err = bakery.DecodeSnapshot(firstSnapshot(t, tree)); err != nil {
		t.Fatal(err)
	}
	if got := circuitsOf(old)["10.0.0.1/32"]; got != 99 || old.Hash() == tree.Hash() || !old.Equal(tree) || !tree.Equal(old) {
		t.Errorf("the mapping is of %d", got)
	}
	// Who goes on from it passes that on.
	if old, err = bakery.DecodeSnapshot(old.AppendSnapshot(nil)); err != nil {
		t.Fatal(err)
	}
	if !old.Equal(tree) || !tree.Equal(old) {
		t.Error("what was guessed counts after another snapshot")
	}
	foldAll(t, tree, bakery.DelIPFlow{Address: "10.0.0.1"})
	if old.Equal(tree) {
		t.Error("a mapping less is no difference")
	}
	first[0] = 0
	if _, err := bakery.DecodeSnapshot(first); err == nil {
		t.Error("version 0 was read")
	}
}

// firstSnapshot makes a snapshot of version 1: a mapping ends 9 bytes earlier.
func firstSnapshot(t *testing.T, tree *bakery.Tree) []byte {
	t.Helper()
	text := string(tree.AppendSnapshot(nil))
	for m := range tree.Mappings {
		ids := func(ids ...uint64) string {
			var b []byte
			for _, id := range ids {
				for i := range 8 {
					b = append(b, byte(id>>(8*i)))
				}
			}
			return string(b)
		}
		with := string([]byte{byte(m.CPU)}) + ids(m.CircuitID, m.DeviceID, m.Circuit) + string([]byte{byte(m.Generation)})
		if strings.Count(text, with) != 1 {
			t.Fatalf("the snapshot doesn't have the mapping of %s as expected", m.Prefix)
		}
		text = strings.Replace(text, with, with[:len(with)-9], 1)
	}
	return append([]byte{1}, text[1:]...)
}

// TestGoldenMappings: what a client maps after its trace is accepted, the second time as the
// first, and steers the same.
func TestGoldenMappings(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, setupOf(t, c))
			var first []tc.Steer
			for round := range 2 {
				for _, file := range []string{"trace.jsonl", "ip.jsonl"} {
					r.must(commandsOf(t, c, file)...)
				}
				tree := r.tree()
				roles := setupOf(t, c).Roles()
				steers, waiting := tree.Steers(roles, func(link string, class tc.Handle) bool {
					_, ok := tree.State().Class(link, class)
					return ok
				})
				if n := tree.MappingCount(); n == 0 || waiting > 0 || roles.Stick() && len(steers) != n || !roles.Stick() && len(steers) != 2*n {
					t.Errorf("%d mappings give %d steers, and %d wait", n, len(steers), waiting)
				}
				if round == 0 {
					first = steers
				} else if d := cmp.Diff(first, steers, cmp.Comparer(func(a, b tc.Steer) bool { return a == b })); d != "" {
					t.Error(d)
				}
			}
			for m := range r.tree().Mappings {
				if m.Circuit == uint64(m.Handle) {
					t.Errorf("nobody is named as the owner of %s", m.Prefix)
				}
			}
		})
	}
}
