package bakery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
	"lqosd/internal/testenv"
)

// netlinkFault is something that goes wrong between the reconciler and the kernel.
type netlinkFault struct {
	name string
	// set makes it happen at the n-th op or reading from now on.
	set func(r *steerRig, k *stubborn, n int) *mishap
	// link says that a link goes, with all that is on it.
	link bool
}

// mishap is a fault that waits to happen, or has happened.
type mishap struct {
	fired bool
	hit   []tc.Op // ops that were refused
	end   func()  // ends one that lasts
}

// refusing refuses times ops in a row.
func refusing(err error, times int) func(*steerRig, *stubborn, int) *mishap {
	return func(r *steerRig, _ *stubborn, n int) *mishap {
		m, seen := &mishap{}, 0
		r.k.FailWhen(func(op tc.Op) bool {
			if seen++; seen < n {
				return false
			}
			m.fired, m.hit = true, append(m.hit, op)
			return true
		}, err, times)
		return m
	}
}

// refusingOne refuses whatever is done about the object of the n-th op, until the end.
func refusingOne(err error) func(*steerRig, *stubborn, int) *mishap {
	return func(r *steerRig, _ *stubborn, n int) *mishap {
		m, seen, object := &mishap{}, 0, ""
		r.k.FailWhen(func(op tc.Op) bool {
			if seen++; seen == n {
				object, m.fired = objectOf(op), true
			}
			if object == "" || objectOf(op) != object {
				return false
			}
			m.hit = append(m.hit, op)
			return true
		}, err, -1)
		m.end = r.k.Heal
		return m
	}
}

func losing(times int) func(*steerRig, *stubborn, int) *mishap {
	return func(r *steerRig, _ *stubborn, n int) *mishap {
		m, seen := &mishap{}, 0
		r.k.LoseAcks(func(op tc.Op) bool {
			if seen++; seen < n {
				return false
			}
			m.fired, m.hit = true, append(m.hit, op)
			return true
		}, times)
		return m
	}
}

// tearing interrupts times readings in a row.
func tearing(err error, times int) func(*steerRig, *stubborn, int) *mishap {
	return func(_ *steerRig, k *stubborn, n int) *mishap {
		m, seen := &mishap{}, 0
		k.observe = func([]string) error {
			if seen++; seen < n || seen >= n+times {
				return nil
			}
			m.fired = true
			return err
		}
		return m
	}
}

// vanishing takes a link away ahead of the n-th op, and brings it back after a while: with another index.
func vanishing(link string, back time.Duration, around func(*steerRig)) func(*steerRig, *stubborn, int) *mishap {
	return func(r *steerRig, _ *stubborn, n int) *mishap {
		m, seen := &mishap{end: r.k.Unmute}, 0
		r.k.Before(func(tc.Op) {
			if seen++; seen != n {
				return
			}
			m.fired = true
			around(r)
			if r.k.RemoveLink(link); back == 0 {
				r.k.AddLink(kerneltest.Link{Name: link, TxQueues: 64})
				return
			}
			time.AfterFunc(back, func() { r.k.AddLink(kerneltest.Link{Name: link, TxQueues: 64}) })
		})
		return m
	}
}

// netlinkFaults are all kinds of faults; those that differ from another one in nothing that the reconciler looks at are left
// to the long run.
func netlinkFaults() []netlinkFault {
	list := []netlinkFault{
		{name: "no answer, and done", set: losing(1)}, {name: "no answer, and done, 4 ops", set: losing(4)},
		{name: "interrupted dump", set: tearing(kerneltest.EINTR, 1)}, {name: "interrupted dumps, 7", set: tearing(kerneltest.EINTR, 7)},
	}
	for i, err := range []error{kerneltest.EBUSY, kerneltest.Errno{Number: 11, Text: "EAGAIN"},
		kerneltest.Errno{Number: 2, Text: "ENOENT", Kind: tc.ErrNotFound}, kerneltest.ENOMEM, kerneltest.ENOBUFS, tc.ErrUnknownOutcome} {
		name := []string{"EBUSY", "EAGAIN", "ENOENT", "ENOMEM", "ENOBUFS", "no answer, and not done"}[i]
		list = append(list, netlinkFault{name: name, set: refusing(err, 1)})
		if i == 0 || testenv.Nightly() {
			list = append(list, netlinkFault{name: name + ", 4 ops", set: refusing(err, 4)},
				netlinkFault{name: name + ", one object for a minute", set: refusingOne(err)})
		}
	}
	watched, unwatched := func(*steerRig) {}, func(r *steerRig) { r.k.FailWatch(kerneltest.ENOBUFS) }
	untold := func(r *steerRig) { r.k.Mute() }
	for i, v := range []struct {
		name   string
		back   time.Duration
		around func(*steerRig)
	}{{"at once", 0, watched}, {"soon", 300 * time.Millisecond, watched}, {"late", 50 * time.Second, watched},
		{"at once, nobody tells", 0, untold}, {"soon, nobody tells", 300 * time.Millisecond, untold},
		{"at once, the watch ends", 0, unwatched}, {"soon, the watch ends", 300 * time.Millisecond, unwatched}} {
		list = append(list, netlinkFault{name: "a link goes, and comes back " + v.name, set: vanishing("eth1", v.back, v.around), link: true})
		if i == 0 || testenv.Nightly() {
			list = append(list, netlinkFault{name: "another link goes, and comes back " + v.name, set: vanishing("eth0", v.back, v.around), link: true})
		}
	}
	return list
}

// objectOf names what an op is about.
func objectOf(op tc.Op) string {
	if op.Class != nil {
		return fmt.Sprintf("%s class %s", op.Class.Link, op.Class.ID)
	}
	return fmt.Sprintf("%s qdisc at %s", op.Qdisc.Link, op.Qdisc.Parent)
}

// TestTrialNetlinkFaults lets the n-th op or reading of every kind of change go wrong in every way, for n = 1, 2, … until there
// is no n-th. When the fault is over the kernel has what the tree asks for, nothing of it was drift, no more ops were made than
// docs/apply.md says, and a restart writes nothing.
func TestTrialNetlinkFaults(t *testing.T) {
	for _, fault := range netlinkFaults() {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			total, least := tally{}, 0
			for _, s := range shifts() {
				inShift(t, s, func(r *shiftRig) {
					total.add(r.tryAll(fault))
					least += r.needed[false] + r.needed[true]
					r.restartWritesNothing()
				})
			}
			if strings.Contains(fault.name, "dump") { // a change takes one reading, or none
				least = len(shifts())
			}
			t.Logf("figure: netlink, %s | %d times in %d changes | %d ops, needed were %d, allowed %d; 0 faults",
				fault.name, total.fired, total.changes, total.ops, total.needed, total.allowed)
			if total.fired < least {
				t.Errorf("it happened %d times, and can at least %d times", total.fired, least)
			}
		})
	}
}

// TestTrialNetlinkFaultPairs lets two things go wrong in one change, at random.
func TestTrialNetlinkFaultPairs(t *testing.T) {
	dice := testenv.Dice(t)
	total := tally{}
	faults, changes := netlinkFaults(), shifts()
	for _, s := range changes {
		inShift(t, s, func(r *shiftRig) {
			for range testenv.Tries(40, 1000) {
				a, b := faults[dice.IntN(len(faults))], faults[dice.IntN(len(faults))]
				if a.link && b.link { // there is one hook for both
					continue
				}
				total.add(r.try(trial{fault: a, n: 1 + dice.IntN(8)}, trial{fault: b, n: 1 + dice.IntN(8)}))
			}
		})
	}
	t.Logf("figure: netlink, pairs of faults | %d faults in %d changes | %d ops, needed were %d, allowed %d; 0 faults",
		total.fired, total.changes, total.ops, total.needed, total.allowed)
}

// TestTrialNetlinkTrust is the control: a reconciler that takes what failed for done, and reads what it believes, must be found
// out, whatever went wrong.
func TestTrialNetlinkTrust(t *testing.T) {
	for _, fault := range []netlinkFault{{name: "EBUSY", set: refusing(kerneltest.EBUSY, 1)},
		{name: "no answer, and not done", set: refusing(tc.ErrUnknownOutcome, 1)}} {
		tried, found := 0, 0
		for _, s := range shifts() {
			inShift(t, s, func(r *shiftRig) {
				r.believing = true
				for n := 1; n <= max(r.needed[false], r.needed[true]); n++ {
					for range 2 {
						r.believer.on = true
						result := r.attempt(trial{fault, n})
						r.believer.on = false
						for _, link := range twoLinks.Links() { // the next trial begins with what the tree asks for
							r.k.AddLink(kerneltest.Link{Name: link, TxQueues: 64})
						}
						r.quiet(10 * time.Second)
						if tried += result.fired; result.fired > 0 && result.wrong != "" {
							found++
						}
					}
				}
			})
		}
		t.Logf("figure: netlink, control: %s, taken for done | %d ops | found out %d times", fault.name, tried, found)
		if found < tried || tried == 0 {
			t.Errorf("%s: the comparison overlooked %d of %d ops that were never done", fault.name, tried-found, tried)
		}
	}
}

// believer takes whatever an op is answered for success, and reads what it believes.
type believer struct {
	*stubborn
	on       bool
	believed map[string]*tc.State
}

func (b *believer) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	results := b.stubborn.Apply(ctx, ops)
	if !b.on {
		return results
	}
	for i, op := range ops {
		results[i] = tc.Result{}
		if s := b.believed[op.Link()]; s != nil {
			_ = s.Apply(op)
		}
	}
	return results
}

func (b *believer) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	seen, err := b.stubborn.Observe(ctx, links, known)
	for name, o := range seen {
		if !b.on || b.believed[name] == nil {
			b.believed[name] = o.State.Clone()
		}
		o.State = b.believed[name].Clone()
		seen[name] = o
	}
	return seen, err
}

// tally counts what was tried.
type tally struct {
	changes, fired       int
	ops, needed, allowed int
	wrong                string // what doesn't hold; only the control looks
}

func (t *tally) add(o tally) {
	t.changes += o.changes
	t.fired += o.fired
	t.ops += o.ops
	t.needed += o.needed
	t.allowed += o.allowed
}

// TestMoveInPieces lets a site stay where it was because it can't be deleted, and what is in it be made there again. That is moved when
// the site is: nobody has undone it.
func TestMoveInPieces(t *testing.T) {
	faults := map[string]netlinkFault{}
	for _, f := range netlinkFaults() {
		faults[f.name] = f
	}
	isMove := func(s shift) bool { return s.name == "a move" }
	inShift(t, shifts()[slices.IndexFunc(shifts(), isMove)], func(r *shiftRig) {
		r.try(trial{faults["EBUSY"], 2}, trial{faults["interrupted dump"], 1})
		r.k.FailWhen(func(op tc.Op) bool {
			return op.Verb == tc.Delete && op.Class != nil && op.Class.ID == tc.NewHandle(1, 7)
		}, kerneltest.EBUSY, 1)
		r.must(r.shift.back...)
		var causes []string
		for _, p := range r.quiet(50 * time.Millisecond).Problems {
			if !strings.Contains(p.Error, tc.ErrNotTried.Error()) {
				causes = append(causes, p.Object)
			}
		}
		if want := []string{"class 1:7"}; !slices.Equal(causes, want) {
			t.Errorf("problems of %q, want %q", causes, want)
		}
		r.k.Heal()
		r.quiet(time.Second)
		r.inSync()
	})
}
