package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lqosd/internal/cli"
	"lqosd/replay"
)

type diffFlags struct {
	from, to, at, link, format, out string
	bpfFS                           string
	against                         []string
	live, noMaps                    bool
}

const diffLong = `Compares two moments of a log, or a moment with tc lines or tc's JSON from files: what would
have to happen to turn the first into the second. Exit code 0: same, 1: different, 2: trouble.

With --against the file is the first side, with --live the kernel that bakery-replay runs on,
in its network namespace, with the address maps of lqosd's dataplane, if there are any: what is
printed is what would have to happen there. Leaf handles, which tc assigns by itself, are then
not compared, and both sides are compared in the form that the kernel reports.`

func diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff LOG (--from A --to B | --against FILE | --live)",
		Short: "Tell what differs between two moments, or from a file",
		Long:  diffLong,
		Example: `  bakery-replay diff lqosd-state/eventlog --from "yesterday 14:00" --to now
  bakery-replay diff lqosd-state/eventlog --against linux_tc.txt --format markdown
  bakery-replay diff unix:/run/lqos/bus --live`,
		Args: cli.Args("LOG"),
	}
	run := withLog(func(cmd *cobra.Command, s *replay.Source) error { return runDiff(cmd, s, f) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd); err != nil {
			return err
		}
		if err := run(cmd, args); err != nil {
			return trouble(err)
		}
		return nil
	}
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "", "first moment, `SEQ|TIME`; 0 is the empty tree")
	fs.StringVar(&f.to, "to", "", "second moment, `SEQ|TIME` (default the end)")
	fs.StringArrayVar(&f.against, "against", nil, "`FILE` of tc lines, or of tc -j -d qdisc show or class show; may be repeated")
	fs.StringVar(&f.at, "at", "", "with --against and --live: the log's moment, `SEQ|TIME` (default the end)")
	fs.StringVar(&f.link, "link", "", "only this link, `IF`; also the one of a file of tc -j class show, which doesn't name it")
	fs.BoolVar(&f.live, "live", false, "compare with the running kernel")
	fs.BoolVar(&f.noMaps, "no-maps", false, "with --live: leave the address maps out, where lqosd has bakery.dataplane = \"off\"")
	fs.StringVar(&f.bpfFS, "bpf-fs", "", "with --live: bakery.bpf_fs of the daemon, if it isn't the usual `DIR`")
	fs.StringVar(&f.format, "format", "text", "`FORMAT`: "+strings.Join(replay.DiffFormats, ", "))
	fs.StringVarP(&f.out, "output", "o", "", "write to `FILE`")
	return cmd
}

func (f diffFlags) check(cmd *cobra.Command) error {
	moments := cmd.Flags().Changed("from") || cmd.Flags().Changed("to")
	n := 0
	for _, chosen := range []bool{moments, len(f.against) > 0, f.live} {
		if chosen {
			n++
		}
	}
	switch {
	case n == 0:
		return cli.Usagef("diff needs --from, --against or --live")
	case n > 1:
		return cli.Usagef("diff takes only one of --from and --to, --against, or --live")
	case moments && f.from == "":
		return cli.Usagef("--to needs --from")
	case !slices.Contains(replay.DiffFormats, f.format):
		return cli.Usagef("--format %q: must be one of %s", f.format, strings.Join(replay.DiffFormats, ", "))
	}
	return nil
}

func runDiff(cmd *cobra.Command, s *replay.Source, f diffFlags) error {
	r, err := compare(cmd, s, f)
	if err != nil {
		return err
	}
	if f.link != "" {
		r = r.OnLink(f.link)
	}
	err = output(cmd, f.out, func(w io.Writer) error { return r.Write(w, f.format, colourful(w)) })
	if (err == nil || errors.Is(err, cli.ErrLeft)) && !r.Same() {
		return cli.Quiet()
	}
	return err
}

func compare(cmd *cobra.Command, s *replay.Source, f diffFlags) (replay.DiffReport, error) {
	if len(f.against) > 0 || f.live {
		at, err := moment(cmd.Context(), s, f.at)
		switch {
		case err != nil:
			return replay.DiffReport{}, err
		case f.live:
			return compareLive(cmd, s, at, f)
		}
		return s.CompareFiles(cmd.Context(), at, f.link, f.against)
	}
	a, err := moment(cmd.Context(), s, f.from)
	if err != nil {
		return replay.DiffReport{}, err
	}
	b, err := moment(cmd.Context(), s, f.to)
	if err != nil {
		return replay.DiffReport{}, err
	}
	return s.CompareMoments(cmd.Context(), a, b)
}

// colourful reports a terminal whose user doesn't mind colour (no-color.org).
func colourful(w io.Writer) bool {
	f, ok := cli.File(w)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}
