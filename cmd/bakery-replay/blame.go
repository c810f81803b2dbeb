package main

import (
	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/history"
)

const blameLong = `Shows the whole history of a circuit, a site, a class or an address: each record that changed
it, what it changed, and what is there now, with the record that it comes from.

A refresh that takes everything away and sets it again within 10 seconds counts as what differs in the
end, as it does for the kernel; records that say again what is there are only counted.`

func blameCommand() *cobra.Command {
	var target targetFlags
	var from, to string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "blame LOG (--circuit NAME | --site NAME | --class HANDLE | --address ADDRESS)",
		Short: "Show the history of one circuit, site, class or address",
		Long:  blameLong,
		Example: `  bakery-replay blame lqosd-state/eventlog --circuit "Smith & Sons"
  bakery-replay blame lqosd-state/eventlog --class 1:4a2 --link eth1 --json
  bakery-replay blame unix:/run/lqos/bus --address 100.64.0.7`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			t, err := target.target()
			if err != nil {
				return err
			}
			if t.Link = ""; t.IsZero() {
				return cli.Usagef("blame needs --circuit, --site, --class or --address")
			}
			t.Link = target.link
			first := s.First()
			if from != "" {
				if first, err = moment(cmd.Context(), s, from); err != nil {
					return err
				}
			}
			last, err := moment(cmd.Context(), s, to)
			if err != nil {
				return err
			}
			h, err := history.Of(cmd.Context(), s, t, first, last)
			if err != nil {
				return err
			}
			if asJSON {
				return encodeIndented(cmd.OutOrStdout(), h)
			}
			return h.Write(cmd.OutOrStdout(), colourful(cmd.OutOrStdout()))
		}),
	}
	target.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "from this record or time on, `SEQ|TIME`")
	cmd.Flags().StringVar(&to, "to", "", "up to this record or time, `SEQ|TIME`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
