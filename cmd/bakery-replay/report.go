package main

import (
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/report"
)

const reportLong = `Makes one file of HTML that a browser shows without a network: a timeline of what was asked and
what it changed, the tree, what differs between two moments, by site, and with --live what the
kernel has otherwise.

The timeline has an entry for each refresh, and for what one sender sent in one go. The file stays
small whatever the log holds: what it leaves out it says, and which command shows it.`

type reportFlags struct {
	from, to, out string
	live          bool
	kernel        diffFlags
}

func reportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report LOG -o FILE",
		Short: "Make a page of HTML: timeline, tree, difference, drift",
		Long:  reportLong,
		Example: `  bakery-replay report lqosd-state/eventlog -o report.html
  bakery-replay report lqosd-state/eventlog --from "yesterday 14:00" -o report.html
  bakery-replay report unix:/run/lqos/bus --live -o report.html`,
		Args: cli.Args("LOG"),
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.out == "" {
			return cli.Usagef("report needs -o FILE; -o - prints the page")
		}
		return withNamedLog(&f.kernel.names, func(cmd *cobra.Command, s *replay.Source) error { return writeReport(cmd, s, args[0], f) })(cmd, args)
	}
	f.kernel.names.add(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "", "from after this moment on, `SEQ|TIME` (default the beginning of the log)")
	fs.StringVar(&f.to, "to", "", "up to this moment, `SEQ|TIME` (default the end)")
	fs.BoolVar(&f.live, "live", false, "with what the running kernel has otherwise than the tree after --to")
	fs.BoolVar(&f.kernel.noMaps, "no-maps", false, "with --live: leave the address maps out")
	fs.StringVar(&f.kernel.bpfFS, "bpf-fs", "", "with --live: bakery.bpf_fs of the daemon, if it isn't the usual `DIR`")
	fs.StringVarP(&f.out, "output", "o", "", "write to `FILE`; - is the output")
	return cmd
}

func writeReport(cmd *cobra.Command, s *replay.Source, log string, f reportFlags) error {
	o := report.Options{Log: logName(log), Made: time.Now(), From: max(s.First(), 1) - 1}
	var err error
	if f.from != "" {
		if o.From, err = moment(cmd.Context(), s, f.from); err != nil {
			return err
		}
	}
	if o.To, err = moment(cmd.Context(), s, f.to); err != nil {
		return err
	}
	if o.From > o.To {
		return cli.Usagef("--from is record %d, and --to record %d, which is before it", o.From, o.To)
	}
	if f.live {
		drift, err := compareLive(cmd, s, o.To, f.kernel)
		if err != nil {
			return err
		}
		o.Drift = &drift
	}
	r, err := report.New(cmd.Context(), s, o)
	if err != nil {
		return err
	}
	return output(cmd, f.out, func(w io.Writer) error { return r.Write(w) })
}

// logName is what a report calls a log: its path without what each has.
func logName(arg string) string {
	if strings.HasPrefix(arg, "unix:") {
		return arg
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return arg
	}
	return strings.TrimSuffix(abs, string(filepath.Separator)+"eventlog")
}
