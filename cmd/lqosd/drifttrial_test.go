package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/internal/testenv"
)

// soon is how long drift may take to be seen, as the README says. It is the median that must keep to it: a busy machine lets a daemon wait.
const soon = time.Second

// TestTrialDrift meddles with random trees of a real kernel by tc(8), and compares what is reported with what tc(8) shows
// before and after: each is reported with its object, its fields, what they were and what they are, and nothing else is. Of
// trees that nobody touches nothing is reported.
func TestTrialDrift(t *testing.T) {
	t.Parallel() // in a namespace of its own
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.Root, testenv.TC)
		driftTrial(t, "namespace", plainLeafs, testenv.Tries(500, 5000), testenv.Tries(500, 5000))
	})
}

// TestTrialDriftWithCake does it where there are cake, fq_codel and the others.
func TestTrialDriftWithCake(t *testing.T) {
	t.Parallel() // its machine has one processor
	inCakeVM(t, 1024, func(t *testing.T) {
		driftTrial(t, "with cake", cakeLeafs, testenv.Tries(200, 2000), testenv.Tries(50, 500))
	})
}

// driftTally is what a farm has tried.
type driftTally struct {
	trees, looks int
	doing        map[string]int // what went on before looks
	reported     map[string]int // meddlings with an effect, by name
	silent       map[string]int // those without
	inside       int            // differences in objects that were reported as a whole
	spoiled      int            // reports, for checkDrift to notice
	away         int            // made while there was no bakery
	took         []time.Duration
}

func driftTrial(t *testing.T, where string, leafs []func(*grower) string, meddlings, trees int) {
	dice := testenv.Dice(t)
	farms := make([]*driftFarm, len(farmKinds))
	for i := range farms {
		farms[i] = newDriftFarm(t.Context(), t, i, leafs, rand.New(rand.NewPCG(dice.Uint64(), 0)))
	}
	share := func(n, i int) int { return (n + i) / len(farms) } // they add up
	beside(t, farms, func(i int, f *driftFarm) error { return f.undisturbed(t.Context(), share(trees, i)) })
	beside(t, farms, func(i int, f *driftFarm) error { return f.meddled(t.Context(), share(meddlings, i), meddlingNames()) })
	if t.Failed() {
		return
	}
	printDrift(t, where, farms)
	driftControls(t, where, farms)
}

// beside runs all farms at once: most of the time each waits.
func beside(t *testing.T, farms []*driftFarm, body func(i int, f *driftFarm) error) {
	var all sync.WaitGroup
	for i, f := range farms {
		all.Go(func() {
			if err := body(i, f); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		})
	}
	all.Wait()
}

// printDrift prints the figures, and makes sure that all was tried that there is.
func printDrift(t *testing.T, where string, farms []*driftFarm) {
	sum := driftTally{doing: map[string]int{}, reported: map[string]int{}, silent: map[string]int{}}
	for _, f := range farms {
		sum.trees += f.tally.trees
		sum.looks += f.tally.looks
		sum.inside += f.tally.inside
		sum.away += f.tally.away
		sum.spoiled += f.tally.spoiled
		sum.took = append(sum.took, f.tally.took...)
		add(sum.doing, f.tally.doing)
		add(sum.reported, f.tally.reported)
		add(sum.silent, f.tally.silent)
	}
	slices.Sort(sum.took)
	median := sum.took[len(sum.took)/2]
	if median > soon {
		t.Errorf("half of the meddlings were seen after %v, want %v at most", median, soon)
	}
	n := total(sum.reported)
	t.Logf("figure: drift %s, undisturbed | %d trees, %d looks, some after: %s | nothing reported", where, sum.trees, sum.looks, counts(sum.doing))
	t.Logf("figure: drift %s, meddled | %d: %s; %d of them while the daemon was away | %d reported with object and fields, 0 missed, nothing else reported; after %v (median), %v at most",
		where, n, counts(sum.reported), sum.away, n, median.Round(time.Millisecond), sum.took[len(sum.took)-1].Round(time.Millisecond))
	t.Logf("figure: drift %s, control: reports that lack an entry, have one too many, or another field or value | %d | found out", where, sum.spoiled)
	t.Logf("figure: drift %s, what nobody looks at | %d: %s | nothing reported", where, total(sum.silent), counts(sum.silent))
	for name := range tcMeddlings {
		if sum.reported[name]+sum.silent[name] == 0 {
			t.Errorf("nobody tried: %s", name)
		}
	}
}

func add(sum, more map[string]int) {
	for name, n := range more {
		sum[name] += n
	}
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func counts(by map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		list = append(list, fmt.Sprintf("%s %d", name, by[name]))
	}
	return strings.Join(list, ", ")
}

const treesInChapter = 12

// undisturbed plants trees and has them looked at, while this and that goes on. Nothing may be reported.
func (f *driftFarm) undisturbed(ctx context.Context, trees int) error {
	before := f.kernel.looks
	f.tally.doing = map[string]int{}
	for i := range trees {
		if i%treesInChapter == 0 {
			if err := f.chapter(ctx); err != nil {
				return err
			}
		}
		p, err := f.plant(ctx)
		if err != nil {
			return err
		}
		for range 2 {
			doing, err := f.look(ctx, p)
			if f.tally.doing[doing]++; err == nil {
				err = f.nothingReported(ctx)
			}
			if err != nil {
				return fmt.Errorf("tree %d, %s: %w", i, doing, err)
			}
		}
		f.tally.trees++
	}
	f.tally.looks += f.kernel.looks - before
	return nil
}

func (f *driftFarm) nothingReported(ctx context.Context) error {
	s, err := f.inSync()
	if err != nil {
		return err
	}
	if s.DriftTotal > 0 {
		return fmt.Errorf("nobody did anything, and it reports %d: %q", s.DriftTotal, s.Drift[0].Text)
	}
	r, err := f.live(ctx)
	if err == nil && !r.Same() {
		err = fmt.Errorf("diff --live: %+v", r.Differences)
	}
	return err
}

// meddled plants trees, and lets somebody meddle with each a few times.
func (f *driftFarm) meddled(ctx context.Context, meddlings int, names []string) error {
	f.deck = nil
	f.tally.reported, f.tally.silent = map[string]int{}, map[string]int{}
	for i := 0; total(f.tally.reported) < meddlings; i++ {
		if i%treesInChapter == 0 {
			if err := f.chapter(ctx); err != nil {
				return err
			}
		}
		policy := bakery.DriftPolicy(f.IntN(2))
		if err := f.restart(ctx, policy, nothing); err != nil {
			return err
		}
		p, err := f.plant(ctx)
		if err != nil {
			return err
		}
		for range min(3, meddlings-total(f.tally.reported)) {
			if t, err := f.meddleOnce(ctx, p, names); err != nil {
				return fmt.Errorf("tree %d, policy %d, %s: %w\n%s", i, policy, t.name, err, strings.Join(t.lines, "\n"))
			}
		}
	}
	return nil
}

// driftControls are detectors that are wrong. The trial must notice.
func driftControls(t *testing.T, where string, farms []*driftFarm) {
	f := farms[0]
	prios := map[string]uint32{}
	f.kernel.blind = func(all map[string]tc.Observed) {
		for link, o := range all {
			for c := range o.State.Classes(link) {
				k := fmt.Sprint(link, c.ID, c.Parent)
				if was, known := prios[k]; known && was != c.HTB.Prio {
					c.HTB.Prio = was
					_ = o.State.Apply(tc.Op{Verb: tc.Change, Class: &c})
				}
				prios[k] = c.HTB.Prio
			}
		}
	}
	f.kernel.wrote = func() { clear(prios) } // it knows what it has set itself
	f.controlled(t, where, "a detector that doesn't look at prio", "not reported: changed class", func() error {
		return f.meddled(t.Context(), 10, []string{"class prio", "class rate"})
	})
	f.kernel.wrote = nil
	f.kernel.blind = func(all map[string]tc.Observed) {
		for link, o := range all {
			for c := range o.State.Classes(link) {
				if f.kernel.looks%9 == 8 && c.HTB.Cburst > 0 {
					c.HTB.Cburst++
					_ = o.State.Apply(tc.Op{Verb: tc.Change, Class: &c})
					return
				}
			}
		}
	}
	f.controlled(t, where, "a detector that reads a cburst wrong now and then", "nobody did anything", func() error {
		return f.undisturbed(t.Context(), 20)
	})
}

// controlled wants a try to fail, and to say why.
func (f *driftFarm) controlled(t *testing.T, where, what, says string, try func() error) {
	f.tally = driftTally{}
	err := try()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: it ends with %v", what, err)
		return
	}
	t.Logf("figure: drift %s, control: %s | %d meddlings, %d trees | found out", where, what, total(f.tally.reported), f.tally.trees)
	t.Log(err)
}
