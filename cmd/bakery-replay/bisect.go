package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/history"
)

const bisectLong = `Finds the first record after which a command fails, or a condition holds, in log₂ steps.

A command is run by sh with the state form on its stdin and in the file that $BAKERY_STATE
names, and the record's number in $BAKERY_SEQ. It must succeed for the tree before --from and
fail for the one at --to.

A condition must not hold before --from, and hold at --to. It is one or more clauses with "and"
between them:
  class HANDLE | circuit NAME | site NAME [on IF]   rate, ceil, prio, quantum, parent, leaf
  qdisc PARENT|root [on IF]                         kind, handle
  address ADDRESS|PREFIX                            class, cpu, circuit
  classes, qdiscs, circuits, addresses, generation  counted
A clause ends in exists, in missing, or in a field (what is counted needs none), one of
< <= = != >= > and a value; "not" in front turns it round. NAME may be a hash, in quotes if it has spaces.`

type bisectFlags struct {
	run, when, from, to string
	json                bool
}

func bisectCommand() *cobra.Command {
	var f bisectFlags
	cmd := &cobra.Command{
		Use:   "bisect LOG (--run CMD | --when CONDITION)",
		Short: "Find the record after which a command fails, or a condition holds",
		Long:  bisectLong,
		Example: `  bakery-replay bisect lqosd-state/eventlog --when 'class 1:4a2 rate < 10mbit'
  bakery-replay bisect lqosd-state/eventlog --when 'circuit "Smith & Sons" missing' --from "yesterday 14:00"
  bakery-replay bisect lqosd-state/eventlog --run '! grep -q "classid 1:4 "'`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error { return bisect(cmd, s, f) }),
	}
	cmd.Flags().StringVar(&f.run, "run", "", "`CMD` that succeeds on a good tree")
	cmd.Flags().StringVar(&f.when, "when", "", "`CONDITION` that doesn't hold for a good tree")
	cmd.Flags().StringVar(&f.from, "from", "", "a moment known to be good, `SEQ|TIME` (default before the first record)")
	cmd.Flags().StringVar(&f.to, "to", "", "a moment known to be bad, `SEQ|TIME` (default the end)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the record as JSON")
	return cmd
}

// judge tells a good Tree from a bad one.
type judge struct {
	good func(context.Context, *bakery.Tree) (bool, error)
	// words for what is so at a good moment, and at a bad one
	whenGood, whenBad string
}

func (f bisectFlags) judge() (judge, error) {
	switch {
	case (f.run == "") == (f.when == ""):
		return judge{}, cli.Usagef("bisect needs --run CMD or --when CONDITION")
	case f.run != "":
		good := func(ctx context.Context, t *bakery.Tree) (bool, error) { return succeeds(ctx, f.run, t) }
		return judge{good, "the command succeeds", "the command fails"}, nil
	}
	c, err := replay.ParseCondition(f.when)
	if err != nil {
		return judge{}, cli.UsageError{Err: err}
	}
	good := func(_ context.Context, t *bakery.Tree) (bool, error) { return !c.Holds(t), nil }
	return judge{good, "the condition doesn't hold", "the condition holds"}, nil
}

func bisect(cmd *cobra.Command, s *replay.Source, f bisectFlags) error {
	j, err := f.judge()
	if err != nil {
		return err
	}
	good := s.First() - 1
	if f.from != "" {
		if good, err = moment(cmd.Context(), s, f.from); err != nil {
			return err
		}
	}
	bad, err := moment(cmd.Context(), s, f.to)
	if err != nil {
		return err
	}
	if bad, err = firstBad(cmd, s, j, good, bad); err != nil {
		return err
	}
	return history.Entries(cmd.Context(), s, history.Filter{From: bad, To: bad}, func(e history.Entry) error {
		if f.json {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetEscapeHTML(false)
			return enc.Encode(e)
		}
		return writeFound(cmd.OutOrStdout(), e)
	})
}

// mostLines is how many tc lines of the record that was found are shown.
const mostLines = 20

// writeFound prints the record that was found; a refresh, which has thousands of lines, without them.
func writeFound(w io.Writer, e history.Entry) error {
	if len(e.Lines) <= mostLines {
		return e.Write(w, true)
	}
	if err := e.Write(w, false); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "          %d tc lines: log LOG --from %d --to %[2]d --changes shows what it changed, -p all\n", len(e.Lines), e.Seq)
	return err
}

// firstBad halves the records between a good and a bad moment until they are neighbours.
func firstBad(cmd *cobra.Command, s *replay.Source, j judge, good, bad eventlog.Seq) (eventlog.Seq, error) {
	if good >= bad {
		return 0, cli.Usagef("the good moment, record %d, must be before the bad one, record %d", good, bad)
	}
	v := s.Travel()
	ask := func(seq eventlog.Seq) (bool, error) {
		t, err := v.At(cmd.Context(), seq)
		if err != nil {
			return false, err
		}
		return j.good(cmd.Context(), t)
	}
	if ok, err := ask(bad); err != nil {
		return 0, err
	} else if ok {
		return 0, fmt.Errorf("%s at record %d: nothing to find", j.whenGood, bad)
	}
	if ok, err := ask(good); err != nil {
		return 0, err
	} else if !ok {
		return 0, fmt.Errorf("%s at record %d already: --from must name a good moment", j.whenBad, good)
	}
	for bad-good > 1 {
		mid := good + (bad-good)/2
		ok, err := ask(mid)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "record %d: %s\n", mid, map[bool]string{true: "good", false: "bad"}[ok])
		if ok {
			good = mid
		} else {
			bad = mid
		}
	}
	return bad, nil
}

// succeeds runs the command on the state form of a Tree.
func succeeds(ctx context.Context, run string, t *bakery.Tree) (ok bool, err error) {
	var state bytes.Buffer
	if err := replay.WriteState(&state, t); err != nil {
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
	sh.Env = append(os.Environ(), fmt.Sprintf("BAKERY_SEQ=%d", t.Seq), "BAKERY_STATE="+f.Name())
	sh.Stderr = os.Stderr
	err = sh.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return false, nil
	}
	return err == nil, err
}
