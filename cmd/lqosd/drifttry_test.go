package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	link "github.com/vishvananda/netlink"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// driftTry is one time that somebody meddles with a tree.
type driftTry struct {
	f          *driftFarm
	p          *plantedTree
	name, link string
	lines      []string
	before     tcView
	was        map[string]tc.Observed
	after      tcView
}

// errRefused says that the kernel did nothing of what somebody wanted.
var errRefused = errors.New("refused")

// meddleOnce lets somebody do something, compares what is reported, and has it undone.
func (f *driftFarm) meddleOnce(ctx context.Context, p *plantedTree, names []string) (t driftTry, err error) {
	t = driftTry{f: f, p: p}
	if t.before, err = f.view(); err != nil {
		return t, err
	}
	for range 50 { // there are trees in which nothing fits
		m, err := newMeddler(ctx, f, p, t.before)
		if err != nil {
			return t, err
		}
		if len(f.deck) == 0 { // all come equally often
			f.deck = slices.Clone(names)
			f.Shuffle(len(f.deck), func(i, k int) { f.deck[i], f.deck[k] = f.deck[k], f.deck[i] })
		}
		t.name, t.link, t.was = f.deck[0], m.link, m.state
		f.deck = f.deck[1:]
		if t.lines = tcMeddlings[t.name](m); len(t.lines) == 0 {
			continue
		}
		if err := t.run(ctx); !errors.Is(err, errRefused) {
			return t, err
		}
	}
	return t, nil
}

func (t *driftTry) run(ctx context.Context) error {
	got, took, err := t.meddle(ctx)
	if err != nil {
		return err
	}
	all := t.p.differences(t.before, t.after)
	want := outermost(all, t.before, t.after)
	if took == 0 { // at the start a leaf may have any handle, if no client chose one
		want = slices.DeleteFunc(want, func(e *expectedDrift) bool { return e.kept })
	}
	if unseen[t.name] && len(want) > 0 {
		return fmt.Errorf("it should have no effect: %v", want)
	}
	spoiled, err := checkChecker(got, want)
	if err := errors.Join(checkDrift(got, want), err); err != nil {
		return err
	}
	t.f.tally.spoiled += spoiled
	if t.f.o.Drift == bakery.DriftReport {
		r, err := t.f.live(ctx)
		if err == nil {
			err = checkLive(r, all)
		}
		if err != nil {
			return err
		}
	}
	t.f.tally.count(t.name, want, took)
	return t.undo(ctx, got)
}

func (y *driftTally) count(name string, want []*expectedDrift, took time.Duration) {
	if len(want) == 0 {
		if took == 0 {
			name += ", away"
		}
		y.silent[name]++
		return
	}
	y.reported[name]++
	for _, e := range want {
		y.inside += e.inside
	}
	if took == 0 {
		y.away++
		return
	}
	y.took = append(y.took, took)
}

// meddle gives what is reported then, and after how long; 0 if the bakery wasn't there.
func (t *driftTry) meddle(ctx context.Context) (got []bakery.Drift, took time.Duration, err error) {
	f := t.f
	var began, done time.Time
	var refused []string
	do := func() (err error) {
		began = time.Now()
		_, refused, err = f.shell.run(t.lines...) // a line that the kernel refuses leaves less to report
		done = time.Now()
		if err == nil {
			t.after, err = f.view()
		}
		return err
	}
	var moment int
	away := f.IntN(6) == 0
	if away {
		err = f.restart(ctx, f.o.Drift, func() (err error) { moment, err = f.kernel.meddle(do); return err })
	} else {
		moment, err = f.kernel.meddle(do)
	}
	same := reflect.DeepEqual(t.before, t.after)
	switch {
	case err != nil:
		return nil, 0, err
	case same && len(refused) > 0 && !away:
		return nil, 0, fmt.Errorf("%w: %q", errRefused, refused)
	case same && !away:
		moment = f.kernel.prod(t.link) // the kernel may say nothing of what it doesn't do
	}
	looked := []string{t.link}
	if away {
		looked = f.links
	}
	s, err := f.digested(moment, looked...)
	if err != nil {
		return nil, 0, err
	}
	if !away {
		took = time.Since(done)
	} else if same && len(refused) > 0 {
		return nil, 0, fmt.Errorf("%w: %q", errRefused, refused)
	}
	return slices.DeleteFunc(slices.Clone(s.Drift), func(d bakery.Drift) bool { return d.Seen.Before(began) }), took, nil
}

// undo waits for the repair, or does the opposite where drift is only reported. Then nothing is open, and all is as it was.
func (t *driftTry) undo(ctx context.Context, got []bakery.Drift) error {
	f := t.f
	fate := bakery.FateRepaired
	if f.o.Drift == bakery.DriftReport {
		fate = bakery.FateGone
		if err := t.undoAsOther(ctx, got); err != nil {
			return err
		}
	}
	if t.name == "clsact" {
		if err := f.shell.do("qdisc del dev " + t.link + " clsact"); err != nil {
			return err
		}
	}
	s, err := f.inSync()
	if err != nil {
		return err
	}
	now, err := f.view()
	if err != nil {
		return err
	}
	for _, e := range t.p.differences(t.before, now) {
		if !e.kept {
			return fmt.Errorf("it was undone, and yet: %v", e)
		}
	}
	for _, d := range got {
		if !slices.ContainsFunc(s.Drift, func(e bakery.Drift) bool {
			return e.Text == d.Text && e.Seen.Equal(d.Seen) && (e.Fate == fate || e.Fate == bakery.FateKept) && e.Ended != nil
		}) {
			return fmt.Errorf("%q isn't %s", d.Text, fate)
		}
	}
	r, err := f.live(ctx)
	if err == nil && !r.Same() {
		err = fmt.Errorf("it was undone, and yet diff --live: %+v", r.Differences)
	}
	return err
}

// undoAsOther makes the link what it was, as somebody else.
func (t *driftTry) undoAsOther(ctx context.Context, got []bakery.Drift) error {
	if !slices.ContainsFunc(got, func(d bakery.Drift) bool { return d.Fate == bakery.FateOpen }) {
		return nil
	}
	f := t.f
	moment, err := f.kernel.meddle(func() error {
		is, err := f.other.Observe(ctx, []string{t.link}, nil)
		if err != nil {
			return err
		}
		for i, r := range f.other.Apply(ctx, tc.Plan(is[t.link].State, t.was[t.link].State)) {
			if r.Err != nil {
				return fmt.Errorf("undoing, op %d: %w", i, r.Err)
			}
		}
		return nil
	})
	if err == nil {
		_, err = f.digested(moment, t.link)
	}
	return err
}

// lookings are what may go on while a tree that nobody touches is looked at. Each ends with a look that is newer.
var lookings = map[string]func(ctx context.Context, f *driftFarm, p *plantedTree) error{
	"nothing": func(context.Context, *driftFarm, *plantedTree) error { return nil },
	"traffic": func(ctx context.Context, f *driftFarm, _ *plantedTree) error { return f.traffic(ctx) },
	"records": func(ctx context.Context, f *driftFarm, p *plantedTree) error { return f.records(ctx, p) },
	"a restart": func(ctx context.Context, f *driftFarm, _ *plantedTree) error {
		return f.restart(ctx, bakery.DriftPolicy(f.IntN(2)), nothing)
	},
	"another txqueuelen": func(_ context.Context, f *driftFarm, _ *plantedTree) error { return f.setLink(true, false) },
	"another MTU":        func(_ context.Context, f *driftFarm, _ *plantedTree) error { return f.setLink(false, true) },
	"somebody's clsact":  func(_ context.Context, f *driftFarm, _ *plantedTree) error { return f.clsact() },
}

// look lets something go on, and has all links looked at after it.
func (f *driftFarm) look(ctx context.Context, p *plantedTree) (doing string, err error) {
	names := slices.Sorted(maps.Keys(lookings))
	doing = names[f.IntN(len(names))]
	if err := lookings[doing](ctx, f, p); err != nil {
		return doing, err
	}
	if _, err := f.inSync(); err != nil { // and it watches
		return doing, err
	}
	_, err = f.digested(f.kernel.prod(""), f.links...)
	return doing, err
}

// setLink gives one of the links another queue length or MTU.
func (f *driftFarm) setLink(queue, mtu bool) error {
	name := f.links[f.IntN(len(f.links))]
	l, err := link.LinkByName(name)
	if err == nil && queue {
		err = link.LinkSetTxQLen(l, 500+100*f.IntN(10))
	}
	if err == nil && mtu {
		err = link.LinkSetMTU(l, 1400+20*f.IntN(10))
	}
	return err
}

func (f *driftFarm) clsact() error {
	name := f.links[f.IntN(len(f.links))]
	return f.shell.do("qdisc add dev "+name+" clsact", "qdisc del dev "+name+" clsact")
}

// records has records change the tree while it is looked at.
func (f *driftFarm) records(ctx context.Context, p *plantedTree) error {
	var looking sync.WaitGroup
	defer looking.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	looking.Go(func() {
		for ctx.Err() == nil {
			f.kernel.prod("")
			<-time.After(2 * time.Millisecond)
		}
	})
	for range 3 {
		rate, ceil := f.rate()
		var c bakery.Command
		if len(p.sites) > 0 && f.IntN(3) > 0 {
			site := p.sites[f.IntN(len(p.sites))]
			c = bakery.ExecuteTCCommands{Lines: []string{fmt.Sprintf("class change dev %s classid %s htb rate %gmbit ceil %gmbit quantum 2000", site.link, site.at, rate, ceil)}}
		} else {
			c = bakery.ExecuteTCCommands{Lines: []string{fmt.Sprintf("class replace dev %s parent 1: classid 1:e%02x htb rate %gmbit", f.down, f.IntN(9), rate)}}
		}
		if err := f.submit(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
