package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

type logFlags struct {
	from, to    uint64
	since, kind string
	lines, json bool
}

func logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log LOG",
		Short: "List the records: who asked what, when",
		Example: `  bakery-replay log lqosd-state/eventlog --since 2h
  bakery-replay log unix:/run/lqos/bus --kind MqSetup --json`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error { return printLog(cmd, s, f) }),
	}
	fs := cmd.Flags()
	fs.Uint64Var(&f.from, "from", 0, "first record, `N`")
	fs.Uint64Var(&f.to, "to", 0, "last record, `N`")
	fs.StringVar(&f.since, "since", "", "only records from this `TIME` on: 2026-11-23T14:00:00Z, \"yesterday 14:00\", 2h")
	fs.StringVar(&f.kind, "kind", "", "only this `KIND`: MqSetup, AddCircuitQdisc, MapIpToFlow, …")
	fs.BoolVarP(&f.lines, "lines", "p", false, "with the tc lines of each record")
	fs.BoolVar(&f.json, "json", false, "print JSON, one record a line")
	return cmd
}

func printLog(cmd *cobra.Command, s *replay.Source, f logFlags) error {
	filter := replay.Filter{From: eventlog.Seq(f.from), To: eventlog.Seq(f.to)}
	if f.since != "" {
		m, err := replay.ParseMoment(f.since, time.Now())
		if err != nil || m.Time.IsZero() {
			return cli.Usagef("--since %q is no time", f.since)
		}
		filter.Since = m.Time
	}
	if f.kind != "" {
		k, err := bakery.ParseKind(f.kind)
		if err != nil {
			return cli.UsageError{Err: err}
		}
		filter.Kind = k
	}
	out := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err := s.Entries(cmd.Context(), filter, func(e replay.Entry) error {
		if f.json {
			return enc.Encode(e)
		}
		return e.Write(out, f.lines)
	})
	// What stands before a damaged record is good.
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("writing: %w", flushed)
	}
	return err
}
