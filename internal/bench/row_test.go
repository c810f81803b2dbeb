package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestGoal(t *testing.T) {
	const ms = 1e6
	for name, c := range map[string]struct {
		goal        goal
		ours, other float64
		ratio       float64
		met         bool
		worst       float64 // the earlier ratio that makes this one worse by half
	}{
		"slower, and may be":   {goal{atMost: 3}, 20 * ms, 10 * ms, 2, true, 2 / 1.5},
		"slower than it may":   {goal{atMost: 3}, 40 * ms, 10 * ms, 4, false, 4 / 1.5},
		"as fast as it must":   {goal{atLeast: 15}, ms, 15 * ms, 15, true, 22.5},
		"faster, not enough":   {goal{atLeast: 15}, ms, 14 * ms, 14, false, 21},
		"slower than the goal": {goal{atLeast: 0.5}, 30 * ms, 10 * ms, 1.0 / 3, false, 0.5},
		"no goal":              {goal{}, 30 * ms, 10 * ms, 3, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			ratio := c.goal.ratio(c.ours, c.other)
			if diff := cmp.Diff(c.ratio, ratio, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Error(diff)
			}
			if c.goal.met(ratio) != c.met {
				t.Errorf("met: %v", !c.met)
			}
			little := 1.01
			if c.goal.atLeast > 0 {
				little = 1 / little
			}
			if c.goal.worse(ratio, c.worst*little) || !c.goal.worse(ratio, c.worst/little) {
				t.Errorf("%v is worse than %v by more than half: %v", ratio, c.worst*little, c.goal.worse(ratio, c.worst*little))
			}
		})
	}
}

// TestMeasure: of pairs of which one was disturbed the median is taken, and what a row made is undone.
func TestMeasure(t *testing.T) {
	s, err := newStand(flags{bin: "."})
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	times := []time.Duration{20 * time.Microsecond, 400 * time.Microsecond, 22 * time.Microsecond, 18 * time.Microsecond, 21 * time.Microsecond}
	undone := false
	r := row{key: "k", what: "w", against: "a", pairs: len(times), goal: goal{atMost: 3}, prepare: func(context.Context, *stand) (pair, error) {
		s.later(func() error { undone = true; return nil })
		return func(context.Context) (ours, other sample, err error) {
			ours, other = sample{took: times[0], units: 2, unit: "thing"}, sample{took: 5 * time.Microsecond}
			times = times[1:]
			return ours, other, nil
		}, nil
	}}
	m, err := r.measure(t.Context(), s)
	if err != nil || !undone {
		t.Fatalf("%v, undone: %v", err, undone)
	}
	want := result{Key: "k", What: "w", Against: "a", Unit: "thing", Pairs: 5, Measure: "ns", Ours: 10500, Other: 5000,
		Ratio: 2.1, Least: 1.8, Most: 40, Goal: "≤ 3 ×", Met: true}
	if diff := cmp.Diff(want, m, cmpopts.IgnoreUnexported(result{}), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
}

// TestTable: what is written is read again, and the next run is held against it.
func TestTable(t *testing.T) {
	earlier := &table{Kernel: "6.18", CPUs: 2, Sync: 1e6, Rows: []result{{Key: "good", Ratio: 2}, {Key: "bad", Ratio: 2}, {Key: "gone", Ratio: 1}}}
	name := filepath.Join(t.TempDir(), "bench.json")
	if err := earlier.save(name); err != nil {
		t.Fatal(err)
	}
	read, err := readTable(name)
	if diff := cmp.Diff(earlier, read, cmpopts.IgnoreUnexported(result{})); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	now := &table{Rows: []result{{Key: "good", What: "this", Ratio: 2.9, Met: true, goal: goal{atMost: 3}}, {Key: "bad", Ratio: 3.1, Goal: "≤ 3 ×", goal: goal{atMost: 3}},
		{Key: "bad", Ratio: 3.1, disk: true, goal: goal{atMost: 3}}, {Key: "new", Ratio: 9, goal: goal{atMost: 3}, small: true}}}
	var worse []string
	for _, r := range now.Rows {
		if then, ok, _ := read.earlier(r, 2e6); ok {
			worse = append(worse, r.worseThan(then))
		}
	}
	if diff := cmp.Diff([]string{"", "bad: 3.10, and it was 2.00 (≤ 3 ×)"}, worse); diff != "" {
		t.Error(diff)
	}
	if _, ok, _ := read.earlier(result{Key: "bad", disk: true}, 0.9e6); !ok {
		t.Error("a disk that is about as fast isn't compared with")
	}
	if _, ok, _ := (*table)(nil).earlier(result{Key: "bad"}, 1e6); ok {
		t.Error("compared with nothing")
	}
	var text bytes.Buffer
	if err := now.write(&text); err != nil || strings.Count(text.String(), "MISSED") != 2 || strings.Count(text.String(), " met") != 1 || !strings.Contains(text.String(), "\ngood  this") {
		t.Errorf("%v\n%s", err, &text)
	}
}

// TestRows: each row has a key of its own, and is measured at all.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.key] || r.key == "" || r.pairs < 1 || r.pairs%2 == 0 || r.prepare == nil {
			t.Errorf("%q: %d pairs", r.key, r.pairs)
		}
		seen[r.key] = true
	}
}

// TestChosen: rows are chosen by their keys, and what chooses none is an error that names them.
func TestChosen(t *testing.T) {
	for _, tc := range []struct {
		flags flags
		want  string
	}{
		{flags{only: "^append_1$"}, "append_1"},
		{flags{only: "append", experiment: 10}, `no row is called "append": there are experiment_`},
		{flags{only: "nosuch"}, `no row is called "nosuch": there are append_1, `},
		{flags{only: "("}, "error parsing regexp"},
	} {
		list, err := tc.flags.chosen()
		switch {
		case err != nil && !strings.HasPrefix(err.Error(), tc.want):
			t.Errorf("%q: %v", tc.flags.only, err)
		case err == nil && (len(list) != 1 || list[0].key != tc.want):
			t.Errorf("%q: %d rows", tc.flags.only, len(list))
		}
	}
}

// TestEarly: what would only be found out after minutes is said at once, and no file is left or cut short by the question.
func TestEarly(t *testing.T) {
	dir := t.TempDir()
	small, there := filepath.Join(dir, "smoke.json"), filepath.Join(dir, "bench.json")
	if err := (&table{Smoke: true}).save(small); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(there, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]flags{
		"-compare " + small + ": small and full sizes": {only: "^append_1$", compare: small},
		"the earlier run: open ":                       {only: "^append_1$", compare: filepath.Join(dir, "nosuch")},
		"-o: open ":                                    {only: "^append_1$", out: filepath.Join(dir, "nosuch", "bench.json")},
	} {
		var told bytes.Buffer
		if err := run(t.Context(), f, &told); err == nil || !strings.HasPrefix(err.Error(), want) || told.Len() > 0 {
			t.Errorf("%v, after %q; it should begin with %q", err, &told, want)
		}
	}
	for _, name := range []string{there, filepath.Join(dir, "new.json")} {
		if err := writable(name); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "earlier" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestHolds: a log that lost a record, or has one too many, is noticed when it is closed.
func TestHolds(t *testing.T) {
	dir := t.TempDir()
	add, done, err := eventLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(add(encode(commands(3))), add(encode(commands(2))), done()); err != nil {
		t.Fatal(err)
	}
	if err := holds(dir, 5); err != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 4, 6} {
		if holds(dir, n) == nil {
			t.Errorf("a log of 5 records has %d", n)
		}
	}
}

// TestGrow: the exponent is that of our own part where that is told, and of each size the median counts.
func TestGrow(t *testing.T) {
	s, err := newStand(flags{bin: "."})
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	var sizes []int
	r := row{key: "k", what: "w", sizes: []int{10, 100, 1000}, prepare: func(context.Context, *stand) (pair, error) {
		n := s.size(5, 1)
		sizes = append(sizes, n)
		tries := 0
		return func(context.Context) (ours, other sample, err error) {
			if tries++; tries == 2 {
				return sample{took: time.Hour, own: time.Hour}, sample{took: time.Hour}, nil
			}
			return sample{took: time.Duration(n * n), own: time.Duration(7 * n)}, sample{took: time.Duration(3 * n), units: n}, nil
		}, nil
	}}
	g, err := r.grow(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := growth{Key: "k", What: "w", Measure: "ns", Sizes: []int{10, 100, 1000}, Ours: []float64{100, 1e4, 1e6}, Own: []float64{70, 700, 7000}, Others: []float64{30, 300, 3000},
		Exponent: 1, OursExponent: 2, OtherExponent: 1, Met: true}
	if diff := cmp.Diff(want, g, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{10, 100, 1000}, sizes); diff != "" || s.size(5, 1) != 5 {
		t.Error(diff)
	}
}

// TestWorse: a row that is worse than earlier is measured again before that counts, at once and when the others were measured.
func TestWorse(t *testing.T) {
	s, err := newStand(flags{bin: "."})
	if err != nil {
		t.Fatal(err)
	}
	defer s.remove()
	for name, c := range map[string]struct {
		bad, measured int // so many measurements are bad, and so many are made
		worse         bool
	}{"once": {1, 2, false}, "at first": {4, 5, false}, "always": {100, 8, true}, "never": {0, 1, false}} {
		t.Run(name, func(t *testing.T) {
			measured := 0
			r := row{key: "k", pairs: 3, goal: goal{atMost: 3}, prepare: func(context.Context, *stand) (pair, error) {
				measured++
				ours := 2 * time.Second
				if measured <= c.bad {
					ours = 4 * time.Second
				}
				return func(context.Context) (sample, sample, error) {
					return sample{took: ours}, sample{took: time.Second}, nil
				}, nil
			}}
			earlier := &table{Rows: []result{{Key: "k", Ratio: 2}}}
			got := newTable(true)
			worse, err := got.fill(t.Context(), s, io.Discard, []row{r}, earlier)
			if err != nil || (len(worse) > 0) != c.worse || measured != c.measured || len(got.Rows) != 1 || got.Rows[0].Ratio > 3 != c.worse {
				t.Errorf("worse: %q, measured %d times, %+v, %v", worse, measured, got.Rows, err)
			}
		})
	}
}
