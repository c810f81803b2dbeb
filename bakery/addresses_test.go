package bakery_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
)

// mapped wants these mappings, one a line.
func (r *rig) mappedAre(want ...string) {
	r.t.Helper()
	got := []string{}
	for m := range r.tree().Mappings {
		way, by := "down", ""
		if m.Upload {
			way = "up"
		}
		if m.Stated {
			by = " stated"
		}
		if m.CircuitID != 0 || m.DeviceID != 0 {
			by += fmt.Sprintf(" ids %d %d", m.CircuitID, m.DeviceID)
		}
		got = append(got, fmt.Sprintf("%s %s → %s cpu %d of %d%s", m.Prefix, way, m.Handle, m.CPU, m.Circuit, by))
	}
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
		r.t.Errorf("mappings: %s", d)
	}
}

// withIDs is a mapping as clients of the second generation send it.
func withIDs(m bakery.MapIPToFlow, circuit, device uint64, cpu uint32) bakery.MapIPToFlow {
	m.CircuitID, m.DeviceID, m.CPU = &circuit, &device, cpu
	return m
}

// TestStatedAddresses: a commit maps the addresses of its circuits, and no others.
func TestStatedAddresses(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	all := []string{"10.0.0.5/32 down → 1:5 cpu 0 of 81 stated", "10.0.0.6/32 down → 1:6 cpu 0 of 82 stated", "fd00:6::/56 down → 1:6 cpu 0 of 82 stated"}
	r.mappedAre(all...)
	r.must(commitOf(t, smallBatch()...))
	r.mappedAre(all...)
	less := smallBatch()
	less[3].Circuit.Addresses = " ,fd00:6::/56,, 10.0.0.7 ,10.0.0.7/32,"
	r.must(commitOf(t, less...))
	r.mappedAre(all[0], "10.0.0.7/32 down → 1:6 cpu 0 of 82 stated", all[2])
	r.must(commitOf(t, smallBatch()[:3]...))
	r.mappedAre(all[0])
	r.restart()
	r.mappedAre(all[0])
	r.must(commitOf(t, stateSite(71, "1:", 3, 100), stateCircuit(81, "1:3", 5, 10))) // it lists none any more
	r.mappedAre()
	r.must(commitOf(t, smallBatch()...), commitOf(t))
	r.mappedAre()
}

// TestStatedDirections: the upload has mappings of its own where its class is another one, and
// on a stick.
func TestStatedDirections(t *testing.T) {
	r := newRig(t, twoLinks)
	up := func(c *bakery.AddCircuit) { c.UpParent, c.UpMajor = handle("2:"), 2 }
	r.must(commitOf(t, stateCircuit(81, "1:", 5, 1, at("10.0.0.5"), up)))
	r.mappedAre("10.0.0.5/32 down → 1:5 cpu 0 of 81 stated", "10.0.0.5/32 up → 2:5 cpu 1 of 81 stated")
	r.must(commitOf(t, stateCircuit(81, "2:", 5, 1, at("10.0.0.5")))) // the upload is where it was
	r.mappedAre("10.0.0.5/32 down → 2:5 cpu 1 of 81 stated")

	r = newRig(t, stick)
	r.must(commitOf(t, onStick(smallBatch()[:3])...))
	r.mappedAre("10.0.0.5/32 down → 1:5 cpu 0 of 81 stated", "10.0.0.5/32 up → 3:5 cpu 2 of 81 stated")
}

// TestStatedKeepsIDs: what a client told of an address stays while its circuit has it in the
// same class.
func TestStatedKeepsIDs(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()[:3]...), withIDs(mapTo("10.0.0.5", "1:5"), 7, 8, 3))
	told := "10.0.0.5/32 down → 1:5 cpu 3 of 7"
	r.mappedAre(told + " ids 7 8")
	r.must(commitOf(t, smallBatch()[:3]...))
	r.mappedAre(told + " stated ids 7 8")
	r.must(commitOf(t, smallBatch()[:3]...))
	r.mappedAre(told + " stated ids 7 8")
	r.must(commitOf(t, stateCircuit(81, "2:", 5, 1, at("10.0.0.5")))) // in another class
	r.mappedAre("10.0.0.5/32 down → 2:5 cpu 1 of 81 stated")
	r.must(withIDs(mapTo("10.0.0.5", "2:5"), 7, 8, 3), commitOf(t, stateCircuit(81, "2:", 5, 1)))
	r.mappedAre("10.0.0.5/32 down → 2:5 cpu 3 of 7 ids 7 8") // the client's own again, of a circuit that lists none
	r.must(commitOf(t, stateCircuit(82, "2:", 5, 1, at("10.0.0.5"))))
	r.mappedAre("10.0.0.5/32 down → 2:5 cpu 1 of 82 stated") // the class is another circuit's
}

// TestExplicitMappings: what a client mapped by itself stays while its circuit is there and lists no
// addresses, and moves with it; nobody else's list has it.
func TestExplicitMappings(t *testing.T) {
	bare := func() []bakery.Member {
		return []bakery.Member{stateSite(71, "1:", 3, 100), stateCircuit(81, "1:3", 5, 10), stateCircuit(82, "1:3", 6, 20)}
	}
	mine := []bakery.Command{mapTo("10.1.0.5", "1:5"), upload(mapTo("10.1.0.5", "1:5")), withIDs(mapTo("10.1.0.6", "1:6"), 7, 8, 3),
		mapTo("10.1.0.3", "1:3")}
	three, five, six := "10.1.0.3/32 down → 1:3 cpu 0 of 71", "10.1.0.5/32 down → 1:5 cpu 0 of 81", "10.1.0.6/32 down → 1:6 cpu 3 of 7 ids 7 8"
	fiveUp := "10.1.0.5/32 up → 1:5 cpu 0 of 81"
	for name, tt := range map[string]struct {
		members []bakery.Member
		want    []string
	}{
		"the same":         {bare(), []string{three, five, six, fiveUp}},
		"gone":             {bare()[:2], []string{three, five, fiveUp}},
		"lists another":    {append(bare()[:2], stateCircuit(82, "1:3", 6, 1, at("10.2.0.6"))), []string{three, five, "10.2.0.6/32 down → 1:6 cpu 0 of 82 stated", fiveUp}},
		"in another class": {append(bare()[:2], stateCircuit(82, "1:3", 9, 1)), []string{three, five, "10.1.0.6/32 down → 1:9 cpu 3 of 7 ids 7 8", fiveUp}},
		"in another queue": {append(bare()[:2], stateCircuit(82, "2:", 6, 1)), []string{three, five, "10.1.0.6/32 down → 2:6 cpu 1 of 7 ids 7 8", fiveUp}},
		"a reused minor":   {append(bare()[:2], stateCircuit(83, "1:3", 6, 1)), []string{three, five, fiveUp}},
		"two that changed": {append(bare()[:1], stateCircuit(82, "1:3", 5, 1), stateCircuit(81, "1:3", 6, 1)),
			[]string{three, "10.1.0.5/32 down → 1:6 cpu 0 of 81", "10.1.0.6/32 down → 1:5 cpu 3 of 7 ids 7 8", "10.1.0.5/32 up → 1:6 cpu 0 of 81"}},
		"a site of its id":         {append(bare()[:2], stateSite(82, "1:3", 6, 1)), []string{three, five, fiveUp}},
		"a circuit of a site's id": {[]bakery.Member{stateCircuit(71, "1:", 3, 1), stateCircuit(81, "1:", 5, 10)}, []string{five, fiveUp}},
		"another has it":           {append(bare()[:2], stateCircuit(82, "1:3", 6, 1, at("10.1.0.5"))), []string{three, "10.1.0.5/32 down → 1:6 cpu 0 of 82 stated"}},
		"the upload is new": {append(bare()[:1], stateCircuit(81, "1:3", 5, 1, func(c *bakery.AddCircuit) { c.UpMajor, c.UpParent = 2, handle("2:") })),
			[]string{three, five, "10.1.0.5/32 up → 2:5 cpu 1 of 81"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			r.must(commitOf(t, bare()...))
			r.must(mine...)
			r.must(commitOf(t, tt.members...))
			r.mappedAre(tt.want...)
			r.must(commitOf(t, tt.members...))
			r.mappedAre(tt.want...)
		})
	}
}

// TestStatedAgainstExplicit: an address that a batch states is its circuit's in both directions, whatever a client mapped before.
func TestStatedAgainstExplicit(t *testing.T) {
	r := newRig(t, twoLinks)
	bare := stateCircuit(81, "1:", 5, 1)
	r.must(commitOf(t, bare, stateCircuit(82, "1:", 6, 1)))
	r.must(mapTo("10.0.0.5", "1:5"), upload(mapTo("10.0.0.5", "1:5")), upload(mapTo("10.0.0.6", "1:5")))
	r.must(commitOf(t, bare, stateCircuit(82, "1:", 6, 1, at("10.0.0.5"))))
	r.mappedAre("10.0.0.5/32 down → 1:6 cpu 0 of 82 stated", "10.0.0.6/32 up → 1:5 cpu 0 of 81")
}

// TestMappingsAcrossGenerations: a commit after clients of the first generation keeps what they
// mapped of circuits that stay, and takes nobody's address for another.
func TestMappingsAcrossGenerations(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, circuit("eth1", "1:", "5", 81, 5), circuit("eth1", "1:", "6", 82, 5))
	r.must(mapTo("10.0.0.5", "1:5"), mapTo("10.0.0.6", "1:6"), bakery.ClearPriorSettings{})
	r.must(commitOf(t, stateCircuit(81, "1:", 5, 1), stateCircuit(83, "1:", 6, 1)))
	r.mappedAre("10.0.0.5/32 down → 1:5 cpu 0 of 81")
}

// TestClaimsAfterCommit: a stated address is taken, but for who has the circuit.
func TestClaimsAfterCommit(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	for _, tt := range []struct {
		name string
		m    bakery.MapIPToFlow
		want string
	}{
		{"another circuit", mapTo("10.0.0.5", "1:6"), `10.0.0.5/32 is mapped to 1:5 of circuit "C81" already, and 1:6 of circuit "C82" can't have it, too`},
		{"another circuit by id", forCircuit(mapTo("10.0.0.5", "1:6"), 9), "is mapped to 1:5"},
		{"its upload for another", upload(mapTo("10.0.0.5", "1:6")), "is mapped to 1:5"},
		{"a class that isn't", mapTo("10.0.0.5", "1:9"), "there is no such class"},
		{"its own circuit", mapTo("10.0.0.5", "1:5"), ""},
		{"its own circuit by id", forCircuit(mapTo("10.0.0.5", "1:5"), 9), ""},
		{"another of its circuit", mapTo("10.0.0.55", "1:5"), ""},
		{"its upload for the same", upload(mapTo("10.0.0.6", "1:6")), ""},
	} {
		err := r.submit(tt.m)[0].Err
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	r.must(commitOf(t, smallBatch()[:3]...)) // 10.0.0.6 is free
	r.must(mapTo("10.0.0.6", "1:5"))
	r.must(commitOf(t, smallBatch()...)) // and belongs to whom the batch says
	if got := circuitsOf(r.tree())["10.0.0.6/32"]; got != 82 {
		t.Errorf("10.0.0.6 is %d's: %v", got, circuitsOf(r.tree()))
	}
}

// TestCommitOverFirstSnapshot: mappings that a commit keeps are still told apart from what a
// full replay knows; those that it makes aren't.
func TestCommitOverFirstSnapshot(t *testing.T) {
	tree := bakery.NewTree()
	foldAll(t, tree, resolved(stateCircuit(81, "1:", 5, 1)), forCircuit(mapTo("10.0.0.5", "1:5"), 7))
	old, err := bakery.DecodeSnapshot(firstSnapshot(t, tree))
	if err != nil {
		t.Fatal(err)
	}
	keeps := resolved(stateCircuit(81, "1:", 5, 1))
	foldAll(t, tree, keeps)
	foldAll(t, old, keeps)
	if !old.Equal(tree) {
		t.Error("snapshot and tail differ from the full replay")
	}
	anew := resolved(stateCircuit(81, "1:", 5, 1, at("10.0.0.9")))
	foldAll(t, tree, anew)
	foldAll(t, old, anew)
	if old.Hash() != tree.Hash() {
		t.Error("nothing of the old snapshot is left, and the hashes differ")
	}
}
