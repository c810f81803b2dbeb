package main

import (
	"fmt"
	"io"
	"sort"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
)

func statsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats LOG",
		Short: "Sum the log up: sizes, kinds, senders",
		Long: `Sums the log up: how many records there are, from when to when, in how many generations of the
tree and segments, what they take on disk, and how many there are of each kind and sender.`,
		Example: "  bakery-replay stats unix:/run/lqos/bus\n  bakery-replay stats lqosd-state/eventlog --json",
		Args:    cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			st, err := s.Statistics(cmd.Context())
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

func printStatistics(out io.Writer, st replay.Statistics) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if st.Records == 0 {
		fmt.Fprintln(w, "records\tnone")
	} else {
		fmt.Fprintf(w, "records\t%d (%d to %d)\n", st.Records, st.First, st.Last)
		fmt.Fprintf(w, "time\t%s to %s\n", st.Begin.Local().Format(time.DateTime), st.End.Local().Format(time.DateTime))
	}
	fmt.Fprintf(w, "generations\t%d\n", st.Resets)
	fmt.Fprintf(w, "segments\t%d, %d bytes on disk\n", len(st.Log.Segments), st.Log.Bytes)
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
	return w.Flush()
}
