package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

func copyCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "copy LOG -o DIR",
		Short: "Make a consistent copy",
		Long: `Makes a copy of a log as it is at one moment, of a running daemon with unix:SOCKET, and verifies it.
DIR must not exist. A log is a directory of files that a running daemon writes: cp may tear them.`,
		Example: "  bakery-replay copy unix:/run/lqos/bus -o eventlog.copy\n  bakery-replay copy /var/lib/lqosd/eventlog -o eventlog.copy",
		Args:    cli.Args("LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return cli.Usagef("copy needs -o DIR")
			}
			return copyLog(cmd, args[0], out)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the new `DIR`")
	return cmd
}

func pruneCommand() *cobra.Command {
	var keep uint64
	var older string
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "prune LOG",
		Short: "Drop old segments of a log that no daemon holds",
		Long: `Drops whole segments, oldest first, never the newest. A running daemon drops its own by
retain_days and retain_generations.`,
		Example: "  bakery-replay prune lqosd-state/eventlog --older-than 720h --dry-run\n  bakery-replay prune lqosd-state/eventlog --keep-generations 10",
		Args:    cli.Args("LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep == 0 && older == "" {
				return cli.Usagef("prune needs --keep-generations or --older-than")
			}
			return prune(cmd, args[0], keep, older, dry, asJSON)
		},
	}
	cmd.Flags().Uint64Var(&keep, "keep-generations", 0, "keep the newest `N` generations")
	cmd.Flags().StringVar(&older, "older-than", "", "drop what is older than `TIME`: 720h, 30d, 2026-10-01")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would go")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with the names of the segments")
	return cmd
}

// copyLog copies a log into a new directory: from the daemon, or from a directory
// that no daemon holds.
func copyLog(cmd *cobra.Command, from, to string) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copying to %s: it is there already", to)
	}
	dir, done, err := localLog(cmd.Context(), cmd.ErrOrStderr(), from)
	if err != nil {
		return err
	}
	err = explainHeld(eventlog.Copy(dir, to))
	if err == nil {
		err = checkCopy(cmd.Context(), to)
	}
	return errors.Join(err, done())
}

// checkCopy makes sure that what was copied is whole: a copy is made for a bad day. What nobody waits to see checked doesn't stay.
func checkCopy(ctx context.Context, dir string) error {
	r, err := replay.Verify(ctx, dir)
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), os.RemoveAll(dir))
	}
	if err != nil {
		return err
	}
	if !r.Clean() {
		return fmt.Errorf("copying to %s: the copy is damaged, as bakery-replay verify shows", dir)
	}
	return nil
}

func prune(cmd *cobra.Command, arg string, keep uint64, older string, dry, asJSON bool) error {
	if strings.HasPrefix(arg, "unix:") {
		return cli.Usagef("prune takes a directory: a running daemon drops its old segments itself (retain_days, retain_generations)")
	}
	dir, _, err := localLog(cmd.Context(), cmd.ErrOrStderr(), arg)
	if err != nil {
		return err
	}
	p := eventlog.Policy{DryRun: dry}
	if older != "" {
		if p.MaxAge, err = parseAge(older, time.Now()); err != nil {
			return err
		}
	}
	if keep > 0 {
		last, err := newestGeneration(cmd.Context(), dir)
		if err != nil {
			return explainHeld(err)
		}
		if last < keep {
			keep = last
		}
		p.MinMark = last - keep + 1
	}
	done, err := eventlog.Prune(dir, p)
	if err != nil {
		return explainHeld(err)
	}
	if asJSON {
		done.Segments = append([]string{}, done.Segments...) // [] where there is none
		return encodeIndented(cmd.OutOrStdout(), done)
	}
	verb := "dropped"
	if dry {
		verb = "would drop"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %d segments, %d bytes; the log begins at record %d\n", verb, len(done.Segments), done.Bytes, done.First)
	return err
}

func newestGeneration(ctx context.Context, dir string) (uint64, error) {
	s, err := replay.Open(dir)
	if err != nil {
		return 0, err
	}
	t, err := s.Tree(ctx, s.Last())
	if err = errors.Join(err, s.Close()); err != nil {
		return 0, err
	}
	return t.Generation, nil
}

// parseAge reads how old a record must be: "30d", "720h", or a time.
func parseAge(s string, now time.Time) (time.Duration, error) {
	m, err := replay.ParseMoment(s, now)
	if err != nil || m.Time.IsZero() || !m.Time.Before(now) {
		return 0, cli.Usagef("--older-than %q: write 30d, 720h or 2026-10-01", s)
	}
	return now.Sub(m.Time), nil
}
