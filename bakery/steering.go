package bakery

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

const (
	// resteerEvery is how often the dataplane is read though nobody told of a change: often,
	// because nobody can, but reading takes at most a part in resteerShare of the time.
	resteerEvery = time.Second
	resteerShare = 20
)

// dataplaneKey is the problem of a dataplane that can't be read or written.
var dataplaneKey = key{text: "dataplane"}

// steering is what the reconciler knows of the dataplane. A nil one is that of a bakery
// without a dataplane.
type steering struct {
	d Dataplane

	has      []tc.Steer // what the dataplane has, in order: as it was read, with our own writes since
	fresh    bool       // has was read, and no write has failed since
	seen     bool       // it was read once
	readAt   time.Time
	readTook time.Duration
	unsure   map[steerPlace]bool // what the write that failed was about

	// drifted is what somebody else changed and we didn't write since: what it was.
	drifted map[steerPlace]steerEntry

	// What has was compared with last, and whether the classes of the kernel or has are
	// others since.
	mapped eventlog.Seq
	roles  Roles
	stale  bool

	waiting  int       // mappings without a class
	lingers  int       // entries that records removed, and that go when the commands are quiet
	lingerAt time.Time // since when
	dropAt   time.Time // when they go if nothing more comes
	blocked  bool      // the classes of the kernel aren't known

	writes, reads uint64
}

// steerPlace is where a dataplane has room for one entry.
type steerPlace struct {
	prefix netip.Prefix
	upload bool
}

func placeOf(s tc.Steer) steerPlace { return steerPlace{s.Prefix, s.Upload} }

// steer is an entry of the place that leads nowhere.
func (p steerPlace) steer() tc.Steer { return tc.Steer{Prefix: p.prefix, Upload: p.upload} }

func comparePlaces(a, b steerPlace) int { return tc.CompareSteers(a.steer(), b.steer()) }

// steerEntry is what is in a place, if there is anything.
type steerEntry struct {
	tc.Steer
	there bool
}

// entryAt is what a sorted list has in a place.
func entryAt(list []tc.Steer, p steerPlace) steerEntry {
	i, there := slices.BinarySearchFunc(list, p.steer(), tc.CompareSteers)
	if !there {
		return steerEntry{}
	}
	return steerEntry{list[i], true}
}

func newSteering(d Dataplane) *steering {
	if d == nil {
		return nil
	}
	return &steering{d: d, stale: true}
}

// classesChanged notes that a class came or went.
func (s *steering) classesChanged() {
	if s != nil {
		s.stale = true
	}
}

// doubt makes everything be read and compared again.
func (s *steering) doubt() { s.fresh, s.stale = false, true }

// forget makes a dataplane of which nothing is known, not even what was written last.
func (s *steering) forget() {
	if s != nil {
		s.doubt()
		s.seen, s.drifted = false, nil
	}
}

// settling reports whether something that records removed is still there.
func (s *steering) settling() bool { return s != nil && s.fresh && s.lingers > 0 }

// nextTime is when to look without being woken; zero if a problem says that.
func (s *steering) nextTime() time.Time {
	if s == nil || !s.fresh {
		return time.Time{}
	}
	next := s.readTime()
	if s.lingers > 0 && !s.blocked && s.dropAt.Before(next) {
		next = s.dropAt
	}
	return next
}

func (s *steering) readTime() time.Time {
	return s.readAt.Add(max(resteerEvery, resteerShare*s.readTook))
}

// lookAtSteers reads the dataplane if it isn't known, or if that was a while ago.
func (r *reconciler) lookAtSteers(ctx context.Context, tree *Tree) {
	s := r.steering
	if s == nil || r.problems.waits(dataplaneKey, r.o.Now()) || s.fresh && s.readTime().After(r.o.Now()) {
		return
	}
	r.readSteers(ctx, tree)
}

func (r *reconciler) readSteers(ctx context.Context, tree *Tree) {
	s := r.steering
	began := r.o.Now()
	has, err := s.d.Steers(ctx)
	if ctx.Err() != nil {
		return
	}
	s.reads++
	slices.SortFunc(has, tc.CompareSteers)
	s.readAt = r.o.Now()
	s.readTook = s.readAt.Sub(began)
	if err != nil {
		s.doubt()
		r.steerProblem(err)
		return
	}
	if s.seen {
		r.findSteerDrift(tree, has)
	}
	s.stale = s.stale || !s.fresh || !slices.Equal(s.has, has)
	s.has, s.fresh, s.seen, s.unsure = has, true, true, nil
}

// steer brings the dataplane to what the mappings ask for, as far as the kernel has the
// classes. What records removed stays until the commands have been quiet for a while, if its
// class does: who clears all mappings and sends them again changes nothing.
func (r *reconciler) steer(ctx context.Context, tree *Tree) {
	s := r.steering
	if s == nil || !s.fresh || tree.Seq == 0 { // of an empty log nothing there is anybody's
		return
	}
	if s.blocked = !r.knowsClasses(); s.blocked {
		delete(r.problems, dataplaneKey)
		return
	}
	now := r.o.Now()
	since := s.lingerAt
	if s.lingers == 0 {
		since = now
	}
	s.dropAt = earlier(r.h.lastCommand().Add(r.o.Settle), since.Add(r.o.SettleMax))
	due := !s.dropAt.After(now) || tree.statedAt != 0 && tree.statedAt == tree.mapped // a batch is whole
	if tree.mapped == s.mapped && r.roles == s.roles && !s.stale && (s.lingers == 0 || !due) {
		return
	}
	c := steerChange{s: s, tree: tree, roles: r.roles, exists: r.hasClass, report: r.o.Drift == DriftReport, due: due}
	s.waiting = c.compute()
	if !r.write(ctx, c.set, c.drop) {
		return
	}
	s.has, s.lingers, s.lingerAt = c.next, c.lingers, since
	s.mapped, s.roles, s.stale = tree.mapped, r.roles, false
	delete(r.problems, dataplaneKey)
	r.endSteerDrift(c)
}

// write changes entries; false when that failed.
func (r *reconciler) write(ctx context.Context, set, drop []tc.Steer) bool {
	if len(set)+len(drop) == 0 {
		return true
	}
	s := r.steering
	err := s.d.Steer(ctx, set, drop)
	if err == nil {
		s.writes += uint64(len(set) + len(drop))
		r.o.Logger.Debug("steered", "set", len(set), "dropped", len(drop))
		return true
	}
	s.doubt()
	if s.unsure == nil {
		s.unsure = make(map[steerPlace]bool, len(set)+len(drop))
	}
	for _, list := range [][]tc.Steer{set, drop} {
		for _, e := range list {
			s.unsure[placeOf(e)] = true
		}
	}
	if ctx.Err() == nil {
		r.steerProblem(err)
	}
	return false
}

func (r *reconciler) steerProblem(err error) {
	if _, again := r.problems[dataplaneKey]; !again {
		r.o.Logger.Warn("steering", "err", err)
	}
	r.problems.add(r.o.Now(), Problem{Object: "dataplane", Error: err.Error(), at: dataplaneKey})
}

// hasClass reports a class that the kernel has, as far as it is known.
func (r *reconciler) hasClass(link string, class tc.Handle) bool {
	l := r.links[link]
	if l == nil || !l.there {
		return false
	}
	_, ok := l.seen.State.Class(link, class)
	return ok
}

// knowsClasses reports whether the links were read, and nothing that failed since can have
// been a class. One that nobody asked for anything on has none of ours.
func (r *reconciler) knowsClasses() bool {
	for _, name := range []string{r.roles.Down, r.roles.Up} {
		if l := r.links[name]; l != nil && (!l.looked || l.unsure) {
			return false
		}
	}
	return true
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
