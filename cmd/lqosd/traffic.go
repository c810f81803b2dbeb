package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"lqosd/bus"
	"lqosd/internal/cli"
)

const trafficLong = `Lists what each circuit sent and got since the maps of the dataplane were made, over
restarts of the daemon: packets and bytes of both directions, counted as they are handed to the
circuit's classes, and when the last packet was seen. The busiest circuits come first.`

func trafficCommand() *cobra.Command {
	var socket string
	var asJSON bool
	var most int
	cmd := &cobra.Command{
		Use:     "traffic",
		Short:   "List what each circuit sent and got",
		Long:    trafficLong,
		Example: "  lqosd traffic --most 20\n  lqosd traffic --json | jq '.[] | select(.name | contains(\"Smith\"))'",
		Args:    cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if most < 0 {
				return cli.Usagef("--most %d: must not be negative", most)
			}
			c, err := dial(cmd.Context(), socket)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			var list []circuitTraffic
			if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdTraffic"}, &list); err != nil {
				return err
			}
			slices.SortStableFunc(list, func(a, b circuitTraffic) int {
				return cmp.Or(cmp.Compare(b.Down.Bytes+b.Up.Bytes, a.Down.Bytes+a.Up.Bytes), cmp.Compare(a.Circuit, b.Circuit))
			})
			if most > 0 {
				list = list[:min(most, len(list))]
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printTraffic(cmd.OutOrStdout(), list, time.Now())
		},
	}
	socketFlag(cmd.Flags(), &socket)
	cmd.Flags().IntVar(&most, "most", 0, "list the `N` busiest (0: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printTraffic(out io.Writer, list []circuitTraffic, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "class\tdown packets\tbytes\tup packets\tbytes\tlast seen\tcircuit")
	for _, c := range list {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", cmp.Or(c.Class, "–"), c.Down.Packets, c.Down.Bytes,
			c.Up.Packets, c.Up.Bytes, c.lastSeen(now), cmp.Or(c.Name, fmt.Sprint(c.Circuit)))
	}
	return w.Flush()
}

// lastSeen says how long ago the newest packet was.
func (c circuitTraffic) lastSeen(now time.Time) string {
	last := c.Down.Seen
	if up := c.Up.Seen; last == nil || up != nil && up.After(*last) {
		last = up
	}
	if last == nil {
		return "never"
	}
	return now.Sub(*last).Round(time.Second).String() + " ago"
}
