package main

import (
	"context"
	"fmt"
	"math"
	"strings"
)

// growth is how a row's cost grows with its size.
type growth struct {
	Key     string    `json:"key"`
	What    string    `json:"what"`
	Measure string    `json:"measure"` // of the costs: ns or bytes
	Sizes   []int     `json:"sizes"`
	Ours    []float64 `json:"ours"`
	Own     []float64 `json:"own"` // what of ours our own code computed; null: all of it
	Others  []float64 `json:"others"`

	// Exponents are the slopes of the costs over the sizes, both as logarithms: 1 is linear, 2 quadratic.
	Exponent      float64 `json:"exponent"` // of what is our own
	OursExponent  float64 `json:"ours_exponent"`
	OtherExponent float64 `json:"others_exponent"`
	Met           bool    `json:"met"`
}

// mostGrowth is the exponent that what is ours may have.
const mostGrowth = 1.1

// grow measures a row at each of its sizes: small ones three times, the largest once.
func (r row) grow(ctx context.Context, s *stand) (growth, error) {
	g := growth{Key: r.key, What: r.what, Sizes: r.sizes}
	defer func() { s.scale = 0 }()
	for i, size := range r.sizes {
		s.scale = size
		n := 3
		if i == len(r.sizes)-1 {
			n = 1
		}
		var ours, own, others []float64
		err := r.repeat(ctx, s, n, func(a, b sample) {
			g.Measure = a.measure()
			ours, others = append(ours, a.of(size)), append(others, b.of(size))
			if a.own > 0 {
				own = append(own, float64(a.own))
			}
		})
		if err != nil {
			return g, fmt.Errorf("size %d: %w", size, err)
		}
		g.Ours, g.Others = append(g.Ours, median(ours)), append(g.Others, median(others))
		if len(own) > 0 {
			g.Own = append(g.Own, median(own))
		}
	}
	g.OursExponent, g.OtherExponent = slope(g.Sizes, g.Ours), slope(g.Sizes, g.Others)
	g.Exponent = g.OursExponent
	if len(g.Own) == len(g.Sizes) {
		g.Exponent = slope(g.Sizes, g.Own)
	} else {
		g.Own = nil
	}
	g.Met = g.Exponent <= mostGrowth
	return g, nil
}

// of is the cost of a size: that of its units, or of the whole.
func (s sample) of(size int) float64 {
	if s.units == 0 {
		return s.all()
	}
	return s.each() * float64(size)
}

// slope is that of the line through the points by least squares, both axes logarithmic.
func slope(sizes []int, costs []float64) float64 {
	var sx, sy, sxx, sxy, n float64
	for i, c := range costs {
		x, y := math.Log(float64(sizes[i])), math.Log(c)
		sx, sy, sxx, sxy, n = sx+x, sy+y, sxx+x*x, sxy+x*y, n+1
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func (g growth) cells() []string {
	var sizes, ours, others []string
	for i, n := range g.Sizes {
		sizes = append(sizes, grouped(n))
		ours, others = append(ours, amount(g.Ours[i], g.Measure)), append(others, amount(g.Others[i], g.Measure))
	}
	exponents, verdict := fmt.Sprintf("%.2f", g.Exponent), "met"
	if g.Own != nil {
		exponents += fmt.Sprintf(" (with the kernel's work %.2f)", g.OursExponent)
	}
	if !g.Met {
		verdict = "MISSED"
	}
	return []string{g.Key, strings.Join(sizes, ", "), strings.Join(ours, ", "), exponents, strings.Join(others, ", "), fmt.Sprintf("%.2f", g.OtherExponent), verdict}
}

func (g growth) String() string { return "growth: " + strings.Join(g.cells(), " | ") }

// grouped is a number with commas between thousands.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
