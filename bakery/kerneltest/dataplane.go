package kerneltest

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Dataplane is a dataplane in memory, beside a Fake: it implements [bakery.Dataplane]. At
// every write of its own and at every op of the Fake it looks whether an entry points to a
// class that isn't there; Broken tells. It is safe for concurrent use.
type Dataplane struct {
	f       *Fake // whose mutex guards all that follows
	entries map[slot]tc.Steer
	guard   guard
	writes  []string
	counts  SteerCounts
	faults  []*steerFault
	readErr error
	reading int // how often reading still fails; negative: always
	before  func(tc.Steer)
}

// slot is where a Dataplane has room for one entry.
type slot struct {
	prefix netip.Prefix
	upload bool
}

func slotOf(s tc.Steer) slot { return slot{s.Prefix, s.Upload} }

// SteerCounts are how often a Dataplane was asked since it was made or Reset.
type SteerCounts struct {
	Reads, Calls int // of Steers and Steer
	Set, Dropped int // entries
}

// steerFault is a call of Steer that fails.
type steerFault struct {
	in   int // calls until then; 1 is the next
	done int // entries that are written before it fails
	err  error
}

// NewDataplane is an empty Dataplane whose entries point to classes of f, on the links of
// roles.
func NewDataplane(f *Fake, roles bakery.Roles) *Dataplane {
	d := &Dataplane{f: f, entries: map[slot]tc.Steer{}, guard: newGuard(roles)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planes = append(f.planes, d)
	return d
}

// Steers reads the entries.
func (d *Dataplane) Steers(ctx context.Context) ([]tc.Steer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.counts.Reads++
	if d.reading != 0 {
		d.reading--
		d.guard.blind = true
		return nil, d.readErr
	}
	d.guard.read(d)
	return slices.Collect(maps.Values(d.entries)), nil
}

// Steer writes entries one by one. When ctx ends, what remains isn't done.
func (d *Dataplane) Steer(ctx context.Context, set, drop []tc.Steer) error {
	if len(set)+len(drop) == 0 {
		return nil
	}
	fault := d.call()
	for i, s := range append(slices.Clone(set), drop...) {
		if before := d.hook(); before != nil {
			before(s)
		}
		err := ctx.Err()
		if fault != nil && i >= fault.done {
			err = fault.err
		}
		if err != nil {
			d.fail()
			return err
		}
		d.write(s, i < len(set))
	}
	if fault != nil {
		d.fail()
		return fault.err
	}
	return nil
}

// call counts a call, and gives the fault that it meets.
func (d *Dataplane) call() (hit *steerFault) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.counts.Calls++
	for _, f := range d.faults {
		if f.in--; f.in == 0 {
			hit = f
		}
	}
	return hit
}

func (d *Dataplane) hook() func(tc.Steer) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return d.before
}

func (d *Dataplane) fail() {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.guard.blind = true
}

func (d *Dataplane) write(s tc.Steer, set bool) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	at := slotOf(s)
	delete(d.guard.excused, d.entries[at])
	delete(d.guard.foreign, at)
	if !set {
		delete(d.entries, at)
		d.counts.Dropped++
		d.writes = append(d.writes, "drop "+s.String())
		return
	}
	d.entries[at] = s
	d.counts.Set++
	event := "set " + s.String()
	d.writes = append(d.writes, event)
	d.guard.checkOne(d, s, event)
}

// Meddle changes entries as somebody else.
func (d *Dataplane) Meddle(set, drop []tc.Steer) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	for _, s := range drop {
		delete(d.entries, slotOf(s))
	}
	for _, s := range set {
		d.entries[slotOf(s)] = s
		d.guard.foreign[slotOf(s)] = true
	}
}

// Entries are what it has, in the order of tc.CompareSteers, for tests that don't want to
// count as a reading.
func (d *Dataplane) Entries() []tc.Steer {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.entries), tc.CompareSteers)
}

// Writes are the entries that were written since the last Reset, in order: "set 10.0.0.1/32
// down → 1:4 cpu 0".
func (d *Dataplane) Writes() []string {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return slices.Clone(d.writes)
}

// Counts tells how often it was asked since the last Reset.
func (d *Dataplane) Counts() SteerCounts {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return d.counts
}

// Reset forgets what was recorded. Entries and faults stay.
func (d *Dataplane) Reset() {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.writes, d.counts = nil, SteerCounts{}
}

// FailSteer makes the nth call of Steer from now on fail with err, after it has written done
// entries.
func (d *Dataplane) FailSteer(n, done int, err error) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.faults = append(d.faults, &steerFault{in: n, done: done, err: err})
}

// FailSteers makes the next readings fail, times of them, and always if times is negative.
func (d *Dataplane) FailSteers(err error, times int) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.readErr, d.reading = err, times
}

// Heal takes all faults back.
func (d *Dataplane) Heal() {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.faults, d.reading = nil, 0
}

// Before calls hook ahead of every entry that Steer writes; nil ends that.
func (d *Dataplane) Before(hook func(tc.Steer)) {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	d.before = hook
}

// Broken are the moments at which an entry pointed to a class that wasn't there, and whoever
// wrote could have known it.
func (d *Dataplane) Broken() []string {
	d.f.mu.Lock()
	defer d.f.mu.Unlock()
	return slices.Clone(d.guard.broken)
}
