package sim

import (
	"fmt"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// action is something that the scheduler can do, and how often it does compared with others.
type action struct {
	weight int
	do     func(*world)
}

var actions = []action{
	{30, (*world).sendOne},
	{8, (*world).sendMany},
	{4, (*world).sendNetwork},
	{5, (*world).sendBatch},
	{6, (*world).sendKeyed},
	{15, (*world).rest},
	{6, (*world).meddleNow},
	{2, (*world).meddleAhead},
	{2, (*world).meddlePlane},
	{1, (*world).flap},
	{5, (*world).failKernel},
	{3, (*world).failPlane},
	{6, (*world).failDisk},
	{1, (*world).failSink},
	{7, (*world).crashSoon},
	{1, (*world).crashNow},
	{1, (*world).restartNow},
	{3, (*world).quiet},
}

func (w *world) step() {
	w.sleep(0)
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := w.rng.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			w.steps++
			a.do(w)
			return
		}
	}
}

func (w *world) sendOne() {
	var commands []bakery.Command
	for range 1 + w.rng.IntN(3) {
		commands = append(commands, w.anyCommand())
	}
	w.submit("", commands...)
}

// sendMany sends without waiting for answers.
func (w *world) sendMany() {
	for range 2 + w.rng.IntN(8) {
		w.sendOne()
		w.sleep(time.Duration(w.rng.IntN(300)) * time.Microsecond)
		if !w.ok() {
			return
		}
	}
}

func (w *world) sendNetwork() { w.refresh(newNetwork(w.rng, w.setup.Queues), w.rng.IntN(2)) }

func (w *world) sendBatch() { w.submit("", w.batch(newNetwork(w.rng, 1+w.rng.IntN(3)))) }

// sendKeyed sends with a new key, or something once more that had one.
func (w *world) sendKeyed() {
	if n := len(w.keys); n > 0 && w.rng.IntN(2) == 0 {
		s := w.keys[max(0, n-1-w.rng.IntN(5))]
		w.submit(s.key, s.commands...)
		return
	}
	var commands []bakery.Command
	for range 1 + w.rng.IntN(3) {
		commands = append(commands, w.anyCommand())
	}
	w.keys = append(w.keys, w.submit(fmt.Sprintf("key%d", len(w.keys)), commands...))
}

func (w *world) rest() {
	w.sleep(pick(w.rng, 0, 10*time.Millisecond, 300*time.Millisecond, time.Second, 4*time.Second, 40*time.Second))
}

func (w *world) meddleNow() {
	if w.wild {
		w.meddle()
	}
}

// meddle changes the kernel as somebody else.
func (w *world) meddle() {
	line := w.meddling()
	err := w.k.Meddle(line)
	w.trace.add("kernel", "%ssomebody: %s", mark(err), line)
	w.meddled()
}

func (w *world) meddled() {
	w.faults++
	w.drifted = w.drifted || w.policy == bakery.DriftReport
}

func (w *world) meddleAhead() {
	if !w.wild {
		return
	}
	line := w.meddling()
	w.planMu.Lock()
	w.meddleIn, w.meddleLine = 1+w.rng.IntN(6), line
	w.planMu.Unlock()
	w.meddled()
}

// meddling is a line of somebody else's.
func (w *world) meddling() string {
	b := pick(w.rng, w.branches(w.setup.Queues)...)
	q, minor := b.first+1+w.rng.IntN(w.setup.Queues), 3+w.rng.IntN(10)
	switch w.rng.IntN(8) {
	case 0:
		return "qdisc del dev " + b.link + " root"
	case 1:
		return fmt.Sprintf("qdisc del dev %s parent 7fff:%x", b.link, q)
	case 2:
		return fmt.Sprintf("class add dev %s parent %x:1 classid %x:%x htb rate 1mbit", b.link, q, q, minor)
	case 3:
		return fmt.Sprintf("qdisc del dev %s parent %x:%x", b.link, q, minor)
	case 4:
		return fmt.Sprintf("qdisc replace dev %s parent %x:%x pfifo limit 7", b.link, q, minor)
	case 5:
		return fmt.Sprintf("class change dev %s parent %x:1 classid %x:%x htb rate 9mbit", b.link, q, q, minor)
	}
	return fmt.Sprintf("class del dev %s classid %x:%x", b.link, q, minor)
}

func (w *world) meddlePlane() {
	if !w.wild {
		return
	}
	entries := w.d.Entries()
	if len(entries) > 0 && w.rng.IntN(2) == 0 {
		e := pick(w.rng, entries...)
		w.trace.add("plane", "somebody drops %s", e)
		w.d.Meddle(nil, []tc.Steer{e})
	} else if len(entries) > 0 {
		e := pick(w.rng, entries...)
		e.Class++
		w.trace.add("plane", "somebody sets %s", e)
		w.d.Meddle([]tc.Steer{e}, nil)
	}
	w.meddled()
}

// flap takes a link away for a while.
func (w *world) flap() {
	if !w.wild {
		return
	}
	link := pick(w.rng, w.links()...)
	w.trace.add("kernel", "link %s goes", link.Name)
	w.k.RemoveLink(link.Name)
	w.sleep(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	w.trace.add("kernel", "link %s comes", link.Name)
	w.k.AddLink(link)
	w.faults++
}

func (w *world) failKernel() {
	n, times := w.rng.IntN(9), 1+w.rng.IntN(4)
	verb := pick(w.rng, tc.Add, tc.Delete, tc.Change, tc.Replace)
	match := func(op tc.Op) bool { return op.Verb == verb }
	err := pick(w.rng, kerneltest.EBUSY, kerneltest.ENOMEM, kerneltest.ENOBUFS, kerneltest.EPERM)
	w.faults++
	w.trace.add("kernel", "fault %d, %v, %d times", n, verb, times)
	switch n {
	case 0, 1, 2:
		w.k.FailWhen(match, err, times)
	case 3, 4:
		w.k.LoseAcks(match, times)
	case 5:
		w.k.FailObserve(kerneltest.EINTR, times)
		w.k.Overrun()
	case 6:
		w.k.FailWatch(kerneltest.ENOBUFS)
	case 7:
		w.k.Mute()
	case 8:
		w.k.FailWhen(match, err, 50)
	}
}

func (w *world) failPlane() {
	w.faults++
	n, done := 1+w.rng.IntN(3), w.rng.IntN(3)
	w.trace.add("plane", "fault: call %d after %d", n, done)
	if w.rng.IntN(3) == 0 {
		w.d.FailSteers(errDisk, n)
		return
	}
	w.d.FailSteer(n, done, errDisk)
}

func (w *world) failDisk() {
	n := 1 + w.rng.IntN(4)
	kind := w.rng.IntN(6)
	w.trace.add("disk", "fault %d at commit %d", kind, n)
	switch kind {
	case 0:
		w.disk.at(fateFull, n)
	case 1:
		w.disk.at(fateLost, n)
	case 2:
		w.disk.at(fateWritten, n)
	case 3:
		w.disk.failOpen(n)
		w.disk.at(fateWritten, n)
	case 4:
		w.disk.setSlow(300 * time.Millisecond)
	case 5:
		w.disk.setSlow(3 * time.Second)
	}
}

func (w *world) failSink() {
	w.trace.add("sink", "fails")
	w.sink.fail(true)
	w.faults++
}

// crashSoon ends the daemon at one of its next writes.
func (w *world) crashSoon() {
	n := 1 + w.rng.IntN(6)
	kind := w.rng.IntN(5)
	w.trace.add("life", "to end at write %d of kind %d", n, kind)
	switch kind {
	case 0, 1:
		w.disk.at(fateCrash, n)
	case 2:
		w.disk.atRoll(pick(w.rng, "make", "made", "named", "sealed"), false)
	case 3:
		if w.rng.IntN(2) == 0 {
			w.disk.atRoll("named", true)
			return
		}
		fallthrough
	default:
		w.planMu.Lock()
		w.dieIn = n
		w.planMu.Unlock()
	}
}

func (w *world) crashNow() { w.crash() }

func (w *world) restartNow() {
	w.restart()
}

// quiet ends all trouble, wants everything in order, and tries what has to hold then.
func (w *world) quiet() {
	if !w.inOrder() {
		return
	}
	if w.drifted {
		w.crashPower() // the way out of what is only reported
		return
	}
	switch w.rng.IntN(5) {
	case 0:
		w.sameAfterRestart()
	case 1, 2:
		w.sameRefresh()
	case 3:
		if w.wild {
			w.probeDrift()
		}
	}
}

// healAll ends all trouble.
func (w *world) healAll() {
	w.trace.add("world", "all faults end")
	w.disarm()
	w.disk.heal()
	w.k.Heal()
	w.k.Unmute()
	w.d.Heal()
	w.sink.fail(false)
}

// disarm takes back what would end the daemon.
func (w *world) disarm() {
	w.disk.disarm()
	w.planMu.Lock()
	defer w.planMu.Unlock()
	w.dieIn, w.meddleIn = 0, 0
}
