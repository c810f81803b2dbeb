package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

const bisectLong = `Finds the first record after which a command fails. The command is run by sh with the state
form on its stdin and in the file that $BAKERY_STATE names, and the record's number in
$BAKERY_SEQ. It must succeed for the tree before --from and fail for the one at --to.`

func bisectCommand() *cobra.Command {
	var run, from, to string
	cmd := &cobra.Command{
		Use:     "bisect LOG --run CMD",
		Short:   "Find the record after which a command fails",
		Long:    bisectLong,
		Example: `  bakery-replay bisect lqosd-state/eventlog --run '! grep -q "classid 1:4 "'`,
		Args:    cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			if run == "" {
				return cli.Usagef("bisect needs --run CMD")
			}
			lo := s.First() - 1
			if from != "" {
				m, err := moment(cmd.Context(), s, from)
				if err != nil {
					return err
				}
				lo = m
			}
			hi, err := moment(cmd.Context(), s, to)
			if err != nil {
				return err
			}
			return bisect(cmd, s, run, lo, hi)
		}),
	}
	cmd.Flags().StringVar(&run, "run", "", "`CMD` that succeeds on a good tree")
	cmd.Flags().StringVar(&from, "from", "", "a moment known to be good, `SEQ|TIME` (default before the first record)")
	cmd.Flags().StringVar(&to, "to", "", "a moment known to be bad, `SEQ|TIME` (default the end)")
	return cmd
}

func bisect(cmd *cobra.Command, s *replay.Source, run string, good, bad eventlog.Seq) error {
	works := func(seq eventlog.Seq) (bool, error) { return succeeds(cmd.Context(), s, run, seq) }
	if good >= bad {
		return cli.Usagef("the good moment, record %d, must be before the bad one, record %d", good, bad)
	}
	if ok, err := works(bad); err != nil {
		return err
	} else if ok {
		return fmt.Errorf("the command succeeds at record %d: nothing to find", bad)
	}
	if ok, err := works(good); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("the command fails at record %d already: --from must name a good moment", good)
	}
	for bad-good > 1 {
		mid := good + (bad-good)/2
		ok, err := works(mid)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "record %d: %s\n", mid, map[bool]string{true: "good", false: "bad"}[ok])
		if ok {
			good = mid
		} else {
			bad = mid
		}
	}
	return s.Entries(cmd.Context(), replay.Filter{From: bad, To: bad}, func(e replay.Entry) error {
		return e.Write(cmd.OutOrStdout(), true)
	})
}

// succeeds runs the command on the state form of the tree at seq.
func succeeds(ctx context.Context, s *replay.Source, run string, seq eventlog.Seq) (ok bool, err error) {
	var state bytes.Buffer
	if err := s.Render(ctx, &state, replay.Rendering{At: seq, Form: replay.FormState}); err != nil {
		return false, err
	}
	f, err := os.CreateTemp("", "bakery-state-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if _, err := f.Write(state.Bytes()); err != nil {
		return false, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	sh := exec.CommandContext(ctx, "sh", "-c", run)
	sh.Stdin = &state
	sh.Env = append(os.Environ(), fmt.Sprintf("BAKERY_SEQ=%d", seq), "BAKERY_STATE="+f.Name())
	sh.Stderr = os.Stderr
	err = sh.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return false, nil
	}
	return err == nil, err
}
