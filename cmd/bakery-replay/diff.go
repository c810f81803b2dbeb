package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/diff"
)

type diffFlags struct {
	from, to, at, with, link, format, out string
	bpfFS                                 string
	against                               []string
	live, noMaps                          bool
	only, ignore, failOn                  []string
	names                                 nameFiles
}

const diffLong = `Compares two moments of a log, a moment of one log with one of another, or a moment with a kernel,
with tc lines or with tc's JSON from files: what would have to happen to turn the first into the
second. Exit code 0: same, 1: different, 2: trouble.

With --with the second side is another log, --to one of its moments. With --against the file is the
first side, with --live the kernel that bakery-replay runs on, in its network namespace, with the
address maps of lqosd's dataplane, if there are any: what is printed is what would have to happen
there. Leaf handles, which tc assigns by itself, are then not compared, and both sides are compared
in the form that the kernel reports.

--only and --ignore choose differences by KEY=VALUE; each may be repeated:
  object=class,qdisc,mapping,line,link   field=rate,ceil,quantum,…   link=eth1
  change=added,removed,changed,moved,replaced   site="Tower 1"   circuit="Smith"
A site stands for all that is in it. Values are alternatives, keys of --only hold together. Fields
choose among what changed. Totals, formats and exit code are those of what is left. --fail-on names
what makes the exit code 1: added, removed, changed, moved, replaced, or drift, which is any
difference of --live.

Sites that clients told no names of are called by their hashes; --names names them from the
network.json that they were sent from.`

func diffCommand() *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff LOG (--from A --to B | --with LOG2 | --against FILE | --live)",
		Short: "Tell what differs between two moments or logs, from a file or the kernel",
		Long:  diffLong,
		Example: `  bakery-replay diff lqosd-state/eventlog --from "yesterday 14:00" --to now
  bakery-replay diff lqosd-state/eventlog --against linux_tc.txt --format markdown
  bakery-replay diff backup/eventlog --with unix:/run/lqos/bus --only site="Tower 1" --ignore field=quantum,prio
  bakery-replay diff unix:/run/lqos/bus --live`,
		Args: cli.Args("LOG"),
	}
	run := func(cmd *cobra.Command, args []string) error {
		return withNamedLog(&f.names, func(cmd *cobra.Command, s *replay.Source) error { return runDiff(cmd, args[0], s, f) })(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(cmd); err != nil {
			return err
		}
		if err := run(cmd, args); err != nil {
			return trouble(err)
		}
		return nil
	}
	f.add(cmd.Flags())
	f.names.add(cmd)
	return cmd
}

func (f *diffFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.from, "from", "", "first moment, `SEQ|TIME`; 0 is the empty tree")
	fs.StringVar(&f.to, "to", "", "second moment, `SEQ|TIME` (default the end)")
	fs.StringVar(&f.with, "with", "", "another log, `LOG2`, whose moment --to is the second side")
	fs.StringArrayVar(&f.against, "against", nil, "`FILE` of tc lines, or of tc -j -d qdisc show or class show; may be repeated")
	fs.StringVar(&f.at, "at", "", "with --against and --live: the log's moment, `SEQ|TIME` (default the end)")
	fs.StringVar(&f.link, "link", "", "only this link, `IF`; also the one of a file of tc -j class show, which doesn't name it")
	fs.BoolVar(&f.live, "live", false, "compare with the running kernel")
	fs.BoolVar(&f.noMaps, "no-maps", false, "with --live: leave the address maps out, where lqosd has bakery.dataplane = \"off\"")
	fs.StringVar(&f.bpfFS, "bpf-fs", "", "with --live: bakery.bpf_fs of the daemon, if it isn't the usual `DIR`")
	fs.StringArrayVar(&f.only, "only", nil, "show only these differences, `KEY=VALUE`; may be repeated")
	fs.StringArrayVar(&f.ignore, "ignore", nil, "leave these differences out, `KEY=VALUE`; may be repeated")
	fs.StringSliceVar(&f.failOn, "fail-on", nil, "`CHANGES` that make the exit code 1: added, removed, changed, moved, replaced, drift (default all)")
	fs.StringVar(&f.format, "format", "text", "`FORMAT`: "+strings.Join(diff.Formats, ", "))
	fs.StringVarP(&f.out, "output", "o", "", "write to `FILE`")
}

func (f diffFlags) check(cmd *cobra.Command) error {
	moments := cmd.Flags().Changed("from") || cmd.Flags().Changed("to") || f.with != ""
	n := 0
	for _, chosen := range []bool{moments, len(f.against) > 0, f.live} {
		if chosen {
			n++
		}
	}
	switch {
	case n == 0:
		return cli.Usagef("diff needs --from, --with, --against or --live")
	case n > 1:
		return cli.Usagef("diff takes only one of --from and --to, --against, or --live")
	case moments && f.at != "":
		return cli.Usagef("--at goes with --against and --live: the moments are --from and --to")
	case moments && f.from == "" && f.with == "":
		return cli.Usagef("--to needs --from")
	case !slices.Contains(diff.Formats, f.format):
		return cli.Usagef("--format %q: must be one of %s", f.format, strings.Join(diff.Formats, ", "))
	}
	if err := diff.ParseFailOn(f.failOn); err != nil {
		return cli.Usagef("--fail-on %w", err)
	}
	_, err := f.selection()
	return err
}

func (f diffFlags) selection() (diff.Selection, error) {
	var s diff.Selection
	for _, flag := range []struct {
		name string
		text []string
		to   *[]diff.Term
	}{{"only", f.only, &s.Only}, {"ignore", f.ignore, &s.Ignore}} {
		for _, text := range flag.text {
			t, err := diff.ParseTerm(text)
			if err != nil {
				return s, cli.Usagef("--%s %w", flag.name, err)
			}
			*flag.to = append(*flag.to, t)
		}
	}
	return s, nil
}

func runDiff(cmd *cobra.Command, log string, s *replay.Source, f diffFlags) error {
	began := time.Now()
	r, err := compare(cmd, log, s, f)
	if err != nil {
		return err
	}
	if f.live && !r.Same() {
		hintFileMode(cmd, log, s)
	}
	if f.link != "" {
		r = r.OnLink(f.link)
	}
	selection, err := f.selection()
	if err != nil {
		return err
	}
	if r, err = r.Select(selection); err != nil {
		return err
	}
	r.Took = time.Since(began)
	err = output(cmd, f.out, func(w io.Writer) error { return r.Write(w, f.format, colourful(w)) })
	if (err == nil || errors.Is(err, cli.ErrLeft)) && r.Fails(f.failOn) {
		return cli.Quiet()
	}
	return err
}

func compare(cmd *cobra.Command, log string, s *replay.Source, f diffFlags) (diff.Report, error) {
	if len(f.against) > 0 || f.live {
		at, err := moment(cmd.Context(), s, f.at)
		switch {
		case err != nil:
			return diff.Report{}, err
		case f.live:
			return compareLive(cmd, s, at, f)
		}
		return diff.CompareFiles(cmd.Context(), s, at, f.link, f.against)
	}
	a, err := moment(cmd.Context(), s, f.from)
	if err != nil {
		return diff.Report{}, err
	}
	if f.with != "" {
		return compareLogs(cmd, diff.LogMoment{Name: log, Source: s, At: a}, f)
	}
	b, err := moment(cmd.Context(), s, f.to)
	if err != nil {
		return diff.Report{}, err
	}
	return diff.CompareMoments(cmd.Context(), s, a, b)
}

// compareLogs compares with a moment of the log of --with.
func compareLogs(cmd *cobra.Command, a diff.LogMoment, f diffFlags) (r diff.Report, err error) {
	s, done, err := openLog(cmd, f.with)
	if err != nil {
		return r, fmt.Errorf("--with %s: %w", f.with, err)
	}
	defer func() { err = errors.Join(err, done()) }()
	if err := f.names.give(s); err != nil {
		return r, err
	}
	b, err := moment(cmd.Context(), s, f.to)
	if err != nil {
		return r, err
	}
	return diff.CompareLogs(cmd.Context(), a, diff.LogMoment{Name: f.with, Source: s, At: b})
}

// colourful reports a terminal whose user doesn't mind colour (no-color.org).
func colourful(w io.Writer) bool {
	f, ok := cli.File(w)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}
