package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// row is a line of the table: one thing that we do, and what it is compared with.
type row struct {
	key           string // names the row in bench.json
	what, against string // in words
	goal          goal
	root          bool // needs a kernel that it may program
	pairs         int  // how often both are measured, one after the other
	// prepare makes a function that measures both once. What it adds to the stand's cleanup is undone after the row.
	prepare func(ctx context.Context, s *stand) (pair, error)
}

// pair measures us and the other.
type pair func(ctx context.Context) (ours, other sample, err error)

// sample is one measurement: so long for so many units.
type sample struct {
	took  time.Duration
	units int // what it is given per; 0: nothing, it is given as a whole
	unit  string
}

// each is the time for a unit.
func (s sample) each() time.Duration { return s.took / time.Duration(max(s.units, 1)) }

// goal is what a ratio must be. The zero goal is met by any.
type goal struct {
	atMost  float64 // times as long as the other
	atLeast float64 // times as fast as the other
}

func (g goal) String() string {
	switch {
	case g.atMost > 0:
		return fmt.Sprintf("≤ %g × its time", g.atMost)
	case g.atLeast > 0:
		return fmt.Sprintf("≥ %g × as fast", g.atLeast)
	}
	return "–"
}

// ratio is what the goal speaks of, of our time and the other's.
func (g goal) ratio(ours, other time.Duration) float64 {
	if g.atLeast > 0 {
		return other.Seconds() / ours.Seconds()
	}
	return ours.Seconds() / other.Seconds()
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
	defer func() {
		if e := s.cleanUp(); err == nil {
			err = e
		}
	}()
	one, err := r.prepare(ctx, s)
	if err != nil {
		return m, err
	}
	n := r.pairs
	if s.smoke {
		n = min(n, smokePairs)
	}
	var ours, others []time.Duration
	var ratios []float64
	var unit string
	for range n {
		a, b, err := one(ctx)
		if err != nil {
			return m, err
		}
		unit = a.unit
		ours, others = append(ours, a.each()), append(others, b.each())
		ratios = append(ratios, r.goal.ratio(a.each(), b.each()))
	}
	slices.Sort(ratios)
	m = result{Key: r.key, What: r.what, Against: r.against, Unit: unit, Pairs: n, Goal: r.goal.String(), goal: r.goal,
		Ours: median(ours), Other: median(others), Ratio: median(ratios), Least: ratios[0], Most: ratios[n-1]}
	m.Met = r.goal.met(m.Ratio)
	return m, nil
}

const smokePairs = 3

// median is the middle one, or the mean of the two in the middle.
func median[T time.Duration | float64](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
