package bakery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// speed is a change of a site's rates.
func speed(hash int64, downMin, downMax, upMin, upMax float32) bakery.ChangeSiteSpeedLive {
	return bakery.ChangeSiteSpeedLive{SiteHash: hash, Bandwidths: bakery.Bandwidths{DownMin: downMin, DownMax: downMax, UpMin: upMin, UpMax: upMax}}
}

// rates wants the rates of classes, one a line.
func (r *rig) rates(want ...string) {
	r.t.Helper()
	got := []string{}
	tree := r.tree()
	for at, n := range tree.Notes {
		if n.Role == bakery.RoleSite {
			class, _ := tree.State().Class(at.Link, at.ID)
			got = append(got, fmt.Sprintf("%s %s below %s: %s %s", at.Link, at.ID, class.Parent, class.HTB.Rate, class.HTB.Ceil))
		}
	}
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
		r.t.Errorf("rates: %s", d)
	}
}

func TestSiteSpeed(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	before, written := r.tree(), len(r.sink.String())
	r.must(speed(71, 20, 40.5, 5, 10))
	r.rates("eth0 1:3 below 1:: 5mbit 10mbit", "eth0 1:4 below 1:: 100mbit 100mbit", "eth1 1:3 below 1:: 20mbit 40500kbit", "eth1 1:4 below 1:: 100mbit 100mbit")
	want := []string{"changed class 1:3 on eth0: rate 100mbit → 5mbit, ceil 100mbit → 10mbit",
		"changed class 1:3 on eth1: rate 100mbit → 20mbit, ceil 100mbit → 40500kbit"}
	if d := cmp.Diff(want, differences(before, r.tree())); d != "" {
		t.Errorf("differences: %s", d)
	}
	wantLines := "class change dev eth0 parent 1: classid 3 htb rate 5.0mbit ceil 10.0mbit prio 3 quantum 1522\n" +
		"class change dev eth1 parent 1: classid 3 htb rate 20.0mbit ceil 40.5mbit prio 3 quantum 2429\n"
	if d := cmp.Diff(wantLines, r.sink.String()[written:]); d != "" {
		t.Errorf("lines: %s", d)
	}
	if n, _ := r.tree().Note("eth1", tc.NewHandle(1, 3)); n.Seq != 2 || n.Role != bakery.RoleSite || n.Hash != 71 {
		t.Errorf("note %+v", n)
	}
	after := r.tree()
	r.restart()
	if !r.tree().Equal(after) {
		t.Error("the replay differs")
	}
	r.must(commitOf(t, smallBatch()...)) // says something else
	r.rates("eth0 1:3 below 1:: 100mbit 100mbit", "eth0 1:4 below 1:: 100mbit 100mbit", "eth1 1:3 below 1:: 100mbit 100mbit", "eth1 1:4 below 1:: 100mbit 100mbit")
}

// TestSiteSpeedOnStick: both directions are on one link, in the halves of its queues.
func TestSiteSpeedOnStick(t *testing.T) {
	want := []string{"eth1 1:3 below 1:: 20mbit 40mbit", "eth1 3:3 below 3:: 5mbit 10mbit"}
	t.Run("batch", func(t *testing.T) {
		r := newRig(t, stick)
		r.must(commitOf(t, onStick(smallBatch()[:1])...), speed(71, 20, 40, 5, 10))
		r.rates(want...)
	})
	first := []bakery.Command{bakery.MqSetup{}, site("eth1", "1:", "3", 1, 1), site("eth1", "2:", "3", 1, 1), site("eth1", "3:", "3", 1, 1)}
	want = slices.Insert(want, 1, "eth1 2:3 below 2:: 20mbit 40mbit")
	t.Run("first generation", func(t *testing.T) {
		r := newRig(t, stick)
		r.must(append(first, speed(42, 20, 40, 5, 10))...)
		r.rates(want...)
	})
	t.Run("first generation, cleared and built by lines", func(t *testing.T) {
		r := newRig(t, stick)
		r.must(first...)
		script := tc.Script(r.tree().State())
		r.must(bakery.ClearPriorSettings{}, lines(script...), speed(42, 20, 40, 5, 10))
		r.rates(want...)
	})
}

// TestSiteSpeedOfEveryClass: clients of the first generation may give a site several classes, and
// a site of one direction has one.
func TestSiteSpeedOfEveryClass(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(bakery.MqSetup{}, site("eth1", "1:", "3", 1, 1), site("eth1", "2:", "7", 1, 1), circuit("eth0", "1:", "9", 42, 3), speed(42, 20, 40, 5, 10))
	r.rates("eth1 1:3 below 1:: 20mbit 40mbit", "eth1 2:7 below 2:: 20mbit 40mbit")
	if class, _ := r.tree().State().Class("eth0", tc.NewHandle(1, 9)); class.HTB.Ceil != 3_000_000 {
		t.Errorf("a circuit with the hash of the site has %+v", class.HTB)
	}
}

// TestSiteSpeedR2Q: quanta are divided as those of the skeleton are, or of the last one where it was cleared.
func TestSiteSpeedR2Q(t *testing.T) {
	r := newRig(t, twoLinks)
	s := twoLinks
	r.o.Setup = func() (bakery.Setup, error) { return s, nil }
	r.restart()
	quantum := func(want uint32) {
		t.Helper()
		if class, _ := r.tree().State().Class("eth1", tc.NewHandle(1, 3)); class.HTB.Quantum != want {
			t.Errorf("quantum %d, want %d", class.HTB.Quantum, want)
		}
	}
	r.must(commitOf(t, stateSite(42, "1:", 3, 100)))
	s.DownMbps = 10_000 // for the next skeleton
	r.must(speed(42, 1, 1000, 1, 1))
	quantum(1000 * 125_000 / 2084)
	cleared := func(want uint32, commands ...bakery.Command) {
		t.Helper()
		r.must(commands...)
		script := tc.Script(r.tree().State())
		r.must(bakery.ClearPriorSettings{}, lines(script...), speed(42, 1, 1000, 1, 1))
		quantum(want)
	}
	cleared(1000*125_000/20_834, bakery.MqSetup{}, site("eth1", "1:", "3", 1, 1))
	s.DownMbps = 5000
	cleared(1000*125_000/10_417, commitOf(t, stateSite(42, "1:", 3, 100)))
}

func TestSlowSiteSpeed(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...), speed(71, 0, 0.005, 1, 1))
	class, _ := r.tree().State().Class("eth1", tc.NewHandle(1, 3))
	n, _ := r.tree().Note("eth1", tc.NewHandle(1, 3))
	if class.HTB.Rate != bakery.MinRate || class.HTB.Ceil != bakery.MinRate || n.AskedMbps == nil || *n.AskedMbps != [2]float64{0, 0.005} {
		t.Errorf("class %+v, asked %v", class.HTB, n.AskedMbps)
	}
	if n, _ := r.tree().Note("eth0", tc.NewHandle(1, 3)); n.AskedMbps != nil {
		t.Errorf("the upload: asked %v", n.AskedMbps)
	}
	if !strings.Contains(r.sink.String(), "class change dev eth1 parent 1: classid 3 htb rate 0kbit ceil 5kbit prio 3 quantum 1522\n") {
		t.Error("not rendered as it was asked")
	}
	r.must(speed(71, 1, 1, 1, 1))
	if n, _ := r.tree().Note("eth1", tc.NewHandle(1, 3)); n.AskedMbps != nil {
		t.Errorf("later: asked %v", n.AskedMbps)
	}
}

func TestSiteSpeedRefusals(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	before := r.tree().Hash()
	for name, tt := range map[string]struct {
		c    bakery.Command
		want string
	}{
		"unknown site":    {speed(99, 1, 1, 1, 1), "there is no site 99"},
		"a circuit":       {speed(81, 1, 1, 1, 1), "there is no site 81"},
		"negative":        {speed(71, 1, 1, 1, -1), "negative"},
		"over 64 bits":    {speed(71, 1, 1e30, 1, 1), "1e+30"},
		"quantum too big": {speed(71, 1, 1e13, 1, 1), "quantum"},
	} {
		if err := r.submit(tt.c)[0].Err; err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	told := speed(99, 1, 1, 1, 1)
	told.Classes = []bakery.SiteClass{{Link: "eth1", ID: tc.NewHandle(1, 3)}} // only the resolver says which
	if err := r.submit(told)[0].Err; err == nil {
		t.Error("classes of the sender's are taken for the site's")
	}
	tree := r.tree()
	c := speed(71, 1, 1, 1, 1)
	c.R2Q, c.Classes = 10, []bakery.SiteClass{{Link: "eth1", ID: tc.NewHandle(1, 3)}, {Link: "eth1", ID: tc.NewHandle(1, 9)}}
	if err := bakery.Fold(tree, recordOf(tree, c)); err == nil || !strings.Contains(err.Error(), "link eth1 has no class 1:9") {
		t.Errorf("a class that isn't there: %v", err)
	}
	if r.tree().Hash() != before || tree.Hash() != before {
		t.Error("the tree changed")
	}
}
