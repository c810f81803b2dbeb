package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	Smoke  bool     `json:"smoke"`   // of small sizes: to be compared only with such
	Sync   float64  `json:"sync_ns"` // of one fdatasync of a few bytes to the disk of this run
	Rows   []result `json:"rows"`
	Growth []growth `json:"growth"`
}

// result is a row that was measured. Ours and Other are medians.
type result struct {
	Key     string  `json:"key"`
	What    string  `json:"what"`
	Against string  `json:"against"`
	Measure string  `json:"measure"` // ns or bytes
	Unit    string  `json:"unit"`    // what both are given per; empty: of the whole
	Pairs   int     `json:"pairs"`
	Ours    float64 `json:"ours"`
	Other   float64 `json:"other"`
	Ratio   float64 `json:"ratio"` // the median of those of the pairs
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	Goal    string  `json:"goal"`
	Met     bool    `json:"met"`

	goal  goal
	disk  bool
	small bool // the goals are those of full sizes
}

func newTable(smoke bool) *table {
	t := &table{CPUs: runtime.NumCPU(), Go: runtime.Version(), Smoke: smoke, Rows: []result{}, Growth: []growth{}}
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
	case r.goal == goal{}, r.small:
		verdict = ""
	case !r.Met:
		verdict = "MISSED"
	}
	return []string{r.Key, r.What, amount(r.Ours, r.Measure) + per, r.Against, amount(r.Other, r.Measure) + per,
		fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio, r.Least, r.Most), r.Goal, verdict}
}

func (r result) String() string { return strings.Join(r.cells(), " | ") }

// amount is a time or a number of bytes in three digits.
func amount(n float64, measure string) string {
	if measure == "bytes" {
		return fmt.Sprintf("%.0f B", n)
	}
	d := time.Duration(n)
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
		fmt.Fprintln(w, "\nSmall sizes: the numbers in the words, and the goals, are those of a full run (make bench).")
	}
	fmt.Fprintf(w, "\nLinux %s, %d CPUs, %s, fdatasync %s\n", t.Kernel, t.CPUs, t.Go, amount(t.Sync, "ns"))
	if len(t.Rows) > 0 {
		fmt.Fprint(w, "\nkey\twhat\tours\tpeer or limit\tits\tratio (of pairs)\tgoal\t\n")
		for _, r := range t.Rows {
			fmt.Fprintln(w, strings.Join(r.cells(), "\t"))
		}
	}
	if len(t.Growth) > 0 {
		fmt.Fprintf(w, "\ngrowth of\tat sizes\tours\texponent (≤ %g)\tthe other's\texponent\t\n", mostGrowth)
		for _, g := range t.Growth {
			fmt.Fprintln(w, strings.Join(g.cells(), "\t"))
		}
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

// writable says why a file can't be written, before minutes are spent on what it is to hold.
func writable(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f, err = os.Create(name); err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(name))
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

// earlier is the row as an earlier run has it, if the two can be compared, or why they can't; t may be nil.
func (t *table) earlier(r result, sync float64) (then result, ok bool, why string) {
	if t == nil {
		return then, false, ""
	}
	for _, then = range t.Rows {
		if then.Key != r.Key {
			continue
		}
		if r.disk && !alike(sync, t.Sync) {
			return then, false, fmt.Sprintf("not compared with the earlier run: fdatasync took %s then, and takes %s", amount(t.Sync, "ns"), amount(sync, "ns"))
		}
		return then, true, ""
	}
	return then, false, "the earlier run hasn't this row"
}

// alike says whether two disks are about as fast.
func alike(a, b float64) bool { return a < 1.5*b && b < 1.5*a }

// worseThan says what got worse than the earlier ratio by more than half; empty: it didn't.
func (r result) worseThan(then result) string {
	if !r.goal.worse(r.Ratio, then.Ratio) {
		return ""
	}
	return fmt.Sprintf("%s: %.2f, and it was %.2f (%s)", r.Key, r.Ratio, then.Ratio, r.Goal)
}
