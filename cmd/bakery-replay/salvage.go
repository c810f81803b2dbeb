package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

func salvageCommand() *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "salvage LOG -o DIR",
		Short: "Make a whole log of what is good in a damaged one",
		Long: `Takes the records from the first on, up to the first that is damaged or missing, or to the
last whole transaction before it, and makes a new log of them. Nothing behind that is
taken. LOG isn't changed; DIR must not exist, and appears whole or not at all.`,
		Example: "  bakery-replay salvage lqosd-state/eventlog -o lqosd-state/eventlog.salvaged\n  bakery-replay salvage lqosd-state/eventlog -o saved --json",
		Args:    cli.Args("LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return cli.Usagef("salvage needs -o DIR")
			}
			if strings.HasPrefix(args[0], "unix:") {
				return cli.Usagef("salvage takes a directory: a log that a daemon has open isn't damaged")
			}
			return salvage(cmd, args[0], out, asJSON)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the new `DIR`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func salvage(cmd *cobra.Command, from, to string, asJSON bool) error {
	dir, _, err := localLog(cmd.Context(), cmd.ErrOrStderr(), from)
	if err != nil {
		return err
	}
	done, err := eventlog.Salvage(cmd.Context(), dir, to)
	if err == nil {
		err = checkCopy(cmd.Context(), to)
	}
	if err != nil {
		return explainHeld(err)
	}
	if asJSON {
		return encodeIndented(cmd.OutOrStdout(), done)
	}
	return writeSalvaged(cmd.OutOrStdout(), done, to)
}

func writeSalvaged(w io.Writer, done eventlog.Salvaged, to string) error {
	for _, p := range done.Lost {
		if _, err := fmt.Fprintf(w, "LOST %s\n", p); err != nil {
			return err
		}
	}
	rest := "nothing was lost"
	if len(done.Lost) > 0 {
		rest = "what was behind them, if anything, is lost"
	}
	_, err := fmt.Fprintf(w, "saved: %s in %d segments, in %s; %s\n", replay.Span(done.Records, done.First, done.Last), done.Segments, to, rest)
	return err
}
