package bakery_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Small ranges, so that commands meet: the same classes, parents that move, resets.
var (
	genLink   = rapid.SampledFrom([]string{"eth0", "eth1"})
	genMinor  = rapid.IntRange(1, 9)
	genMbps   = rapid.OneOf(rapid.SampledFrom([]float64{0, 0.001, 0.5, 1, 999.95, 1234.56}), rapid.Float64Range(0, 1e5))
	genPrefix = rapid.SampledFrom([]string{"100.64.0.1", "100.64.0.0/24", "fdd7::/56", "::ffff:1.2.3.4", "10.1.2.3/8"})
	genWords  = rapid.SampledFrom([][]string{{"cake", "diffserv4"}, {"cake", "diffserv4", "rtt", "300"}, {"fq_codel"}, {"pfifo", "limit", "10"}})
)

func genParent(t *rapid.T) string {
	if rapid.Bool().Draw(t, "below the qdisc") {
		return fmt.Sprintf("0x%x:", rapid.IntRange(1, 4).Draw(t, "major"))
	}
	return fmt.Sprintf("%x:0x%x", rapid.IntRange(1, 4).Draw(t, "major"), genMinor.Draw(t, "parent minor"))
}

func genCommand(t *rapid.T) bakery.Command {
	link := genLink.Draw(t, "link")
	major, minor := rapid.IntRange(1, 4).Draw(t, "major"), genMinor.Draw(t, "minor")
	switch rapid.IntRange(0, 16).Draw(t, "kind") {
	case 0:
		return bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}}
	case 1:
		up, first := "eth0", uint16(1)
		if rapid.Bool().Draw(t, "stick") {
			up, first = "eth1", 3
		}
		return bakery.MqSetup{R2Q: 100,
			Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: genMbps.Draw(t, "down"), SQM: []string{"cake"}},
			Up:   bakery.Direction{Link: up, FirstMajor: first, Queues: 2, CapacityMbps: genMbps.Draw(t, "up"), SQM: []string{"cake"}}}
	case 2, 3, 4:
		return site(link, genParent(t), fmt.Sprintf("0x%x", minor), genMbps.Draw(t, "rate"), genMbps.Draw(t, "ceil"))
	case 5, 6, 7:
		return circuit(link, genParent(t), fmt.Sprintf("%x", minor), int64(minor), genMbps.Draw(t, "ceil"))
	case 8, 9:
		return leaf(link, uint32(major), uint32(minor), genWords.Draw(t, "words")...)
	case 10:
		id := rapid.Uint64().Draw(t, "circuit")
		return bakery.MapIPToFlow{Address: genPrefix.Draw(t, "prefix"), Handle: uint32(major<<16 | minor), CPU: 1,
			Upload: rapid.Bool().Draw(t, "upload"), CircuitID: &id}
	case 11:
		return bakery.DelIPFlow{Address: genPrefix.Draw(t, "prefix"), Upload: rapid.Bool().Draw(t, "upload")}
	case 12:
		return opaque(fmt.Sprintf("filter add dev %s parent %x: matchall", link, major))
	case 13, 14:
		return genCommit(t)
	case 15:
		return genSpeed(t)
	}
	return lines(genLine(t, link, major, minor))
}

var genFloat32 = rapid.Map(genMbps, func(f float64) float32 { return float32(f) })

func genBandwidths(t *rapid.T) bakery.Bandwidths {
	return bakery.Bandwidths{DownMin: genFloat32.Draw(t, "down min"), UpMin: genFloat32.Draw(t, "up min"),
		DownMax: genFloat32.Draw(t, "down max"), UpMax: genFloat32.Draw(t, "up max")}
}

// genCommit is a batch as it is logged: sites and circuits of queues 1 and 2, most of which fit.
func genCommit(t *rapid.T) bakery.Commit {
	c := resolved()
	c.Leaf = bakery.LeafRule{FastMbps: genMbps.Draw(t, "fast"), SlowRTT: rapid.SampledFrom([]bakery.SlowRTT{bakery.SlowRTTExact, bakery.SlowRTTUpTo}).Draw(t, "slow")}
	up := 0
	if rapid.IntRange(0, 3).Draw(t, "stick") == 0 {
		c.Setup.Up.Link, c.Setup.Up.FirstMajor, up = "eth1", 3, 2
	}
	for _, minor := range rapid.SliceOfNDistinct(rapid.IntRange(3, 9), 0, 5, rapid.ID).Draw(t, "minors") {
		major := rapid.IntRange(1, 2).Draw(t, "major")
		parent := 0
		if len(c.Members) > 0 && rapid.Bool().Draw(t, "below a site") {
			if s := c.Members[0].Site; s != nil {
				major, parent = int(s.Parent>>16), int(s.Minor)
			}
		}
		if rapid.IntRange(0, 19).Draw(t, "below anything") == 0 {
			parent = genMinor.Draw(t, "parent")
		}
		p := uint32(major<<16 | parent)
		if rapid.Bool().Draw(t, "site") {
			s := bakery.AddSite{SiteHash: int64(minor), Parent: p, UpParent: p + uint32(up<<16), Minor: uint16(minor), Bandwidths: genBandwidths(t)}
			c.Members = append(c.Members, bakery.Member{Site: &s})
			continue
		}
		a := bakery.AddCircuit{CircuitHash: int64(minor), Parent: p, UpParent: p + uint32(up<<16), Minor: uint16(minor), Bandwidths: genBandwidths(t),
			Major: uint16(major), UpMajor: uint16(major + up)}
		optional := rapid.Ptr(rapid.SampledFrom([]string{"", "cake", "none", "fq_codel/cake rtt 9ms"}), true)
		a.Name, a.SiteName, a.SQMOverride = optional.Draw(t, "name"), optional.Draw(t, "site name"), optional.Draw(t, "override")
		if rapid.Bool().Draw(t, "addresses") {
			a.Addresses = genPrefix.Draw(t, "address") + "," + genPrefix.Draw(t, "address")
		}
		c.Members = append(c.Members, bakery.Member{Circuit: &a})
	}
	return c
}

func genSpeed(t *rapid.T) bakery.ChangeSiteSpeedLive {
	c := bakery.ChangeSiteSpeedLive{SiteHash: 9, Bandwidths: genBandwidths(t), R2Q: 10}
	for range rapid.IntRange(1, 2).Draw(t, "classes") {
		c.Classes = append(c.Classes, bakery.SiteClass{Link: genLink.Draw(t, "link"), Upload: rapid.Bool().Draw(t, "upload"),
			ID: tc.NewHandle(uint16(rapid.IntRange(1, 2).Draw(t, "major")), uint16(genMinor.Draw(t, "minor")))})
	}
	return c
}

func genLine(t *rapid.T, link string, major, minor int) string {
	switch rapid.IntRange(0, 8).Draw(t, "line") {
	case 0:
		return fmt.Sprintf("qdisc replace dev %s root handle 7FFF: mq", link)
	case 1:
		return fmt.Sprintf("qdisc add dev %s parent 7FFF:0x%x handle 0x%x: htb default 2", link, major, major)
	case 2:
		verb := rapid.SampledFrom([]string{"add", "replace", "change"}).Draw(t, "verb")
		return fmt.Sprintf("class %s dev %s parent %s classid 0x%x htb rate 1.0mbit ceil 2.5mbit prio 3 quantum 1522", verb, link, genParent(t), minor)
	case 3:
		return fmt.Sprintf("class del dev %s classid %x:%x", link, major, minor)
	case 4:
		return fmt.Sprintf("qdisc add dev %s parent %x:%x %s", link, major, minor, strings.Join(genWords.Draw(t, "words"), " "))
	case 5: // an HTB in the place of a leaf
		return fmt.Sprintf("qdisc replace dev %s parent %x:%x handle %x: htb", link, major, minor, rapid.IntRange(1, 6).Draw(t, "inner"))
	case 6: // named by its handle alone
		return fmt.Sprintf("qdisc replace dev %s handle 7fff: mq", link)
	case 7:
		return fmt.Sprintf("qdisc del dev %s root", link)
	}
	return fmt.Sprintf("qdisc del dev %s parent %x:%x", link, major, minor)
}

// history is what became of a sequence of commands.
type history struct {
	tree     *bakery.Tree
	payloads [][]byte // of the records that could be folded
}

// run folds commands into a tree and checks on the way that a refusal changes
// nothing.
func run(t *rapid.T, commands []bakery.Command) history {
	h := history{tree: bakery.NewTree()}
	foldable := bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}}}
	for _, c := range append([]bakery.Command{foldable}, commands...) {
		before := h.tree.Hash()
		r := recordOf(h.tree, c)
		if err := bakery.Fold(h.tree, r); err != nil {
			if h.tree.Hash() != before {
				t.Fatalf("%#v was refused (%v) and changed the tree", c, err)
			}
			continue
		}
		h.payloads = append(h.payloads, bakery.AppendRecord(nil, r))
	}
	return h
}

// refold decodes and folds payloads on top of a tree.
func refold(t *rapid.T, tree *bakery.Tree, payloads [][]byte) {
	for _, p := range payloads {
		r, err := bakery.DecodeRecord(tree.Seq+1, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := bakery.Fold(tree, r); err != nil {
			t.Fatal(err)
		}
	}
}

func genCommands(t *rapid.T) []bakery.Command {
	return rapid.SliceOfN(rapid.Custom(genCommand), 0, 60).Draw(t, "commands")
}

// TestReplayIsLive: folding what was logged gives the tree that the live fold gave,
// whichever snapshot it starts from.
func TestReplayIsLive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := run(t, genCommands(t))
		again := bakery.NewTree()
		cut := rapid.IntRange(0, len(h.payloads)).Draw(t, "snapshot after")
		refold(t, again, h.payloads[:cut])
		restored, err := bakery.DecodeSnapshot(again.AppendSnapshot(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !restored.Equal(again) {
			t.Fatal("a snapshot isn't the tree that it was taken of")
		}
		refold(t, again, h.payloads[cut:])
		refold(t, restored, h.payloads[cut:])
		if !again.Equal(h.tree) {
			t.Error("replay differs from the live fold")
		}
		if !restored.Equal(h.tree) {
			t.Error("snapshot and tail differ from the full replay")
		}
	})
}

// TestScriptIsTheState: the state form, parsed, gives an equal State.
func TestScriptIsTheState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := run(t, genCommands(t)).tree
		script := strings.Join(tc.Script(tree.State()), "\n")
		parsed, bad, err := tc.ParseScript(strings.NewReader(script))
		if err != nil || len(bad) > 0 {
			t.Fatalf("%v %v in\n%s", err, bad, script)
		}
		if !parsed.Equal(tree.State()) {
			t.Errorf("differs: %v\n%s", tc.Diff(tree.State(), parsed), script)
		}
	})
}

// TestCloneStays: what is folded later doesn't reach a clone.
func TestCloneStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := run(t, genCommands(t)).tree
		clone, hash := tree.Clone(), tree.Hash()
		for _, c := range genCommands(t) {
			_ = bakery.Fold(tree, recordOf(tree, c)) // refusals are as good as the others here
		}
		if clone.Hash() != hash {
			t.Error("a clone changed")
		}
	})
}

// TestEveryClassHasANote: and no note is left of a class that is gone.
func TestEveryClassHasANote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := run(t, genCommands(t)).tree
		classes := 0
		for _, link := range tree.State().Links() {
			for c := range tree.State().Classes(link) {
				classes++
				if _, ok := tree.Note(link, c.ID); !ok {
					t.Errorf("%s %s has no note", link, c.ID)
				}
			}
		}
		notes := 0
		for range tree.Notes {
			notes++
		}
		if notes != classes {
			t.Errorf("%d notes of %d classes", notes, classes)
		}
	})
}
