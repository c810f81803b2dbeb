package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// table is what a run measured, as bench.json has it.
type table struct {
	Kernel string   `json:"kernel"`
	CPUs   int      `json:"cpus"`
	Go     string   `json:"go"`
	Smoke  bool     `json:"smoke"` // of small sizes: to be compared only with such
	Rows   []result `json:"rows"`
}

// result is a row that was measured. Times are medians, in nanoseconds.
type result struct {
	Key     string        `json:"key"`
	What    string        `json:"what"`
	Against string        `json:"against"`
	Unit    string        `json:"unit"` // what the times are given per; empty: of the whole
	Pairs   int           `json:"pairs"`
	Ours    time.Duration `json:"ours_ns"`
	Other   time.Duration `json:"other_ns"`
	Ratio   float64       `json:"ratio"` // the median of those of the pairs
	Least   float64       `json:"least"`
	Most    float64       `json:"most"`
	Goal    string        `json:"goal"`
	Met     bool          `json:"met"`

	goal goal
}

func newTable(smoke bool) *table {
	t := &table{CPUs: runtime.NumCPU(), Go: runtime.Version(), Smoke: smoke}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		t.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return t
}

func (r result) cells() []string {
	per := ""
	if r.Unit != "" {
		per = "/" + r.Unit
	}
	verdict := "met"
	switch {
	case r.goal == goal{}:
		verdict = ""
	case !r.Met:
		verdict = "MISSED"
	}
	return []string{r.What, digits(r.Ours) + per, r.Against, digits(r.Other) + per,
		fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio, r.Least, r.Most), r.Goal, verdict}
}

func (r result) String() string { return strings.Join(r.cells(), " | ") }

// digits is a duration in three digits.
func digits(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}

// write writes the table for people.
func (t *table) write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if t.Smoke {
		fmt.Fprintln(w, "\nSmall sizes: the numbers in the words are those of a full run.")
	}
	fmt.Fprintf(w, "\nLinux %s, %d CPUs, %s\n\nwhat\tours\tpeer or limit\tits\tratio (of pairs)\tgoal\t\n", t.Kernel, t.CPUs, t.Go)
	for _, r := range t.Rows {
		fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
	}
	return w.Flush()
}

func (t *table) save(name string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}

func readTable(name string) (*table, error) {
	text, err := os.ReadFile(name)
	t := new(table)
	if err == nil {
		err = json.Unmarshal(text, t)
	}
	if err != nil {
		return nil, fmt.Errorf("the earlier run: %w", err)
	}
	return t, nil
}

// worseThan names the rows that got worse by more than half; earlier may be nil.
func (t *table) worseThan(earlier *table) (worse []string) {
	if earlier == nil {
		return nil
	}
	for _, now := range t.Rows {
		for _, then := range earlier.Rows {
			if now.Key == then.Key && now.goal.worse(now.Ratio, then.Ratio) {
				worse = append(worse, fmt.Sprintf("%s: %.2f, and it was %.2f (%s)", now.Key, now.Ratio, then.Ratio, now.Goal))
			}
		}
	}
	return worse
}
