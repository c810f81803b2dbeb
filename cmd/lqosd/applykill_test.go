package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

func eventlogSeq(n uint64) eventlog.Seq { return eventlog.Seq(n) }

// applyingTrial is a network that daemons which are killed bring to the kernel.
type applyingTrial struct {
	name   string
	kills  int // of all logs
	lives  int // of a log
	size   int // requests of a session of the first generation
	writes int // to wait for at most before a kill
}

// TestTrialKillsApplying is TestTrialKills with daemons that program the kernel: most are killed when they have written something
// to it. At the end log, tree, kernel and maps agree, and another daemon has nothing to write.
func TestTrialKillsApplying(t *testing.T) {
	t.Parallel() // each in a namespace of its own
	for _, a := range []applyingTrial{
		{"tree3_frac", testenv.Tries(150, 1500), livesOfALog, 40, 40},
		{"n1000", testenv.Tries(8, 80), 8, 1024, 600},
	} {
		t.Run(a.name, func(t *testing.T) {
			inMappedField(t, a.name, func(f *field) { f.killsApplying(a) }, appliesAtOnce)
		})
	}
}

func (f *field) killsApplying(a applyingTrial) {
	dice := testenv.Dice(f.t)
	all, middle, looks := toll{}, 0, 0
	for n := 0; all.kills < a.kills; n++ {
		v := &victim{dice: dice, model: bakery.NewTree(), name: f.name, most: 4, windows: []int{1, 2}, took: 50 * time.Millisecond,
			kernel: f, writes: a.writes}
		requests := f.victim(v, n, a)
		for range a.lives {
			if err := v.die(f.t); err != nil {
				f.t.Fatal(err)
			}
			if v.checked > 0 && dice.IntN(5) == 0 {
				looks++
				if f.differences() != "" {
					middle++
				}
			}
		}
		v.logs++
		f.finish(v, requests)
		all.add(v.toll)
	}
	f.t.Logf("figure: kills, applying %s to the kernel | %v; %d of %d that were looked at left the kernel in the middle | 0 faults", a.name, all, middle, looks)
	if a.kills >= 100 && (middle == 0 || all.early == 0) {
		f.t.Errorf("%d daemons were killed in the middle, %d before they served", middle, all.early)
	}
}

func appliesAtOnce(c *lqosconf.Config) { c.Bakery.SettleMS, c.Bakery.SettleMaxMS = 0, 0 }

// victim gives the n-th log a place over a kernel without a tree. Batches and sessions of the first generation take turns, and
// so do daemons with and without a dataplane.
func (f *field) victim(v *victim, n int, a applyingTrial) []golden.Request {
	f.t.Helper()
	f.place = newPlace(f.t, f.name, appliesAtOnce, func(c *lqosconf.Config) {
		c.Queues.DefaultSQM, c.Bakery.Mode = "pfifo", lqosconf.ModeApply
		if n%4 > 1 {
			c.Bakery.Dataplane = lqosconf.DataplaneOff
		}
		f.conf = *c
	})
	for _, link := range f.links {
		_ = exec.Command("tc", "qdisc", "del", "dev", link, "root").Run() // the first has none
	}
	v.place = f.place
	v.begin = func() *process { return f.start(f.t, program(f.t, "lqosd"), "--mode", lqosconf.ModeApply) }
	if n%2 == 0 && a.name == "tree3_frac" {
		v.script = commitsOf(headNetworks(f.t, 5))
		return nil
	}
	requests := f.trace("trace.jsonl")
	v.script = sessionsOf(f.t, requests, a.size, false)
	return requests
}

// killAtWrite kills a daemon when the kernel has seen so many changes.
func (f *field) killAtWrite(n int, d *process) {
	for len(f.watch.seen) > 0 { // of lives before
		<-f.watch.seen
	}
	for range n {
		select {
		case <-f.watch.seen:
		case <-d.ended:
		}
	}
	d.kill()
}

// foundNoDrift wants a daemon that has ended to have said of nothing that somebody else did it, nor that the kernel refused
// something: what it found was left by the one before.
func (d *process) foundNoDrift() error {
	for line := range strings.Lines(d.String()) {
		if strings.Contains(line, "msg=drift") || strings.Contains(line, `msg="drift`) || strings.Contains(line, `msg="the kernel refused`) {
			return errors.New(line)
		}
	}
	return nil
}

// differences are those of the kernel from the log, which no daemon holds; "" for none.
func (f *field) differences() string {
	f.t.Helper()
	args := []string{"diff", f.logDir(), "--live"}
	if f.conf.Bakery.Dataplane == lqosconf.DataplaneOff {
		args = append(args, "--no-maps")
	}
	out, err := exec.Command(program(f.t, "bakery-replay"), args...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		f.t.Fatalf("bakery-replay diff: %v\n%s", err, out)
	}
	return clipped(string(out))
}

// finish lets a daemon bring the kernel to a whole network, and another one find nothing to do.
func (f *field) finish(v *victim, requests []golden.Request) {
	t := f.t
	t.Helper()
	d := f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
	ids := v.playOn(t, requests)
	f.applied()
	d.kill()
	v.lookFor(t, ids)
	v.verify(t)
	f.watch.count()
	d = f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
	f.applied()
	f.wrote("a restart after a kill, with the kernel as it was", 0)
	d.terminate(t)
	if err := d.foundNoDrift(); err != nil {
		t.Error(err)
	}
	if text := f.differences(); text != "" {
		t.Errorf("the kernel isn't what the log asks for:\n%s", text)
	}
	// The control: a difference must be found, by both.
	link := f.links[0]
	parent := strings.Fields(strings.SplitAfter(command(t, "tc", "qdisc", "show", "dev", link), "qdisc pfifo ")[1])[2]
	command(t, "tc", "qdisc", "replace", "dev", link, "parent", parent, "bfifo")
	if f.differences() == "" {
		t.Error("another qdisc isn't found")
	}
	d = f.startServing(t, program(t, "lqosd"), "--mode", lqosconf.ModeApply)
	f.applied()
	d.terminate(t)
	if d.foundNoDrift() == nil {
		t.Error("the daemon doesn't say that somebody else changed something")
	}
	shown := f.show()
	f.buildsTheSame(shown)
	if requests != nil { // and so does what the client computes
		f.clear()
		f.tcBatch(f.batch())
		f.shows(shown)
	}
}
