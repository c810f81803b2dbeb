package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay/replaytest"
)

// place is where a member of a network is: the hash of its site, 0 for none, its class's minor, and its ceil.
type place struct {
	site  int64
	minor uint16
	ceil  float32
}

// network are sites and circuits by hash: sites from 1 on, circuits from 100 on.
type network map[int64]place

// drawNetwork makes a network. A site is in one of a lower hash, or in none.
func drawNetwork(t *rapid.T, label string) network {
	n := network{}
	minors := rapid.Permutation([]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 12}).Draw(t, label+" minors")
	add := func(hash int64, sites []int64) {
		if rapid.IntRange(0, 3).Draw(t, fmt.Sprint(label, " without ", hash)) > 0 {
			n[hash] = place{rapid.SampledFrom(sites).Draw(t, fmt.Sprint(label, " site of ", hash)), minors[len(n)],
				rapid.SampledFrom([]float32{10, 20}).Draw(t, fmt.Sprint(label, " ceil of ", hash))}
		}
	}
	sites := []int64{0}
	for hash := int64(1); hash <= 3; hash++ {
		add(hash, sites)
		if _, there := n[hash]; there {
			sites = append(sites, hash)
		}
	}
	for hash := int64(100); hash < 105; hash++ {
		add(hash, sites)
	}
	return n
}

// tree folds the network as one batch; on a stick both directions share a link.
func (n network) tree(t rapid.TB, stick bool) *bakery.Tree {
	setup, shift := replaytest.MqSetup(), uint32(0)
	if stick {
		setup.Up.Link, setup.Up.FirstMajor = "eth1", 2
		shift = 1
	}
	c := bakery.Commit{Setup: setup}
	for hash := int64(1); hash < 105; hash++ {
		p, there := n[hash]
		if !there {
			continue
		}
		parent := uint32(0x10000) | uint32(n[p.site].minor)
		up := parent + shift<<16
		rates := bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: p.ceil, UpMax: p.ceil}
		if hash < 100 {
			c.Members = append(c.Members, bakery.Member{Site: &bakery.AddSite{SiteHash: hash, Parent: parent, UpParent: up, Minor: p.minor, Bandwidths: rates}})
			continue
		}
		c.Members = append(c.Members, bakery.Member{Circuit: &bakery.AddCircuit{CircuitHash: hash, Parent: parent, UpParent: up, Minor: p.minor, Bandwidths: rates,
			Major: 1, UpMajor: uint16(1 + shift), Addresses: fmt.Sprintf("10.0.0.%d", hash)}})
	}
	tree := bakery.NewTree()
	if err := bakery.Fold(tree, bakery.Record{Seq: 1, Time: replaytest.Begin, Command: c}); err != nil {
		t.Fatal(err)
	}
	return tree
}

// expected are the totals of the way from a network to another, as hashes tell them.
func expected(from, to network) (n NetworkTotals) {
	for hash := int64(1); hash < 105; hash++ {
		a, was := from[hash]
		b, is := to[hash]
		change := ""
		switch {
		case !was && !is, was && is && a.site == b.site && a.minor == b.minor && a.ceil == b.ceil && from[a.site].minor == to[b.site].minor:
			continue
		case !was:
			change = "added"
		case !is:
			change = "removed"
		case a.site != b.site:
			change = "moved"
		}
		if hash < 100 {
			n.Sites.count(change)
		} else {
			n.Circuits.count(change)
		}
	}
	return n
}

// TestWhoMoved: whatever classes a client gives its sites and circuits, the totals are those of the sites and circuits.
func TestWhoMoved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawNetwork(t, "from"), drawNetwork(t, "to")
		stick := rapid.Bool().Draw(t, "stick")
		from, to := a.tree(t, stick), b.tree(t, stick)
		there, back := Compare(Side{"a", from}, Side{"b", to}), Compare(Side{"b", to}, Side{"a", from})
		if got, want := there.Network, expected(a, b); got != want {
			t.Errorf("%+v, want %+v\nfrom %v\nto %v", got, want, a, b)
		}
		if there.Totals != (Totals{Added: back.Totals.Removed, Removed: back.Totals.Added, Changed: back.Totals.Changed}) {
			t.Errorf("%v, and back %v", there.Totals, back.Totals)
		}
		// What the kernel would notice is told, of the class or of the one that moves.
		told := map[bakery.ClassRef]bool{}
		for _, d := range there.Differences {
			id, _ := tc.ParseHandle(d.WasID)
			told[bakery.ClassRef{Link: d.Link, ID: d.Class}], told[bakery.ClassRef{Link: d.Link, ID: id}] = true, true
		}
		for _, c := range tc.Diff(from.State(), to.State()) {
			if d := newDifference(c, NameOf(from, to)); !told[bakery.ClassRef{Link: d.Link, ID: d.Class}] {
				t.Errorf("nothing tells of %v", c)
			}
		}
		if same := there.Same(); same != (len(tc.Diff(from.State(), to.State())) == 0 && expected(a, b) == NetworkTotals{}) {
			t.Errorf("same is %v\nfrom %v\nto %v", same, a, b)
		}
	})
}

// TestMoves: what a move looks like.
func TestMoves(t *testing.T) {
	text := func(from, to network) string {
		var b strings.Builder
		fail := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		var trees [2]*bakery.Tree
		for i, n := range []network{from, to} {
			trees[i] = n.tree(t, false)
		}
		r, err := Compare(Side{"a", trees[0]}, Side{"b", trees[1]}).Select(Selection{Only: []Term{{"link", []string{"eth1"}}}})
		fail(err)
		fail(r.WriteText(&b, false))
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "    ") }), "\n")
	}
	for name, tc := range map[string]struct {
		from, to network
		want     string
	}{
		"two change places": {network{100: {0, 3, 10}, 101: {0, 4, 20}}, network{100: {0, 4, 10}, 101: {0, 3, 20}},
			"    ~ circuit 101  class 1:4 → 1:3  is numbered anew\n    ~ circuit 100  class 1:3 → 1:4  is numbered anew"},
		"another one in the same class": {network{100: {0, 3, 10}}, network{101: {0, 3, 10}},
			"    - circuit 100  class 1:3  rate 1mbit ceil 10mbit prio 3 quantum 125000\n    + circuit 101  class 1:3  rate 1mbit ceil 10mbit prio 3 quantum 125000\n" +
				"    - circuit 100  leaf of 1:3  handle c77d: cake diffserv4\n    + circuit 101  leaf of 1:3  handle c77d: cake diffserv4"},
		"a site moves, with what is in it": {network{1: {0, 3, 20}, 2: {0, 4, 20}, 100: {2, 5, 10}}, network{1: {0, 3, 20}, 2: {1, 4, 20}, 100: {2, 5, 10}},
			"    ~ site 2  class 1:4  moves from no site to site 1"},
		"a site is numbered anew": {network{1: {0, 3, 20}, 100: {1, 5, 10}}, network{1: {0, 4, 20}, 100: {1, 5, 10}},
			"    ~ site 1  class 1:3 → 1:4  is numbered anew\n    ~ circuit 100  class 1:5  parent 1:3 → 1:4"},
		"another site takes the place of its own": {network{1: {0, 3, 20}, 100: {1, 5, 10}}, network{2: {0, 3, 20}, 100: {2, 5, 10}},
			"    - site 1  class 1:3  rate 1mbit ceil 20mbit prio 3 quantum 250000\n    + site 2  class 1:3  rate 1mbit ceil 20mbit prio 3 quantum 250000\n" +
				"    ~ circuit 100  class 1:5  moves from site 1 to site 2"},
		"to another site, with another plan": {network{1: {0, 3, 20}, 2: {0, 4, 20}, 100: {1, 5, 10}}, network{1: {0, 3, 20}, 2: {0, 4, 20}, 100: {2, 6, 20}},
			"    ~ circuit 100  class 1:5 → 1:6  moves from site 1 to site 2, ceil 10mbit → 20mbit, quantum 125000 → 250000"},
	} {
		if got := text(tc.from, tc.to); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}
