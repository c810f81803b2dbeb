package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// row is a line of the table: one thing that we do, and what it is compared with.
type row struct {
	key           string // names the row in bench.json
	what, against string // in words
	goal          goal
	root          bool  // needs a kernel that it may program
	disk          bool  // both wait for the disk in different shares: another disk gives another ratio
	pairs         int   // how often both are measured, one after the other
	sizes         []int // at which growth is measured; none: it isn't
	// prepare makes a function that measures both once. What it adds to the stand's cleanup is undone after the row.
	prepare func(ctx context.Context, s *stand) (pair, error)
}

// pair measures us and the other.
type pair func(ctx context.Context) (ours, other sample, err error)

// sample is one measurement: so much for so many units.
type sample struct {
	took  time.Duration
	bytes int // instead of a time
	units int // what it is given per; 0: nothing, it is given as a whole
	unit  string
	own   time.Duration // what of took our own code computed, where a kernel works for it; 0: that isn't told
}

// all is what was measured, in nanoseconds or bytes.
func (s sample) all() float64 { return float64(max(int(s.took), s.bytes)) }

// each is that for a unit.
func (s sample) each() float64 { return s.all() / float64(max(s.units, 1)) }

func (s sample) measure() string {
	if s.bytes > 0 {
		return "bytes"
	}
	return "ns"
}

// goal is what a ratio must be. The zero goal is met by any.
type goal struct {
	atMost  float64 // times as much as the other
	atLeast float64 // times as fast as the other
}

func (g goal) String() string {
	switch {
	case g.atMost > 0:
		return fmt.Sprintf("≤ %g ×", g.atMost)
	case g.atLeast > 0:
		return fmt.Sprintf("≥ %g × as fast", g.atLeast)
	}
	return "–"
}

// ratio is what the goal speaks of, of ours and the other's.
func (g goal) ratio(ours, other float64) float64 {
	if g.atLeast > 0 {
		return other / ours
	}
	return ours / other
}

func (g goal) met(ratio float64) bool {
	return (g.atMost == 0 || ratio <= g.atMost) && (g.atLeast == 0 || ratio >= g.atLeast)
}

// worse says whether a ratio is worse than an earlier one by more than half.
func (g goal) worse(ratio, earlier float64) bool {
	if g.atLeast > 0 {
		return ratio < earlier/1.5
	}
	return ratio > earlier*1.5
}

// measure measures a row: the ratio is the median of those of the pairs, so that what slows the machine down for a while meets both.
func (r row) measure(ctx context.Context, s *stand) (m result, err error) {
	n := r.pairs
	if s.smoke {
		n = min(n, smokePairs)
	}
	var ours, others, ratios []float64
	var kind sample
	err = r.repeat(ctx, s, n, func(a, b sample) {
		kind = a
		ours, others = append(ours, a.each()), append(others, b.each())
		ratios = append(ratios, r.goal.ratio(a.each(), b.each()))
	})
	if err != nil {
		return m, err
	}
	slices.Sort(ratios)
	m = result{Key: r.key, What: r.what, Against: r.against, Measure: kind.measure(), Unit: kind.unit, Pairs: n, Goal: r.goal.String(), goal: r.goal,
		Ours: median(ours), Other: median(others), Ratio: median(ratios), Least: ratios[0], Most: ratios[n-1], disk: r.disk, small: s.smoke}
	m.Met = r.goal.met(m.Ratio)
	return m, nil
}

// repeat prepares a row and measures n pairs.
func (r row) repeat(ctx context.Context, s *stand, n int, take func(ours, other sample)) (err error) {
	defer func() { err = errors.Join(err, s.cleanUp()) }()
	one, err := r.prepare(ctx, s)
	if err != nil {
		return err
	}
	for range n {
		a, b, err := one(ctx)
		if err != nil {
			return err
		}
		take(a, b)
	}
	return nil
}

const smokePairs = 3

// median is the middle one, or the mean of the two in the middle.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
