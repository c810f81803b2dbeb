package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/testenv"
	"lqosd/replay"
)

// cutMachine is a machine through many lives, at the end of each of which its power is cut.
type cutMachine struct {
	dice          *rand.Rand
	noSync, early bool // controls
	work          *cutWork
	disk          *testenv.VMDisk
	lives         int // with this disk
	last          int // records in the log
	model         *bakery.Tree
	sample        func(*testing.T) // spoils a copy that was received
	met           struct {
		cuts, flying, unserved, rolling, copying, pruned int
		received, parts                                  int // copies, whole or not
		records, acked, unknown, there                   int
	}
}

// livesOfDisk is how many lives a disk has.
const livesOfDisk = 5

// renew gives the machine an empty disk.
func (m *cutMachine) renew(t testing.TB, w *cutWork) {
	t.Helper()
	m.work, m.disk, m.lives, m.last, m.model = w, testenv.NewVMDisk(t, 32), 0, 0, bakery.NewTree()
}

// throw decides how a life goes. The first one of a disk ends while the log is made.
func (m *cutMachine) throw() *cutLife {
	w, control := m.work, m.noSync || m.early
	l := &cutLife{sent: m.last, job: cutJob{
		Config: w.config, Units: w.units, From: m.last, To: len(w.records), NoSync: m.noSync, Early: m.early,
		Size: w.sizes[m.dice.IntN(len(w.sizes))], Window: cutWindows[m.dice.IntN(len(cutWindows))], Copy: m.dice.IntN(2) == 0,
	}}
	l.early = !control && (m.lives == 0 || m.dice.IntN(10) == 0)
	l.acks = 1 + m.dice.IntN(2*len(w.units))
	switch {
	case l.early && m.lives == 0: // some 30 writes make a log
		l.wrote = m.dice.IntN(40)
	case l.early:
		l.delay = time.Duration(1+m.dice.IntN(200)) * time.Millisecond
	case m.dice.IntN(2) == 0:
		l.wrote = m.dice.IntN(50)
	default:
		l.delay = time.Duration(m.dice.IntN(30_000)) * time.Microsecond
	}
	return l
}

// cut lives a life, and looks at what is left of it.
func (m *cutMachine) cut(t testing.TB) error {
	t.Helper()
	l := m.throw()
	vm := testenv.DiskVM{Disk: m.disk, Program: cutGuest, Job: l.job, Hear: l.hear, Take: l.received.hear, Wrote: l.hearDisk}
	console, err := vm.Run(t)
	if err != nil || len(l.others) > 0 {
		t.Fatalf("%v; heard %q\n%s", err, l.others, console)
	}
	m.lives++
	m.met.cuts++
	last, err := m.check(m.disk.Recovered(t, cutState), l)
	err = errors.Join(err, l.received.check(t.TempDir(), last, m.work))
	if err != nil {
		return fmt.Errorf("cut %d, life %d of its disk, %s, sessions of %d, %d on the way, from record %d on, copies %v: %w",
			m.met.cuts, m.lives, m.work.name, l.job.Size, l.job.Window, l.job.From, l.job.Copy, err)
	}
	m.count(l, last)
	m.last = last
	return nil
}

func (m *cutMachine) count(l *cutLife, last int) {
	heard := max(l.acked, m.last)
	if l.unheard() > 0 {
		m.met.flying++
	}
	if !l.served {
		m.met.unserved++
	}
	if m.met.received += l.received.whole; l.received.last.Acked > 0 { // in a copy without records hardly anything can be spoilt
		w := m.work
		m.sample = func(t *testing.T) { l.received.last.mustFindFaults(t, last, w) }
	}
	if len(l.received.next.data) > 0 {
		m.met.parts++
	}
	m.met.records += last - m.last
	m.met.acked += heard - m.last
	m.met.unknown += l.unheard()
	m.met.there += last - heard
}

// check compares what is left on the disk with what was heard, and gives how many records there were.
func (m *cutMachine) check(state string, l *cutLife) (last int, err error) {
	dir := filepath.Join(state, "eventlog")
	s, err := replay.Open(dir)
	if errors.Is(err, os.ErrNotExist) && m.last == 0 && l.acked == 0 {
		return 0, nil // it was cut before it had a log
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }()
	gone, last := int(s.First())-1, int(s.Last())
	if err := errors.Join(m.work.compare(s), l.check(gone, last, m.work)); err != nil {
		return last, err
	}
	tree, err := s.Tree(context.Background(), s.Last())
	for i := m.last; err == nil && i < last; i++ {
		err = bakery.Fold(m.model, m.work.records[i])
	}
	if err == nil && tree.Hash() != m.model.Hash() {
		err = fmt.Errorf("the tree after record %d is %s, want %s", last, tree.Hash(), m.model.Hash())
	}
	m.look(state, gone)
	return last, errors.Join(err, verified(dir), m.checkCopies(state, l), opens(dir, last))
}

// look counts what the cut met.
func (m *cutMachine) look(state string, gone int) {
	if making, _ := filepath.Glob(filepath.Join(state, "eventlog", "*.db.tmp")); len(making) > 0 || halfRolled(state) {
		m.met.rolling++
	}
	if copies, _ := filepath.Glob(filepath.Join(state, copyPrefix+"*")); len(copies) > 0 {
		m.met.copying++
	}
	if gone > 0 {
		m.met.pruned++
	}
}

// halfRolled tells whether the segment before the last one isn't retired yet.
func halfRolled(state string) bool {
	segments, _ := filepath.Glob(filepath.Join(state, "eventlog", "*.db")) // sorted
	if len(segments) < 2 {
		return false
	}
	info, err := os.Stat(segments[len(segments)-2])
	return err == nil && info.Mode().Perm() != 0o400
}

// checkCopies wants every copy that has its name to be whole, and to hold what was acknowledged when it was asked for.
func (m *cutMachine) checkCopies(state string, l *cutLife) error {
	copies, err := filepath.Glob(filepath.Join(state, copyPrefix+"*", "eventlog"))
	for _, dir := range copies {
		s, openErr := replay.Open(dir)
		if openErr != nil {
			return fmt.Errorf("copy: %w", openErr)
		}
		copyErr := errors.Join(m.work.compare(s), verified(dir))
		if l.served && int(s.Last()) < l.copied[0] {
			copyErr = errors.Join(copyErr, fmt.Errorf("it ends at record %d, %d was acknowledged", s.Last(), l.copied[0]))
		}
		if copyErr = errors.Join(copyErr, s.Close()); copyErr != nil {
			return fmt.Errorf("copy: %w", copyErr)
		}
	}
	return err
}

// verified wants a log in which verify finds nothing.
func verified(dir string) error {
	r, err := eventlog.Verify(context.Background(), dir)
	if err == nil && !r.Clean() {
		err = fmt.Errorf("verify: %v", r.Problems)
	}
	return err
}

// opens opens a log as the next daemon does.
func opens(dir string, last int) error {
	l, err := eventlog.Open(dir, eventlog.Options{NoSync: true})
	if err != nil {
		return err
	}
	if int(l.LastSeq()) != last {
		err = fmt.Errorf("it was opened with %d records, and had %d", l.LastSeq(), last)
	}
	return errors.Join(err, l.Close(), verified(dir))
}

// TestTrialGuestCut cuts the power of a whole machine, which has its log on an ext4 of its own, while a client in it plays to
// the daemon, segments are rolled, old ones dropped, copies handed out, or the log is made. Its next life goes on where
// the log ends: every acknowledged command is there, what is beyond is a prefix of what was sent, in whole sessions, and the
// tree is that of a daemon that nobody disturbed. A copy that somebody outside has received is whole, and the log has all of it.
func TestTrialGuestCut(t *testing.T) {
	t.Parallel() // a machine has one processor
	testenv.Need(t, testenv.VM, testenv.E2fsprogs)
	works := cutWorks(t)
	m := &cutMachine{dice: testenv.Dice(t)}
	cuts := testenv.Tries(20, 200)
	for i := 0; i < cuts || m.sample == nil && i < 5*cuts; i++ {
		if i%livesOfDisk == 0 {
			m.renew(t, works[i/livesOfDisk%len(works)])
		}
		if err := m.cut(t); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("figure: whole machine cut off | %d cuts, %d with requests on the way, %d before the daemon served, %d while a segment was made, %d with a copy, %d after old segments were dropped; %d copies received, %d in part; %d records, %d acked, %d unknown outcomes, of which %d were there | 0 faults",
		m.met.cuts, m.met.flying, m.met.unserved, m.met.rolling, m.met.copying, m.met.pruned, m.met.received, m.met.parts, m.met.records, m.met.acked, m.met.unknown, m.met.there)
	if m.met.flying < cuts/3 || m.met.records < 10*cuts {
		t.Errorf("only %d of %d cuts met requests on the way, and %d records were made", m.met.flying, cuts, m.met.records)
	}
	if m.sample == nil {
		t.Fatal("nobody has received a copy with records")
	}
	m.sample(t)
	(&cutMachine{dice: m.dice, noSync: true}).mustBeFoundOut(t, works[0], "fsync does nothing")
	(&cutMachine{dice: m.dice, early: true}).mustBeFoundOut(t, works[0], "acks ahead of the commit")
}

// mustBeFoundOut cuts the power of a machine that breaks the promise.
func (m *cutMachine) mustBeFoundOut(t *testing.T, w *cutWork, name string) {
	t.Helper()
	m.renew(t, w)
	for range 10 {
		if err := m.cut(t); err != nil {
			t.Logf("figure: whole machine cut off, control: %s | %d cuts | found out", name, m.met.cuts)
			t.Log(err)
			return
		}
	}
	t.Errorf("%s, and nobody noticed", name)
}
