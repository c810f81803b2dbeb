package main

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
)

func verifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify LOG",
		Short: "Check every byte that a record depends on, and fold all",
		Long: `Checks checksums, chain, seals, snapshots and the gaplessness of every segment, and folds
every record. Exit code 0: whole, 1: damaged, 2: it could not be checked.`,
		Example: "  bakery-replay verify lqosd-state/eventlog\n  bakery-replay verify unix:/run/lqos/bus --json",
		Args:    cli.Args("LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, done, err := localLog(cmd.Context(), cmd.ErrOrStderr(), args[0])
			if err != nil {
				return trouble(err)
			}
			r, err := replay.Verify(cmd.Context(), dir)
			if err = errors.Join(explainHeld(err), done()); err != nil {
				return trouble(err)
			}
			if asJSON {
				err = encodeIndented(cmd.OutOrStdout(), r)
			} else {
				err = r.Write(cmd.OutOrStdout())
			}
			if err != nil {
				return trouble(err)
			}
			if !r.Clean() {
				return cli.Quiet()
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// trouble is exit code 2 for the commands whose 1 means "different" or "damaged".
func trouble(err error) error {
	if errors.As(err, new(cli.ExitError)) {
		return err
	}
	return cli.ExitError{Code: cli.Trouble, Err: err}
}

func encodeIndented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
