package sim

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"lqosd/eventlog"
	"lqosd/eventlog/eventlogtest"
)

var (
	errDisk  = errors.New("input/output error")
	errFull  = errors.New("no space left on device")
	errPower = errors.New("the power is gone")
)

// fate is what happens at a commit.
type fate int

const (
	fateFull    fate = iota // nothing is written, and that is known
	fateLost                // nothing is written, and nobody knows
	fateWritten             // it is written, and nobody knows
	fateCrash               // the daemon ends in the middle
)

// disk is where the log of every life is.
type disk struct {
	base   string // folder of all logs
	trace  *trace
	mutant *mutant

	mu        sync.Mutex
	slow      time.Duration // the longest that a commit takes
	plan      map[fate]int  // commits until it happens; 1 is the next
	rollStep  string        // the daemon ends at this step of the next roll; "": it doesn't
	sealing   bool          // and while the seal of the old segment is written
	openFails int           // how often the log can't be opened
	refused   bool          // that has just happened
	images    int
	commits   int
	faults    int
}

func newDisk(base string, t *trace, m *mutant) *disk {
	return &disk{base: base, trace: t, mutant: m, slow: 2 * time.Millisecond, plan: map[fate]int{}}
}

// heal takes all faults back.
func (d *disk) heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow, d.plan, d.rollStep, d.sealing, d.openFails = 2*time.Millisecond, map[fate]int{}, "", false, 0
}

// disarm takes back what would end a daemon.
func (d *disk) disarm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.plan, fateCrash)
	d.rollStep, d.sealing = "", false
}

// refusing reports a log that can't be opened for now.
func (d *disk) refusing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.refused
	d.refused = false
	return r
}

func (d *disk) at(f fate, commits int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan[f] = commits
}

func (d *disk) atRoll(step string, sealing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rollStep, d.sealing = step, sealing
}

func (d *disk) setSlow(longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = longest
}

func (d *disk) failOpen(times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.openFails = times
}

// next is the fate of a commit, if it has one.
func (d *disk) next(among ...fate) (f fate, hit bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range among {
		n, planned := d.plan[one]
		if !planned {
			continue
		}
		if d.plan[one] = n - 1; n <= 1 && !hit {
			delete(d.plan, one)
			f, hit = one, true
			d.faults++
		}
	}
	return f, hit
}

func (d *disk) newImage() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images++
	return filepath.Join(d.base, fmt.Sprintf("log%d", d.images))
}

// delay is the time that a commit takes: never twice the same, so that nothing else happens
// at the moment when it ends.
func (d *disk) delay(l *life) {
	d.mu.Lock()
	longest := d.slow
	d.mu.Unlock()
	time.Sleep(time.Duration(50_000 + l.diskRNG.Int64N(int64(longest))))
}

// open opens the log of a life.
func (d *disk) open(l *life, segmentBytes int64) (*eventlog.Log, error) {
	d.mu.Lock()
	fails := d.openFails > 0
	if fails {
		d.openFails--
		d.faults++
		d.refused = true
	}
	d.mu.Unlock()
	if fails {
		d.trace.add("disk", "the log can't be opened")
		return nil, errDisk
	}
	return eventlogtest.Open(l.dir, eventlog.Options{SegmentBytes: segmentBytes, NoSync: true, Holder: eventlog.Holder{PID: 1}},
		eventlogtest.Hooks{
			Before: func() error { return d.before(l) },
			Commit: func(commit func() error) error { return d.commit(l, commit) },
			Roll:   func(step string) error { return d.roll(l, step) },
		})
}

func (d *disk) before(l *life) error {
	if l.dead.Load() {
		return errPower
	}
	if _, hit := d.next(fateFull); hit {
		d.trace.add("disk", "full")
		return errFull
	}
	return nil
}

func (d *disk) commit(l *life, commit func() error) error {
	if l.dead.Load() {
		return errPower
	}
	d.delay(l)
	if l.dead.Load() {
		return errPower
	}
	d.mutant.beforeCommit(d, l)
	f, hit := d.next(fateLost, fateWritten, fateCrash)
	d.mu.Lock()
	d.commits++
	d.mu.Unlock()
	if !hit {
		d.trace.add("disk", "commit")
		return commit()
	}
	switch f {
	case fateLost:
		d.trace.add("disk", "a commit fails, nothing is written")
		return d.mutant.commitError(errDisk)
	case fateWritten:
		d.trace.add("disk", "a commit fails, and is written")
		return errors.Join(commit(), errDisk)
	}
	return d.crash(l, commit)
}

// crash ends a life in the middle of a commit.
func (d *disk) crash(l *life, commit func() error) error {
	image := d.newImage()
	if err := copyLog(l.dir, image); err != nil {
		return err
	}
	how := tearing(l.diskRNG.IntN(tearings))
	if d.mutant.acksEarly {
		d.trace.add("disk", "a commit is answered, and the daemon ends before it is written")
		go func() {
			time.Sleep(time.Microsecond)
			l.die(image)
		}()
		return commit()
	}
	if err := commit(); err != nil {
		return err
	}
	if err := tear(l.dir, image, how, l.diskRNG); err != nil {
		return err
	}
	d.trace.add("disk", "the daemon ends in a commit: %s", [tearings]string{"nothing of it is there", "some of its data", "all but what points to it", "all of it is there"}[how])
	l.die(image)
	return errPower
}

// roll ends a life at a step of a roll.
func (d *disk) roll(l *life, step string) error {
	if l.dead.Load() {
		return errPower
	}
	if step == "make" {
		d.delay(l)
		d.trace.add("disk", "roll")
	}
	d.mu.Lock()
	wanted, sealing := d.rollStep, d.sealing
	d.mu.Unlock()
	switch {
	case wanted != step:
		return nil
	case sealing && step == "named": // before the seal; the next step is after it
		l.image = d.newImage()
		if err := copyLog(l.dir, l.image); err != nil {
			return err
		}
		d.atRoll("sealed", true)
		return nil
	case sealing:
		if err := tear(l.dir, l.image, tearing(l.diskRNG.IntN(tearings)), l.diskRNG); err != nil {
			return err
		}
	default:
		l.image = d.newImage()
		if err := copyLog(l.dir, l.image); err != nil {
			return err
		}
	}
	d.atRoll("", false)
	d.trace.add("disk", "the daemon ends in a roll: %s", step)
	l.die(l.image)
	return errPower
}
