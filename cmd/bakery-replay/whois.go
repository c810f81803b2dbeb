package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/tree"
)

func whoisCommand() *cobra.Command {
	var at string
	var asJSON bool
	var names nameFiles
	cmd := &cobra.Command{
		Use:   "whois LOG HANDLE|ADDRESS|NAME",
		Short: "Tell which customer a handle, an address or a name is",
		Long: `Tells whose a class is: HANDLE is that of the class or of its leaf; ADDRESS is looked up in the
mappings; NAME is a name or hash of a site or circuit, or a part of a name. Exit code 1: nobody.`,
		Example: `  bakery-replay whois lqosd-state/eventlog 1:4a2
  bakery-replay whois lqosd-state/eventlog 100.64.0.7 --at "yesterday 14:00"`,
		Args: cli.Args("LOG", "HANDLE|ADDRESS|NAME"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withNamedLog(&names, func(cmd *cobra.Command, s *replay.Source) error {
			seq, err := moment(cmd.Context(), s, at)
			if err != nil {
				return err
			}
			t, err := s.Tree(cmd.Context(), seq)
			if err != nil {
				return err
			}
			found := tree.Whois(t, args[1])
			if len(found) == 0 {
				return fmt.Errorf("record %d: nobody is %s", seq, args[1])
			}
			if asJSON {
				return encodeIndented(cmd.OutOrStdout(), found)
			}
			for _, o := range found {
				if err := o.Write(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		})(cmd, args)
	}
	names.add(cmd)
	cmd.Flags().StringVar(&at, "at", "", "after record or time `SEQ|TIME` (default the end)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
