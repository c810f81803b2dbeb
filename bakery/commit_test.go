package bakery_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/internal/golden"
)

// headBatch is the batch that a recorded client of the second generation sent.
func headBatch(t testing.TB, c golden.Case) *bakery.Batch {
	t.Helper()
	trace, err := c.Trace("trace-head.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var b *bakery.Batch
	for i, r := range trace {
		switch r.Name {
		case "BakeryStart":
			b = bakery.NewBatch()
		case "BakeryMqSetup":
			err = b.SetUp(commandOf(t, r).(bakery.MqSetup))
		case "BakeryAddSite":
			var s bakery.AddSite
			if err = json.Unmarshal(r.Args, &s); err == nil {
				err = b.Add(bakery.Member{Site: &s})
			}
		case "BakeryAddCircuit":
			var a bakery.AddCircuit
			if err = json.Unmarshal(r.Args, &a); err == nil {
				err = b.Add(bakery.Member{Circuit: &a})
			}
		case "BakeryCommit":
			if i != len(trace)-1 {
				t.Fatal("a commit in the middle")
			}
		default:
			t.Fatalf("request %s", r.Name)
		}
		if err != nil {
			t.Fatalf("request %d, %s: %v", i+1, r.JSON(), err)
		}
	}
	return b
}

// headSetup is what the daemon makes of a recorded configuration for the second generation.
func headSetup(t testing.TB, c golden.Case) bakery.Setup {
	s := setupOf(t, c)
	s.Leaf.FastMbps = 1000
	return s
}

// TestGoldenBatch: a recorded batch gives the lines that its client wrote, and the state that
// they describe.
func TestGoldenBatch(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, headSetup(t, c))
			r.must(headBatch(t, c).Commit())
			if err := c.CheckHead(r.sink.String()); err != nil {
				t.Error(err)
			}
			checkStateIsHead(t, r.tree(), c)
			r.restart()
			checkStateIsHead(t, r.tree(), c)
			first := r.tree()
			r.must(headBatch(t, c).Commit())
			sameAgain(t, first, r.tree())
		})
	}
}

// checkStateIsHead compares a Tree, its rates rounded as clients write them, with what the
// client's lines build. They mean milliseconds where they say "rtt 300".
func checkStateIsHead(t *testing.T, tree *bakery.Tree, c golden.Case) {
	t.Helper()
	lines, err := c.HeadLines()
	if err != nil {
		t.Fatal(err)
	}
	fix := []string{"rate 0kbit", "rate 10kbit", "ceil 0kbit", "ceil 10kbit"}
	for _, ms := range []string{"300", "180", "140", "120"} {
		fix = append(fix, "rtt "+ms+"\n", "rtt "+ms+"ms\n")
	}
	want, bad, err := tc.ParseScript(strings.NewReader(strings.NewReplacer(fix...).Replace(lines)))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	got := tree.State().Clone()
	for _, link := range got.Links() {
		for class := range tree.State().Classes(link) {
			class.HTB.Rate, class.HTB.Ceil = rounded(t, class.HTB.Rate), rounded(t, class.HTB.Ceil)
			if err := got.Apply(tc.Op{Verb: tc.Change, Class: &class}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diffs := tc.Diff(got, want); len(diffs) > 0 {
		t.Errorf("%d differences, the first: %v", len(diffs), diffs[0])
	}
}

func rounded(t *testing.T, r tc.Rate) tc.Rate {
	t.Helper()
	text := string(tc.AppendMbps(nil, float64(r)/1e6))
	rate, err := tc.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return rate
}

// sameAgain wants two Trees to differ by records and generations alone.
func sameAgain(t *testing.T, first, second *bakery.Tree) {
	t.Helper()
	if diffs := differences(first, second); len(diffs) > 0 {
		t.Errorf("%d differences, the first: %v", len(diffs), diffs[0])
	}
	if d := cmp.Diff(rememberedOf(first), rememberedOf(second)); d != "" {
		t.Errorf("notes and mappings: %.2000s", d)
	}
	if second.Generation != first.Generation+1 {
		t.Errorf("generation %d after %d", second.Generation, first.Generation)
	}
}

// differences are those of the states, leaf handles too.
func differences(first, second *bakery.Tree) []string {
	list := []string{}
	for _, d := range tc.Diff(first.State(), second.State()) {
		list = append(list, d.String())
	}
	return list
}

// rememberedOf is what a Tree knows beyond the state: notes and mappings, a line each.
func rememberedOf(tree *bakery.Tree) []string {
	list := mappingLines(tree)
	for at, n := range tree.Notes {
		n.Seq, n.LeafSeq = min(n.Seq, 1), min(n.LeafSeq, 1)
		asked := [2]float64{-1, -1}
		if n.AskedMbps != nil {
			asked, n.AskedMbps = *n.AskedMbps, nil
		}
		list = append(list, fmt.Sprintf("%s %s: %+v %v", at.Link, at.ID, n, asked))
	}
	return list
}

func mappingLines(tree *bakery.Tree) []string {
	list := []string{}
	for m := range tree.Mappings {
		m.Generation = 0
		list = append(list, fmt.Sprintf("%+v", m))
	}
	return list
}

// TestCommitTree: what a commit makes, in both directions and on a stick.
func TestCommitTree(t *testing.T) {
	for name, tt := range map[string]struct {
		setup   bakery.Setup
		members []bakery.Member
		upLink  string
		upMajor uint16
	}{"two links": {twoLinks, smallBatch(), "eth0", 1}, "stick": {stick, onStick(smallBatch()), "eth1", 3}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.setup)
			r.must(commitOf(t, tt.members...))
			tree := r.tree()
			for _, d := range []struct {
				link  string
				major uint16
			}{{"eth1", 1}, {tt.upLink, tt.upMajor}} {
				id := tc.NewHandle(d.major, 5)
				class, _ := tree.State().Class(d.link, id)
				want := tc.HTBClass{Rate: 10_000_000, Ceil: 10_000_000, Prio: 3, Quantum: class.HTB.Quantum}
				if class.Parent != tc.NewHandle(d.major, 3) || class.HTB != want || class.HTB.Quantum == 0 {
					t.Errorf("class %+v", class)
				}
				leaf, _ := tree.State().Qdisc(d.link, id)
				if leaf.Options == nil || leaf.Options.Kind() != "cake" || leaf.Handle == 0 {
					t.Errorf("leaf of %s on %s: %+v", id, d.link, leaf)
				}
				n, _ := tree.Note(d.link, id)
				if want := (bakery.Note{Role: bakery.RoleCircuit, Hash: 81, Comment: "C81", Seq: 1, LeafSeq: 1}); n != want {
					t.Errorf("note %+v", n)
				}
			}
			if n := tree.Circuits(); n != 2 {
				t.Errorf("%d circuits", n)
			}
		})
	}
}

// TestCommitIsTheDifference: what changes between two commits is what was asked for.
func TestCommitIsTheDifference(t *testing.T) {
	edited := func(edit func(m []bakery.Member) []bakery.Member) []bakery.Member { return edit(smallBatch()) }
	for name, tt := range map[string]struct {
		members []bakery.Member
		want    []string
	}{
		"the same": {smallBatch(), nil},
		"another order": {edited(func(m []bakery.Member) []bakery.Member {
			return []bakery.Member{m[1], m[3], m[0], m[2]}
		}), nil},
		"another speed": {edited(func(m []bakery.Member) []bakery.Member {
			m[2].Circuit.DownMax = 12.5
			return m
		}), []string{"changed class 1:5 on eth1: ceil 10mbit → 12500kbit"}},
		"moved": {edited(func(m []bakery.Member) []bakery.Member {
			m[2].Circuit.Parent = handle("1:4")
			return m
		}), []string{"moved class 1:5 on eth1"}},
		"removed": {smallBatch()[:3], []string{"removed qdisc", "removed class 1:6 on eth0", "removed qdisc", "removed class 1:6 on eth1"}},
		"added": {append([]bakery.Member{stateCircuit(83, "1:3", 7, 1)}, smallBatch()...),
			[]string{"added qdisc", "added class 1:7 on eth0", "added qdisc", "added class 1:7 on eth1"}},
		"another leaf": {edited(func(m []bakery.Member) []bakery.Member {
			words := "/fq_codel"
			m[2].Circuit.SQMOverride = &words
			return m
		}), []string{"qdisc"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			r.must(commitOf(t, smallBatch()...))
			first := r.tree()
			r.must(commitOf(t, tt.members...))
			diffs := differences(first, r.tree())
			ok := len(diffs) == len(tt.want)
			for i := range min(len(diffs), len(tt.want)) {
				ok = ok && strings.Contains(diffs[i], tt.want[i])
			}
			if !ok {
				t.Errorf("differences %q\nwant %q", diffs, tt.want)
			}
		})
	}
}

// TestCommitRefusals: what only the whole batch shows is refused with every name, and changes
// nothing.
func TestCommitRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		members []bakery.Member
		want    []string
	}{
		"a queue too high": {[]bakery.Member{stateSite(71, "3:", 3, 1)},
			[]string{"site 71: class 3:3: eth1 has no such queue: the majors of that direction are 1 to 2"}},
		"a queue that is the root's": {[]bakery.Member{stateSite(71, "7fff:", 3, 1)}, []string{"eth1 has no such queue"}},
		"an upload queue too high": {[]bakery.Member{stateSite(71, "1:", 3, 1, func(s *bakery.AddSite) { s.UpParent = handle("3:") })},
			[]string{"site 71: class 3:3 (upload): eth0 has no such queue"}},
		"no such parent": {[]bakery.Member{stateCircuit(81, "1:9", 5, 1)},
			[]string{`circuit "C81": parent 1:9: there is no such site`}},
		"a parent of the download alone": {[]bakery.Member{stateSite(71, "1:", 3, 1), stateCircuit(81, "1:3", 5, 1, func(c *bakery.AddCircuit) {
			c.UpParent = handle("1:9")
		})}, []string{`circuit "C81": parent 1:9 (upload): there is no such site`}},
		"a circuit as the parent": {[]bakery.Member{stateCircuit(81, "1:", 5, 1), stateCircuit(82, "1:5", 6, 1)},
			[]string{`circuit "C82": parent 1:5 is no site: it is circuit "C81"`}},
		"several": {[]bakery.Member{stateCircuit(81, "1:9", 5, 1), stateSite(71, "1:", 3, 1), stateSite(72, "9:", 3, 1)},
			[]string{`circuit "C81": parent 1:9`, "site 72: class 9:3"}},
		"too deep": {deepSites(9), []string{"site 9: "}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			r.must(commitOf(t, smallBatch()...), mapTo("10.9.9.9", "1:5"))
			before := r.tree().Hash()
			err := r.submit(commitOf(t, tt.members...))[0].Err
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the answer is %v, want %s", err, want)
				}
			}
			if n := strings.Count(err.Error(), "\n"); n != len(tt.want)-1 {
				t.Errorf("%d items are refused: %v", n+1, err)
			}
			if r.tree().Hash() != before {
				t.Error("the tree changed")
			}
		})
	}
}

// deepSites is a chain of sites.
func deepSites(n int) []bakery.Member {
	list := []bakery.Member{stateSite(1, "1:", 3, 1)}
	for i := 2; i <= n; i++ {
		list = append(list, stateSite(int64(i), fmt.Sprintf("1:%x", i+1), uint16(i+2), 1))
	}
	return list
}

// TestCommitQueues: queues are those that a batch states, else those of the skeleton that is
// there, else those of the configuration.
func TestCommitQueues(t *testing.T) {
	r := newRig(t, twoLinks)
	queues := func() int { return int(r.tree().Setup.Down.Queues) }
	r.must(commitOf(t))
	if n := queues(); n != 2 {
		t.Errorf("%d queues, the configuration says 2", n)
	}
	b := batchOf(t, stateSite(71, "5:", 3, 1))
	if err := b.SetUp(queuesOf(5, 0)); err != nil {
		t.Fatal(err)
	}
	r.must(b.Commit())
	if n := queues(); n != 5 {
		t.Errorf("%d queues, the batch says 5", n)
	}
	r.must(commitOf(t, stateSite(71, "5:", 3, 1)))
	if n := queues(); n != 5 {
		t.Errorf("%d queues, the skeleton had 5", n)
	}
}

// TestCommitStickOffset: without queues of its own a batch has the upload's where they were.
func TestCommitStickOffset(t *testing.T) {
	r := newRig(t, stick)
	b := batchOf(t)
	if err := b.SetUp(queuesOf(2, 7)); err != nil {
		t.Fatal(err)
	}
	r.must(b.Commit(), commitOf(t))
	if first := r.tree().Setup.Up.FirstMajor; first != 8 {
		t.Errorf("the first upload queue is %x, and was 8", first)
	}
}

// TestAdopted: whoever gives a Setup hears that a skeleton was made of it, and not of one that was refused.
func TestAdopted(t *testing.T) {
	r := newRig(t, twoLinks)
	s, told := twoLinks, 0
	s.Adopted = func() { told++ }
	r.o.Setup = func() (bakery.Setup, error) { return s, nil }
	r.restart()
	wrong := resolved(stateCircuit(81, "1:9", 5, 1))
	for i, tt := range []struct {
		sub  bakery.Submission
		want int
	}{
		{bakery.Submission{Commands: []bakery.Command{bakery.MqSetup{}, site("eth1", "1:", "3", 1, 1)}}, 1},
		{bakery.Submission{Commands: []bakery.Command{commitOf(t)}}, 2},
		{bakery.Submission{Commands: []bakery.Command{wrong}}, 2},
		{bakery.Submission{Key: "k", Commands: []bakery.Command{bakery.MqSetup{}, wrong}}, 2},
		{bakery.Submission{Key: "k", Commands: []bakery.Command{commitOf(t)}}, 3},
		{bakery.Submission{Key: "k", Commands: []bakery.Command{commitOf(t)}}, 3}, // a repetition
	} {
		ticket, err := r.h.Submit(t.Context(), tt.sub)
		if err != nil {
			t.Fatal(err)
		}
		ticket.Wait()
		if told != tt.want {
			t.Errorf("after submission %d it was told %d times, want %d", i+1, told, tt.want)
		}
	}
}

// TestCommitReplaces: what others made before goes with a commit, and the other way round.
func TestCommitReplaces(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	first := r.tree()
	r.must(smallNetwork()...)
	r.must(opaque("filter add dev eth1 parent 1: matchall"), bakery.ClearPriorSettings{}, bakery.MqSetup{}, aSite("9", 3))
	if class, ok := r.tree().State().Class("eth1", tc.NewHandle(1, 5)); ok {
		t.Errorf("after a reset there is %+v", class)
	}
	r.must(commitOf(t, smallBatch()...))
	if diffs := differences(first, r.tree()); len(diffs) > 0 {
		t.Errorf("differences %q", diffs)
	}
	if lines := r.tree().Opaque(); len(lines) > 0 {
		t.Errorf("opaque lines %v", lines)
	}
}

// TestCommitNotes: a commit tells of rates under the least, and takes the capacity class for a parent.
func TestCommitNotes(t *testing.T) {
	r := newRig(t, twoLinks)
	slow := stateSite(71, "1:1", 3, 1, func(s *bakery.AddSite) { s.DownMin, s.UpMin, s.UpMax = 0, 1, 0.005 })
	r.must(commitOf(t, slow, stateSite(72, "1:", 4, 1)))
	for _, tt := range []struct {
		link  string
		minor uint16
		want  *[2]float64
	}{{"eth1", 3, &[2]float64{0, 1}}, {"eth0", 3, &[2]float64{1, 0.005}}, {"eth1", 4, nil}} {
		n, _ := r.tree().Note(tt.link, tc.NewHandle(1, tt.minor))
		if d := cmp.Diff(tt.want, n.AskedMbps); d != "" {
			t.Errorf("%s 1:%x: asked %s", tt.link, tt.minor, d)
		}
	}
	if class, _ := r.tree().State().Class("eth1", tc.NewHandle(1, 3)); class.Parent != tc.NewHandle(1, 1) || class.HTB.Rate != bakery.MinRate {
		t.Errorf("class %+v", class)
	}
}

// TestSiteNames: a site is called what its circuits call it.
func TestSiteNames(t *testing.T) {
	tower, other := "Tower", "Other"
	named := func(name *string) func(*bakery.AddCircuit) {
		return func(c *bakery.AddCircuit) { c.SiteName = name }
	}
	r := newRig(t, twoLinks)
	r.must(commitOf(t, stateSite(71, "1:", 3, 1), stateSite(72, "1:", 4, 1), stateCircuit(81, "1:3", 5, 1, named(&tower)),
		stateCircuit(82, "1:3", 6, 1, named(&other)), stateCircuit(83, "1:", 7, 1, named(&tower))))
	var got []string
	for at, n := range r.tree().Notes {
		if n.Role == bakery.RoleSite || at.ID.Minor() == 1 && at.ID.Major() == 1 {
			got = append(got, at.Link+" "+n.Name(at.ID))
		}
	}
	want := []string{"eth0 capacity", `eth0 site "Tower"`, "eth0 site 72", "eth1 capacity", `eth1 site "Tower"`, "eth1 site 72"}
	if !slices.Equal(got, want) {
		t.Errorf("names %q", got)
	}
}

// TestGoldenBatchMappings: what a recorded client maps after its batch is what the batch says
// already, and a batch again keeps what the client told.
func TestGoldenBatchMappings(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			s := headSetup(t, c)
			r := newRig(t, s)
			steers := func() []string {
				tree := r.tree()
				list, waiting := tree.Steers(s.Roles(), func(link string, class tc.Handle) bool {
					_, ok := tree.State().Class(link, class)
					return ok
				})
				if len(list) == 0 || waiting > 0 {
					t.Errorf("%d steers, and %d wait", len(list), waiting)
				}
				var lines []string
				for _, steer := range list {
					lines = append(lines, fmt.Sprintf("%+v", steer))
				}
				return lines
			}
			r.must(headBatch(t, c).Commit())
			stated := steers()
			trace, err := c.Trace("ip-head.jsonl")
			if err != nil {
				t.Fatal(err)
			}
			var commands []bakery.Command
			for _, req := range trace {
				commands = append(commands, commandOf(t, req))
			}
			r.must(commands...)
			if d := cmp.Diff(stated, steers()); d != "" {
				t.Errorf("the client maps otherwise: %.2000s", d)
			}
			told := r.tree()
			r.must(headBatch(t, c).Commit())
			if d := cmp.Diff(stated, steers()); d != "" {
				t.Errorf("another batch: %.2000s", d)
			}
			for m := range told.Mappings {
				if m.CircuitID == 0 || m.Stated {
					t.Fatalf("the client told nothing of %+v", m)
				}
			}
		})
	}
}

// TestCommitOfMoreQueuesThanTheLinkHas: the kernel would take a part of it.
func TestCommitOfMoreQueuesThanTheLinkHas(t *testing.T) {
	for name, tt := range map[string]struct {
		setup     bakery.Setup
		n, offset int
		want      string
	}{
		"two links":           {twoLinks, 4, 0, ""},
		"one more":            {twoLinks, 5, 0, "5 queues: link eth1 was made with 4 tx queues, and needs 5"},
		"a stick":             {stick, 2, 2, ""},
		"a stick with a gap":  {stick, 2, 3, "2 queues: link eth1 was made with 4 tx queues, and needs 5"},
		"a stick, three each": {stick, 3, 3, "3 queues: link eth1 was made with 4 tx queues, and needs 6"},
	} {
		t.Run(name, func(t *testing.T) {
			s := tt.setup
			s.TxQueues = map[string]int{"eth1": 4}
			r := newRig(t, s)
			b := bakery.NewBatch()
			if err := b.SetUp(queuesOf(tt.n, tt.offset)); err != nil {
				t.Fatal(err)
			}
			if err := r.submit(b.Commit())[0].Err; tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
