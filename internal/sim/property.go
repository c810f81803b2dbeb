package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
	"lqosd/replay/diff"
)

// bound is how long the daemon has to bring everything in order when nothing fails any more:
// the longest pause between tries and the one between comparisons, twice, and room for the
// commands to settle.
const bound = 2*(30+30)*time.Second + 2*settleMax

// look checks what holds after every step.
func (w *world) look() {
	if !w.ok() || w.life.dead.Load() || w.life.h == nil {
		return
	}
	w.readLive()
	for _, b := range w.d.Broken() {
		w.broke("%s", b)
	}
	if s := w.life.h.Kernel(); s != nil && s.DriftTotal > 0 && !w.wild {
		w.broke("drift, and nobody meddled: %+v", s.Drift)
	}
}

// broke notes that something doesn't hold; the first counts.
func (w *world) broke(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
		w.trace.add("property", "%s", w.fault)
	}
}

func (w *world) ok() bool { return w.fault == "" }

// settleTickets waits until everything is answered.
func (w *world) settleTickets() {
	for i := 0; w.ok() && w.ledger.outstanding() > 0; i++ {
		if i > 600 {
			w.broke("%d submissions aren't answered after a minute", w.ledger.outstanding())
		}
		w.sleep(100 * time.Millisecond)
	}
}

// inOrder ends all faults, and wants everything in order before long.
func (w *world) inOrder() bool {
	w.healAll()
	w.settleTickets()
	began := time.Now()
	w.knock()
	for w.ok() {
		w.sleep(time.Second)
		what := w.disorder()
		if what == "" {
			w.slowest = max(w.slowest, time.Since(began))
			break
		}
		if time.Since(began) > bound {
			w.broke("nothing has failed for %v, and %s", time.Since(began).Round(time.Second), what)
		}
	}
	if w.ok() {
		w.checkTree()
		w.checkSink()
	}
	w.quiets++
	return w.ok()
}

// knock sends something that changes nothing until it is taken: a log that has failed is
// opened again when somebody wants something of it.
func (w *world) knock() {
	for i := 0; w.ok(); i++ {
		s := w.submit("", bakery.DelIPFlow{Address: "192.0.2.1"})
		w.settleTickets()
		if s.outcomes != nil && s.outcomes[0].Err == nil {
			return
		}
		if i > 10 {
			w.broke("the log takes nothing though the disk is well: %s", told(s.outcomes))
		}
		w.sleep(time.Second)
	}
}

// disorder is what isn't as the tree asks for; "" if all is.
func (w *world) disorder() string {
	if w.life.dead.Load() {
		return "the daemon is dead"
	}
	if h := w.life.h.Health(); h.Log != nil {
		return fmt.Sprintf("the log is unavailable: %v", h.Log)
	}
	s := w.life.h.Kernel()
	switch {
	case s == nil:
		return "there is no status of the kernel"
	case s.Applied != w.archive.last():
		return fmt.Sprintf("the records up to %d are applied, of %d: %s", s.Applied, w.archive.last(), brag(s))
	case w.drifted:
		return "" // with a policy that lets it be
	case s.Phase != bakery.PhaseInSync:
		return "the kernel isn't in sync: " + brag(s)
	}
	return w.differences()
}

func brag(s *bakery.KernelStatus) string {
	t := string(s.Phase)
	for i, p := range s.Problems {
		if i == 3 {
			break
		}
		t += fmt.Sprintf("; %s %s: %s", p.Link, p.Object, p.Error)
	}
	for i, d := range s.Drift {
		if d.Fate == bakery.FateOpen && i < 3 {
			t += "; drift: " + d.Text
		}
	}
	return t
}

// differences are those of kernel and dataplane from the tree.
func (w *world) differences() string {
	live := diff.Live{Host: w.k.Host(), Links: map[string]tc.Observed{},
		Dataplane: &diff.LiveSteers{Roles: w.setup.Roles(), Steers: w.d.Entries()}}
	for _, link := range w.setup.Links() {
		live.Links[link] = tc.Observed{State: w.k.State(link), LinkInfo: tc.LinkInfo{MTU: 1500, TxQueueLen: 1000}}
	}
	r := diff.CompareKernel(w.archive.last(), w.archive.tree, live)
	var list []string
	for i, d := range r.Differences {
		if i < 3 && d.Object != "line" {
			list = append(list, fmt.Sprintf("%s %s %s %s: %s → %s", d.Change, d.Object, d.Link, d.ID, d.From, d.To))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return "the kernel differs: " + strings.Join(list, "; ")
}

// checkTree wants the tree that lives to be the one that all records fold to.
func (w *world) checkTree() {
	ctx, cancel := context.WithTimeout(w.life.mortal, time.Minute)
	defer cancel()
	tree, err := w.life.h.Tree(ctx)
	switch {
	case err != nil:
		w.broke("reading the tree: %v", err)
	case tree.Seq != w.archive.last():
		w.broke("the tree is at record %d, the log at %d", tree.Seq, w.archive.last())
	case !tree.Equal(w.archive.tree):
		w.broke("the tree at record %d isn't what the log folds to", tree.Seq)
	}
}

// written is what reached kernel and dataplane since the last call.
func (w *world) written() []string {
	list := append(w.k.Writes(), w.d.Writes()...)
	w.k.Reset()
	w.d.Reset()
	return list
}

// sameAfterRestart restarts the daemon on a kernel that has everything, and wants it to write
// nothing.
func (w *world) sameAfterRestart() {
	w.sleep(2 * time.Second) // until the cursor is durable
	w.written()
	if w.rng.IntN(2) == 0 {
		w.restart()
	} else {
		w.trace.add("life", "killed when all is quiet")
		l := w.life
		l.dead.Store(true)
		image := w.disk.newImage()
		if err := copyLog(l.dir, image); err != nil {
			w.broke("copying the log: %v", err)
		}
		w.bury(image)
		w.ledger.bury()
		w.readImage(image)
		w.sleep(time.Second)
		w.start(image)
	}
	if w.ok() && w.inOrder() {
		w.sleep(40 * time.Second)
		if got := w.written(); len(got) > 0 {
			w.broke("a restart wrote %q", got)
		}
		if s := w.life.h.Kernel(); s.DriftTotal > 0 && !w.drifted {
			w.broke("a restart takes for drift: %+v", s.Drift)
		}
	}
}

// sameRefresh sends a network twice, and wants the second time to write nothing.
func (w *world) sameRefresh() {
	n := newNetwork(w.rng, w.setup.Queues)
	kind := w.rng.IntN(3)
	w.trace.add("client", "a network, twice, the way %d", kind)
	w.refresh(n, kind)
	if !w.inOrder() {
		return
	}
	w.written()
	w.refresh(n, kind)
	if !w.inOrder() {
		return
	}
	w.sleep(settleMax)
	if got := w.written(); len(got) > 0 {
		w.broke("the same network once more wrote %q", got)
	}
}

// refresh sends a network as clients do: class by class; class by class and then once more as
// tc lines; as a batch.
func (w *world) refresh(n network, kind int) {
	if kind == 2 {
		w.submit("", w.batch(n))
		w.settleTickets()
		return
	}
	from := w.archive.last()
	w.submit("", bakery.MqSetup{})
	w.submit("", bakery.ClearIPFlow{})
	commands := w.networkCommands(n)
	for len(commands) > 0 && w.ok() {
		w.sleep(time.Duration(w.rng.IntN(100)) * time.Millisecond)
		k := min(1+w.rng.IntN(12), len(commands))
		w.submit("", commands[:k]...)
		commands = commands[k:]
	}
	w.settleTickets()
	if kind == 1 && w.ok() {
		var lines []byte
		for _, r := range w.archive.records[from:] {
			lines = bakery.AppendLines(lines, r.Command, bakery.RatesAsClient)
		}
		w.submit("", bakery.ClearPriorSettings{})
		w.sleep(10 * time.Millisecond)
		w.submit("", bakery.ExecuteTCCommands{Force: true, Lines: strings.Split(strings.TrimSpace(string(lines)), "\n")})
		w.settleTickets()
	}
}

// probeDrift changes something of ours as somebody else, and wants that to be seen, told, and
// undone if that is the policy.
func (w *world) probeDrift() {
	line := w.probe()
	if line == "" {
		return
	}
	before := w.life.h.Kernel().DriftTotal
	w.trace.add("kernel", "somebody, and that is to be found: %s", line)
	w.wild = true
	if err := w.k.Meddle(line); err != nil {
		w.broke("meddling: %v", err)
		return
	}
	w.sleep(2 * time.Second)
	s := w.life.h.Kernel()
	switch {
	case s.DriftTotal == before:
		w.broke("somebody did %q, and nobody tells", line)
	case w.policy == bakery.DriftRepair:
		w.inOrder()
	case s.DriftOpen == 0:
		w.broke("somebody did %q, and that isn't open though it is only to be reported", line)
	case w.differences() == "":
		w.broke("somebody did %q, and it was undone though it is only to be reported", line)
	default:
		w.drifted = true
		w.crashPower()
	}
}

// probe is a line that changes a class of ours.
func (w *world) probe() string {
	var lines []string
	for _, link := range w.setup.Links() {
		for c := range w.archive.tree.State().Classes(link) {
			if c.ID.Minor() > 2 {
				lines = append(lines, fmt.Sprintf("class change dev %s parent %s classid %s htb rate 7mbit ceil 8mbit", link, c.Parent, c.ID))
			}
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return pick(w.rng, lines...)
}

// links are those of the kernel.
func (w *world) links() []kerneltest.Link {
	var list []kerneltest.Link
	for _, name := range w.setup.Links() {
		list = append(list, kerneltest.Link{Name: name, TxQueues: 64})
	}
	return list
}
