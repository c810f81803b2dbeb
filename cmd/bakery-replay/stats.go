package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/history"
)

const statsLong = `Sums the log up: how much, how fast, of what and from whom; the biggest refreshes; and how much
each day brought. A refresh is a commit, or a reset (MqSetup, ClearPriorSettings) with what
follows it without a pause of 10 s. Unchanged are records after which the tree was what it was
before. Days are those of this host's time zone.`

func statsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "stats LOG",
		Short:   "Sum the log up: sizes, rates, kinds, senders, refreshes",
		Long:    statsLong,
		Example: "  bakery-replay stats lqosd-state/eventlog\n  bakery-replay stats unix:/run/lqos/bus --json | jq .refreshes[0]",
		Args:    cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			bar := cli.NewBar(cmd.ErrOrStderr(), int(s.Last()+1-s.First()), "records")
			st, err := history.NewStatistics(cmd.Context(), s, bar.Add)
			bar.End()
			if err != nil {
				return err
			}
			if asJSON {
				return encodeIndented(cmd.OutOrStdout(), st)
			}
			return printStatistics(cmd.OutOrStdout(), st)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// perHour is a rate in four digits, or as many as it has before the point.
func perHour(rate float64) string {
	if rate >= 1000 {
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%.4g", rate)
}

func printStatistics(out io.Writer, st history.Statistics) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if st.Records == 0 {
		fmt.Fprintln(w, "records\tnone")
	} else {
		fmt.Fprintf(w, "records\t%d (%d to %d) in %s; %d changed nothing\n", st.Records, st.First, st.Last, number(st.Resets, "generation"), st.Unchanged)
		fmt.Fprintf(w, "time\t%s to %s\n", st.Begin.Local().Format(time.DateTime), st.End.Local().Format(time.DateTime))
	}
	if st.Rates.PerHour > 0 {
		fmt.Fprintf(w, "rate\t%s an hour; busiest minute %s with %d, busiest hour %s with %d\n", perHour(st.Rates.PerHour),
			clock(st.Rates.Minute.Begin), st.Rates.Minute.Records, clock(st.Rates.Hour.Begin), st.Rates.Hour.Records)
	}
	fmt.Fprintf(w, "size\t%s, %d bytes on disk\n", number(uint64(len(st.Log.Segments)), "segment"), st.Log.Bytes)
	if st.Log.Stored > 0 {
		fmt.Fprintf(w, "payload\t%d bytes, stored in %d (%.2f ×)\n", st.Log.Raw, st.Log.Stored, float64(st.Log.Raw)/float64(st.Log.Stored))
	}
	counts := func(title string, m map[string]int) {
		names := make([]string, 0, len(m))
		for n := range m {
			names = append(names, n)
		}
		sort.Slice(names, func(i, j int) bool {
			return m[names[i]] > m[names[j]] || m[names[i]] == m[names[j]] && names[i] < names[j]
		})
		for _, n := range names {
			fmt.Fprintf(w, "%s\t%d\t%s\n", title, m[n], n)
		}
	}
	counts("kind", st.Kinds)
	counts("sender", st.Senders)
	printRefreshes(w, st)
	for _, d := range st.Days {
		fmt.Fprintf(w, "day\t%s\t%s, %d bytes\n", d.Date, number(d.Records, "record"), d.Bytes)
	}
	return w.Flush()
}

func printRefreshes(w io.Writer, st history.Statistics) {
	if st.Refreshes == 0 {
		return
	}
	fmt.Fprintf(w, "refreshes\t%d", st.Refreshes)
	if st.Refreshes > len(st.Biggest) {
		fmt.Fprintf(w, ", of which the %d biggest:", len(st.Biggest))
	}
	fmt.Fprintln(w)
	for _, f := range st.Biggest {
		fmt.Fprintf(w, "refresh\t%d\t%s  %s  %s, %s, %s in %s\n", f.Seq, f.Time.Local().Format(time.DateTime), f.Kind,
			number(uint64(f.Records), "record"), number(uint64(f.Lines), "line"), number(uint64(f.Classes), "class"),
			time.Duration(f.Took*float64(time.Second)).Round(time.Millisecond))
	}
}

func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// number is so many of a thing.
func number(n uint64, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "s"):
		thing += "es"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
