package bakery_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// genPartHappening is most often a command that changes little of what is there.
func genPartHappening(t *rapid.T) happening {
	switch rapid.IntRange(0, 9).Draw(t, "happening") {
	case 0, 1, 2, 3, 4:
		commands := rapid.SliceOfN(rapid.Custom(genPartCommand), 1, 3).Draw(t, "commands")
		return happening{"commands " + commandsText(commands), func(r *steerRig) { r.submit(commands...) }}
	case 5, 6, 7:
		d := genPause.Draw(t, "pause")
		return happening{fmt.Sprintf("quiet for %v", d), func(r *steerRig) { r.quiet(d) }}
	case 8:
		line := genPartMeddling(t)
		return happening{"somebody: " + line, func(r *steerRig) { _ = r.k.Meddle(line) }}
	}
	return genHappening(t)
}

func genPartCommand(t *rapid.T) bakery.Command {
	class := genClass.Draw(t, "class")
	id, _ := tc.ParseHandle(class)
	switch rapid.IntRange(0, 9).Draw(t, "command") {
	case 0, 1, 2:
		parent := rapid.SampledFrom([]string{class[:1] + ":1", "1:1", "1:3", "1:4", "1:5"}).Draw(t, "parent")
		return circuit("eth1", parent, class[2:], int64(class[2]), rapid.Float64Range(1, 3).Draw(t, "ceil"))
	case 3, 4:
		return leaf("eth1", uint32(id.Major()), uint32(id.Minor()), genWords.Draw(t, "words")...)
	case 5:
		return lines(genLine(t, "eth1", int(id.Major()), int(id.Minor())))
	case 6: // handles that wander, and leaves in which there is something
		line := rapid.SampledFrom([]string{
			"qdisc replace dev eth1 parent %s handle 20: pfifo", "qdisc replace dev eth1 parent %s handle 21: fq_codel",
			"qdisc replace dev eth1 parent %s handle 20: htb", "qdisc replace dev eth1 parent %s handle 22: tbf rate 1mbit burst 10k latency 50ms",
			"qdisc del dev eth1 parent %s", "class del dev eth1 classid %s",
		}).Draw(t, "line")
		return lines(fmt.Sprintf(line, class))
	case 7:
		return speed(71, 1, rapid.Float32Range(1, 3).Draw(t, "ceil"), 1, 2)
	case 8:
		return genSteeredCommit(t)
	}
	return genSteeredCommand(t)
}

func genPartMeddling(t *rapid.T) string {
	class := genClass.Draw(t, "class")
	return rapid.SampledFrom([]string{
		"class change dev eth1 classid " + class + " htb rate 7mbit", "qdisc replace dev eth1 parent " + class + " handle 9001: pfifo",
		"qdisc replace dev eth1 parent " + class + " handle 9002: cake diffserv4", "qdisc del dev eth1 parent " + class,
		genMeddling(t),
	}).Draw(t, "meddling")
}

// told is what a bakery did and tells when nothing is left to do at the moment, but for times.
func (r *steerRig) told() string {
	r.quiet(200 * time.Millisecond)
	s := r.h.Kernel()
	text := []string{fmt.Sprintf("%s up to %d, %d written, %d refused, %d drifted", s.Phase, s.Applied, s.Writes, s.Refused, s.DriftTotal)}
	for _, p := range s.Problems {
		text = append(text, fmt.Sprintf("problem %s %s: %s: %s, %d, %d times", p.Link, p.Object, p.Op, p.Error, p.Seq, p.Tried))
	}
	for _, d := range s.Drift {
		text = append(text, fmt.Sprintf("%s drift on %s: %s", d.Fate, d.Link, d.Text))
	}
	text = append(text, r.k.Writes()...)
	text = append(text, r.d.Writes()...)
	for _, link := range []string{"eth0", "eth1"} {
		text = append(text, tc.Script(r.k.State(link))...)
	}
	return strings.Join(text, "\n")
}

// partSizes are the limits of parts that TestPartIsWhole goes beyond; 0 is the usual one.
var partSizes = []int{4, 0, 0, 7, 10}

// TestPartIsWhole: comparing only what records touched, and what goes with it, has a bakery do
// and tell at every moment what it does and tells when it compares all of each link.
func TestPartIsWhole(t *testing.T) {
	for name, edit := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				happenings := rapid.SliceOfN(rapid.Custom(genPartHappening), 1, 15).Draw(rt, "happenings")
				few := partSizes[len(happenings)%len(partSizes)] // not drawn: testdata/rapid has draws without it
				parts, whole := toldAfterEach(t, happenings, edit, bakery.CompareAtMost(few)), toldAfterEach(t, happenings, edit, bakery.CompareWhole)
				for i := range min(len(parts), len(whole)) {
					if parts[i] != whole[i] {
						rt.Fatalf("after happening %d:\n%s", i, cmp.Diff(whole[i], parts[i]))
					}
				}
			})
		})
	}
}

// toldAfterEach lets things happen in a bubble, and gives what was told after each of them.
func toldAfterEach(t *testing.T, happenings []happening, edit ...func(*bakery.Options)) (told []string) {
	synctest.Test(t, func(t *testing.T) {
		r := newSteerRig(t, twoLinks, edit...)
		defer r.stop()
		r.must(smallNetwork()...)
		r.quiet(time.Second)
		for _, h := range happenings {
			h.do(r)
			told = append(told, r.told())
		}
		r.k.Before(nil)
		r.k.Heal()
		r.d.Heal()
		r.quiet(time.Minute)
		told = append(told, r.told())
	})
	return told
}

// partCases are changes whose part is more than what the records name.
var partCases = map[string][]happening{
	"all that sits in a class which moves": {
		sends(aSite("3", 100), bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:3", ClassID: "7", RateMbps: 1, CeilMbps: 1, SiteHash: 9, R2Q: 10},
			aCircuit("1:7", "8", 10), aLeaf(8, "pfifo"), aCircuit("1:7", "9", 10), aLeaf(9, "pfifo")),
		sends(bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:4", ClassID: "3", RateMbps: 50, CeilMbps: 50, SiteHash: 7, R2Q: 10}),
	},
	"a leaf that has the handle which another is to have": {
		happening{"", func(r *steerRig) { r.meddle("qdisc replace dev eth1 parent 1:5 handle 9001: cake diffserv4") }},
		sends(lines("qdisc replace dev eth1 parent 1:6 handle 9001: pfifo")),
	},
	"a child that stays, of a class which loses another": {
		sends(aCircuit("1:3", "7", 10)),
		sends(lines("class del dev eth1 classid 1:5")),
		sends(aCircuit("1:3", "5", 10)),
	},
	"a qdisc that an opaque line explained": {
		sends(withoutLeaf()), sends(opaque("qdisc add dev eth1 parent 1:5 handle 30: drr")),
		{"it is read", func(r *steerRig) { r.quiet(time.Minute) }}, sends(withoutLeaf()),
	},
	"the same batch again": {sends(withoutLeaf()), sends(withoutLeaf()), sends(aCircuit("1:3", "5", 11)), sends(withoutLeaf())},
	"an htb in a leaf": {
		sends(lines("qdisc replace dev eth1 parent 1:6 handle 20: htb", "class add dev eth1 parent 20: classid 20:1 htb rate 1mbit")),
		sends(lines("class change dev eth1 classid 20:1 htb rate 2mbit")),
		sends(lines("qdisc replace dev eth1 parent 1:6 handle 21: pfifo")),
	},
}

// withoutLeaf is a batch of one circuit, which has no leaf.
func withoutLeaf() bakery.Command {
	b := bakery.NewBatch()
	for _, m := range []bakery.Member{stateSite(71, "1:", 3, 100), stateCircuit(81, "1:3", 5, 10, sqm("none"))} {
		if err := b.Add(m); err != nil {
			panic(err)
		}
	}
	return b.Commit()
}

func sends(commands ...bakery.Command) happening {
	return happening{commandsText(commands), func(r *steerRig) { r.must(commands...) }}
}

func TestPartOf(t *testing.T) {
	for name, happenings := range partCases {
		t.Run(name, func(t *testing.T) {
			for _, edit := range []func(*bakery.Options){func(*bakery.Options) {}, reporting} {
				part, whole := toldAfterEach(t, happenings, edit), toldAfterEach(t, happenings, edit, bakery.CompareWhole)
				if d := cmp.Diff(whole, part); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
