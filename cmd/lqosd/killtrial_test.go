package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// livesOfALog is how many daemons a log outlives before it is checked as a whole, and the next one begins.
const livesOfALog = 25

// killTrial is one way of speaking to a daemon that is killed.
type killTrial struct {
	name   string
	kills  int
	victim func(t testing.TB, v *victim, n int) (network []golden.Request) // sets up the n-th log; nil for batches
	most   int
	window []int
}

var killTrials = []killTrial{
	{"single requests", 250, singly, 60, []int{1, 8, 64, 512}},
	{"sessions", 150, inSessions, 12, []int{1, 4, 16}},
	{"sessions with keys", 150, withKeys, 12, []int{1, 4, 16}},
	{"batches", 150, inBatches, 6, []int{1, 2}},
	{"small segments", 150, inSmallSegments, 50, []int{8, 64}},
}

// TestTrialKills kills daemons at random moments: while they start, at an answer, between two, when something is sent. The next
// daemon takes what is there, and clients go on where the log ends, which may be beyond the last answer: what was acknowledged is
// there, what is beyond is what was sent next, in whole transactions, and the tc file has the lines of it.
func TestTrialKills(t *testing.T) {
	for _, k := range killTrials {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			k.run(t)
		})
	}
	t.Run("control", func(t *testing.T) {
		t.Parallel()
		controlKills(t)
	})
}

func (k killTrial) run(t *testing.T) {
	dice := testenv.Dice(t)
	all := toll{}
	for n := 0; all.kills < testenv.Tries(k.kills, 10*k.kills); n++ {
		v := &victim{dice: dice, model: bakery.NewTree(), most: k.most, windows: k.window, took: 10 * time.Millisecond}
		requests := k.victim(t, v, n)
		for range livesOfALog {
			if err := v.die(t); err != nil {
				t.Fatal(err)
			}
		}
		v.logs++
		v.finish(t, requests)
		all.add(v.toll)
	}
	t.Logf("figure: kills, %s | %v | 0 faults", k.name, all)
	// Others roll now and then: a segment begins, too, when a start would fold much.
	if segments := k.name == "small segments"; segments && all.rolling == 0 || segments != (all.pruned > 0) {
		t.Errorf("%d rolls were interrupted, %d daemons removed segments", all.rolling, all.pruned)
	}
	if all.flying < all.kills/2 || all.early == 0 {
		t.Errorf("only %d of %d kills met requests on the way, %d a daemon that didn't serve yet", all.flying, all.kills, all.early)
	}
}

// controlKills is the control: a daemon that acknowledges what it doesn't write must be found out, whatever is sent to it.
func controlKills(t *testing.T) {
	dice := testenv.Dice(t)
	for _, k := range killTrials {
		v := &victim{dice: dice, model: bakery.NewTree(), most: k.most, windows: k.window}
		k.victim(t, v, 0)
		v.begin = func() *process { return faultyLog{loses: 1 + dice.IntN(5)}.start(t, v.place) }
		found := error(nil)
		for found == nil && v.kills < livesOfALog {
			found = v.die(t)
		}
		if found == nil {
			t.Errorf("%s: acknowledged commands were never written, and nobody noticed", k.name)
			continue
		}
		t.Log(found)
		t.Logf("figure: kills, %s, control: acknowledged, and not committed | %d kills | found out", k.name, v.kills)
	}
}

// inPlace puts the victim into a place of its own, with the daemon as it is installed.
func (v *victim) inPlace(t testing.TB, name string, edit ...func(*lqosconf.Config)) {
	v.name, v.place = name, newPlace(t, name, edit...)
	v.begin = func() *process { return v.start(t, program(t, "lqosd")) }
}

// network is a recording: small ones take turns, every tenth log has a big one.
func (v *victim) network(t testing.TB, n int) (name string, requests []golden.Request) {
	name = []string{"tree3_frac", "stick_flat", "example"}[n%3]
	if n%10 == 9 {
		name = "n1000"
	}
	return name, trace(t, name, "trace.jsonl")
}

func singly(t testing.TB, v *victim, n int) []golden.Request {
	name, requests := v.network(t, n)
	v.inPlace(t, name)
	v.script = sessionsOf(t, requests, 1, false)
	return requests
}

func inSessions(t testing.TB, v *victim, n int) []golden.Request {
	name, requests := v.network(t, n)
	v.inPlace(t, name)
	v.script = sessionsOf(t, requests, []int{2, 7, 30}[v.dice.IntN(3)], false)
	return requests
}

func withKeys(t testing.TB, v *victim, n int) []golden.Request {
	name, requests := v.network(t, n)
	v.inPlace(t, name)
	v.script = sessionsOf(t, requests, []int{1, 7, 30}[v.dice.IntN(3)], true)
	return requests
}

func inBatches(t testing.TB, v *victim, _ int) []golden.Request {
	v.inPlace(t, "tree3_frac")
	v.script = commitsOf(headNetworks(t, 5))
	return nil
}

// inSmallSegments has segments of a few sessions, of which old ones are removed. Two of three daemons die at a step of a roll, or
// while they remove, unless they were killed before.
func inSmallSegments(t testing.TB, v *victim, n int) []golden.Request {
	requests := trace(t, "tree3_frac", "trace.jsonl")
	v.inPlace(t, "tree3_frac", func(c *lqosconf.Config) { c.Bakery.RetainGenerations, c.Bakery.RetainDays = 6, 0 })
	v.script = sessionsOf(t, requests, 1+2*(n%2), n%2 == 1)
	v.begin = func() *process {
		f := faultyLog{segment: 1500}
		if v.dice.IntN(3) > 0 {
			f.dieAt, f.prunes = 1+v.dice.IntN(8), v.dice.IntN(2) == 0
		}
		return f.start(t, v.place)
	}
	return requests
}

// finish lets a daemon live in peace until its network is whole, and checks the log and the tc file.
func (v *victim) finish(t testing.TB, requests []golden.Request) {
	t.Helper()
	d := v.startServing(t, program(t, "lqosd"))
	ids := v.playOn(t, requests)
	d.terminate(t)
	v.lookFor(t, ids)
	if got := v.tcFile(t); got != string(v.lines) {
		t.Errorf("the tc file has %d bytes, the lines of the log are %d others", len(got), len(v.lines))
	}
	v.verify(t)
	if requests == nil {
		return
	}
	lines, err := recorded(v.name).Lines()
	if err != nil {
		t.Fatal(err)
	}
	checkState(t, v.model, lines)
}

// playOn plays to a daemon that isn't killed until its network is whole, and gives the identities of what comes into the log.
func (v *victim) playOn(t testing.TB, requests []golden.Request) (ids []string) {
	t.Helper()
	c := connect(t, v.place, bus.CBOR)
	for ; v.answered < v.inLog; v.answered++ { // they are sent again, with their keys
		if _, err := v.script.tx(v.answered).send(c).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if requests != nil {
		rest := requests[int(v.checked)%len(requests):]
		mustPlay(t, c, rest, 64)
		return identities(t, rest)
	}
	x := v.script.tx(v.inLog)
	if _, err := x.send(c).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x.ids
}

// lookFor wants just that in the log since the last look.
func (v *victim) lookFor(t testing.TB, ids []string) {
	t.Helper()
	got, err := v.look()
	if err == nil {
		err = life{sent: ids, acked: len(ids)}.check(got)
	}
	if err != nil {
		t.Fatal(clipped(err.Error()))
	}
}

// verify wants the log to be whole, and to give the model.
func (v *victim) verify(t testing.TB) {
	t.Helper()
	out, err := exec.Command(program(t, "bakery-replay"), "verify", "--json", v.logDir()).Output()
	if err != nil {
		t.Fatalf("bakery-replay verify: %v\n%s", err, out)
	}
	var report struct {
		Seq  eventlog.Seq `json:"seq"`
		Hash string       `json:"hash"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if report.Seq != v.checked || report.Hash != v.model.Hash() {
		t.Fatal(fmt.Errorf("the tree after record %d is %s, want that after %d, %s", report.Seq, report.Hash, v.checked, v.model.Hash()))
	}
}
