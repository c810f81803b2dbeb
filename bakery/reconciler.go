package bakery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

const (
	// compareEvery is how often the links are read though nobody told of a change, and
	// blindEvery how often while nobody can tell.
	compareEvery = 30 * time.Second
	blindEvery   = 500 * time.Millisecond
	// foreignQuiet is how long others may go on changing a link before it is read.
	foreignQuiet = 30 * time.Millisecond
	// rewatchEvery is the pause before watching is tried again.
	rewatchEvery = time.Second
	// treeRetry is the pause before a Tree that couldn't be had is asked for again.
	treeRetry = time.Second
)

// reconciler is the goroutine that brings the kernel to what the Tree asks for. It is
// level-triggered: whatever woke it, it reads what it doesn't know, compares, and does
// what is missing.
//
//	Tree ─▶ wanted (canonical) ─┐
//	                            ├─ Diff, Plan ─▶ Apply ─▶ read again ─▶ cursor, status
//	kernel ─▶ has ──────────────┘
//	            └─ against what the applied records made of it: drift
type reconciler struct {
	o    Options
	k    Kernel
	h    *Handle
	host tc.Host
	wake chan struct{} // capacity 1, coalesces: there may be something to do

	links    map[string]*managedLink
	roles    Roles     // of the newest Tree
	steering *steering // nil: there is no dataplane
	problems problems
	drift    driftBook
	warned   []KernelNotice
	ran      map[string]bool // digests of the opaque lines that were run
	applied  applied         // as the cursor has it
	base     *Tree           // at the start: what the cursor stands for; nil: not known
	doubts   doubts          // at the start: what the kernel may have besides
	done     eventlog.Seq    // as applied.Seq, once the kernel was seen to have it

	generation uint64 // of the Tree that is being applied

	resetSeen time.Time // when the reset that waits was seen; zero if none does
	settleAt  time.Time // when it is applied if nothing more comes
	retryTree time.Time

	collecting sync.WaitGroup // garbage, beside other work

	writes, reads, refused uint64
	lastRead, lastDue      time.Time     // when the links were read, and when that was due without a cause
	readTook               time.Duration // the last time

	mu       sync.Mutex
	stale    map[string]bool // links that somebody else changed; "" is all of them
	watchErr error           // nobody tells of changes
}

func newReconciler(o Options, h *Handle, a applied, base *Tree) *reconciler {
	r := &reconciler{o: o, k: o.Kernel, h: h, host: o.Kernel.Host(), wake: h.applyWake, links: map[string]*managedLink{},
		steering: newSteering(o.Dataplane), problems: problems{}, ran: map[string]bool{}, applied: a, generation: a.Generation,
		stale: map[string]bool{}, lastRead: o.Now()}
	if id := r.k.Identity(); a.Identity != id {
		r.applied, r.generation = applied{Identity: id}, 0 // nothing of it is left
		return r
	}
	r.base = base
	for name := range a.Links {
		r.links[name] = &managedLink{name: name}
	}
	r.restoreRan(a.Ran)
	return r
}

// run reconciles until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	defer r.collecting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching.Go(func() { r.watch(ctx) })
	r.publish(PhaseStarting)
	for ctx.Err() == nil {
		if r.careful(ctx) {
			continue
		}
		r.rest(ctx)
	}
}

// careful is step; a mistake in it must not take the bus down, nor be made at every start.
// It is shown as a problem, and everything is read again after a while.
func (r *reconciler) careful(ctx context.Context) (again bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		r.o.Logger.Error("the applier panicked", "panic", p, "stack", string(debug.Stack()))
		now := r.o.Now()
		for name, l := range r.links {
			r.links[name] = &managedLink{name: name, ours: l.ours}
		}
		r.steering.forget()
		r.problems = problems{readKey: {Object: "applier", Error: fmt.Sprintf("it panicked: %v", p), Since: now, Tried: 1,
			Next: now.Add(lastRetry), at: readKey}}
		r.publish(PhaseDiffers)
	}()
	return r.step(ctx)
}

// rest waits until there may be something to do. While others are changing things it
// gives them a moment, so that what belongs together is seen together.
func (r *reconciler) rest(ctx context.Context) {
	pause := max(r.nextTime().Sub(r.o.Now()), time.Millisecond)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-r.wake:
	case <-timer.C:
		r.compareWhenDue()
	case <-ctx.Done():
		return
	}
	if !r.touched() {
		return
	}
	quiet := time.NewTimer(max(foreignQuiet, r.readTook))
	defer quiet.Stop()
	select {
	case <-quiet.C:
	case <-ctx.Done():
	}
}

// nextTime is when to look without being woken.
func (r *reconciler) nextTime() time.Time {
	next := r.compareTime()
	tries, steers := r.problems.next(), r.steering.nextTime()
	if !r.settleAt.IsZero() || !r.retryTree.IsZero() { // nothing is tried before
		tries, steers = time.Time{}, time.Time{}
	}
	for _, t := range []time.Time{tries, steers, r.settleAt, r.retryTree} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

func (r *reconciler) compareTime() time.Time {
	last := r.lastRead
	if last.Before(r.lastDue) {
		last = r.lastDue
	}
	if r.watchError() != nil {
		return last.Add(blindEvery)
	}
	return last.Add(compareEvery)
}

func (r *reconciler) compareWhenDue() {
	if now := r.o.Now(); !r.compareTime().After(now) {
		r.lastDue = now
		r.changed("")
	}
}

// watch keeps watching what others change.
func (r *reconciler) watch(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.k.Watch(ctx, r.changedByOthers)
		if ctx.Err() != nil {
			return
		}
		r.setWatchError(fmt.Errorf("nobody tells of changes, the links are read every %v: %w", blindEvery, err))
		r.o.Logger.Warn("watching the kernel", "err", err)
		r.h.wakeApplier()
		timer := time.NewTimer(rewatchEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func (r *reconciler) changedByOthers(link string) {
	if link == "" { // it watches
		r.setWatchError(nil)
	}
	r.changed(link)
}

// changed notes that a link may have changed, "" any.
func (r *reconciler) changed(link string) {
	r.mu.Lock()
	r.stale[link] = true
	r.mu.Unlock()
	r.h.wakeApplier()
}

func (r *reconciler) touched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.stale) > 0
}

func (r *reconciler) watchError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watchErr
}

func (r *reconciler) setWatchError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.watchErr = err
}

// takeStale makes the links be read that somebody changed, those that weren't there too.
func (r *reconciler) takeStale() {
	r.mu.Lock()
	stale := r.stale
	r.stale = map[string]bool{}
	r.mu.Unlock()
	for name, l := range r.links {
		if stale[""] || stale[name] {
			l.fresh = false
			r.problems.hurry(linkKey(name), r.o.Now())
		}
	}
}

// step does all that can be done now. It is to be called again at once when it says so:
// what was written has to be read.
func (r *reconciler) step(ctx context.Context) (again bool) {
	r.retryTree = time.Time{}
	tree, roles, err := r.h.treeAndRoles(ctx)
	if err != nil {
		r.retryTree = r.o.Now().Add(treeRetry)
		if !errors.Is(err, ErrLogUnavailable) && !errors.Is(err, ErrStopped) && ctx.Err() == nil {
			r.o.Logger.Warn("applying: no tree", "err", err)
		}
		return false
	}
	r.roles = roles
	r.observe(ctx, tree)
	if !r.settled(tree) {
		for _, l := range r.known() {
			if l.reread {
				r.compare(l, tree, false)
			}
		}
		r.publish(PhaseSettling)
		return false
	}
	r.generation = tree.Generation
	r.lookAtSteers(ctx, tree)
	for _, l := range r.known() {
		if l.inOrder(tree) || l.untouched(tree) && !r.o.whole {
			continue
		}
		var w work
		if at, little := r.part(l, tree); little {
			w = r.onlyPart(l, tree, at)
		} else {
			w = r.compare(l, tree, true)
		}
		again = r.bring(ctx, l, tree, w) || again
		if ctx.Err() != nil {
			return false
		}
	}
	r.steer(ctx, tree)
	if again {
		r.publish(PhaseApplying)
		return true
	}
	if _, unread := r.problems[readKey]; unread {
		r.publish(PhaseDiffers)
		return false
	}
	r.runLines(ctx, tree)
	switch {
	case ctx.Err() != nil:
	case r.steering.settling():
		r.publish(PhaseSettling)
	case r.problems[dataplaneKey].Tried == 1:
		r.publish(PhaseDiffers) // it isn't known yet what records removed
	default:
		r.finish(tree)
	}
	return false
}

// known are the links whose contents are known, in order.
func (r *reconciler) known() []*managedLink {
	var list []*managedLink
	for _, name := range slices.Sorted(maps.Keys(r.links)) {
		if l := r.links[name]; l.there && l.fresh {
			list = append(list, l)
		}
	}
	return list
}

// settled reports whether tree may be applied now. A reset over a live tree waits until
// the commands have been quiet for a while; what a batch stated is whole and goes at once.
func (r *reconciler) settled(tree *Tree) bool {
	r.settleAt = time.Time{}
	_, unread := r.problems[readKey]
	live := unread || slices.ContainsFunc(r.known(), func(l *managedLink) bool { return l.seen.State.ClassCount(l.name) > 0 })
	if tree.Generation == r.generation || !live || tree.isStated() {
		r.resetSeen = time.Time{}
		return true
	}
	now := r.o.Now()
	if r.resetSeen.IsZero() {
		r.resetSeen = now
	}
	quiet, latest := r.h.lastAsked().Add(r.o.Settle), r.resetSeen.Add(r.o.SettleMax)
	r.settleAt = quiet
	if latest.Before(quiet) {
		r.settleAt = latest
	}
	if r.settleAt.After(now) {
		return false
	}
	r.settleAt, r.resetSeen = time.Time{}, time.Time{}
	return true
}

// finish notes that everything up to tree was brought to the kernel.
func (r *reconciler) finish(tree *Tree) {
	r.applied.Seq, r.applied.Generation, r.done = tree.Seq, tree.Generation, tree.Seq
	r.noteOwned()
	r.base = nil
	phase := PhaseInSync
	if len(r.problems) > 0 || len(r.drift.open) > 0 {
		phase = PhaseDiffers
	}
	r.publish(phase)
}

// noteOwned notes in the cursor what of ours is on the links, with how far the kernel has
// come.
func (r *reconciler) noteOwned() {
	r.applied.Links = map[string]appliedLink{}
	for name, l := range r.links {
		if !l.idle() {
			r.applied.Links[name] = l.ours
		}
	}
	r.applied.Ran = r.ranDigests()
	r.h.setCursor(r.applied.encode(), r.o.Logger)
}

func (r *reconciler) publish(phase Phase) {
	s := &KernelStatus{Phase: phase, Applied: r.done, Links: []KernelLink{}, Writes: r.writes, Reads: r.reads,
		Refused: r.refused, Read: r.lastRead, Warned: slices.Clone(r.warned), Drift: r.drift.list(),
		DriftOpen: len(r.drift.open), DriftTotal: r.drift.total}
	if err := r.watchError(); err != nil {
		r.problems[key{text: "watch"}] = Problem{Object: "watch", Error: err.Error(), Since: r.lastRead, Tried: 1}
	} else {
		delete(r.problems, key{text: "watch"})
	}
	s.all = r.problems.listed()
	s.Problems, s.ProblemsTotal = s.all[:min(len(s.all), maxListed)], len(s.all)
	switch {
	case !r.settleAt.IsZero():
		at := r.settleAt
		s.Settles = &at
	case r.steering.settling():
		at := r.steering.dropAt
		s.Settles = &at
	}
	s.Steering = r.steering.status()
	for _, name := range slices.Sorted(maps.Keys(r.links)) {
		l := r.links[name]
		k := KernelLink{Name: name, There: l.there, Index: l.seen.Index}
		if l.there {
			k.Qdiscs, k.Classes = l.seen.State.QdiscCount(name), l.seen.State.ClassCount(name)
		}
		s.Links = append(s.Links, k)
	}
	r.h.kernel.set(s)
}
