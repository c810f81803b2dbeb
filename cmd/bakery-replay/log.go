package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
	"lqosd/replay/history"
)

type logFlags struct {
	from, to, since, until, kind, sender string
	target                               targetFlags
	tail                                 int
	tailed                               bool // --tail is given
	lines, changes, json, follow         bool
}

const logLong = `Lists the records: who asked what, when; with --changes also what it changed.

The filters work together: a record is listed if it concerns all of them. What concerns a class,
a site or a circuit the tree tells: its own commands, those that change it (a refresh, a line of
tc), and mappings to it.`

func logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log LOG",
		Short: "List the records: who asked what, when",
		Long:  logLong,
		Example: `  bakery-replay log lqosd-state/eventlog --since "yesterday 14:00" --changes
  bakery-replay log lqosd-state/eventlog --circuit "Smith & Sons" -p
  bakery-replay log unix:/run/lqos/bus --kind MqSetup --json
  bakery-replay log unix:/run/lqos/bus --follow --tail 20 --circuit "Smith & Sons"`,
		Args: cli.Args("LOG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.tailed = cmd.Flags().Changed("tail")
			if f.follow {
				return followLog(cmd, args, f)
			}
			return withLog(func(cmd *cobra.Command, s *replay.Source) error { return printLog(cmd, s, f) })(cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.from, "from", "", "from this record or time on, `SEQ|TIME`")
	fs.StringVar(&f.to, "to", "", "up to this record or time, `SEQ|TIME`")
	fs.StringVar(&f.since, "since", "", "only records from this `TIME` on: 2026-11-23T14:00:00Z, \"yesterday 14:00\", 2h")
	fs.StringVar(&f.until, "until", "", "only records up to this `TIME`")
	fs.StringVar(&f.kind, "kind", "", "only this `KIND`: MqSetup, AddCircuitQdisc, MapIpToFlow, …")
	fs.StringVar(&f.sender, "sender", "", "only of this `USER|uid:N|pid:N`")
	f.target.add(cmd)
	fs.IntVar(&f.tail, "tail", 0, "only the newest `N` of them; with --follow 0 shows only what comes")
	fs.BoolVarP(&f.lines, "lines", "p", false, "with the tc lines of each record")
	fs.BoolVar(&f.changes, "changes", false, "with what each record changed in the tree")
	fs.BoolVar(&f.json, "json", false, "print JSON, one record a line")
	fs.BoolVarP(&f.follow, "follow", "f", false, "go on with what comes, until Ctrl-C: needs unix:SOCKET")
	return cmd
}

// filter makes a Filter of the flags.
func (f logFlags) filter() (filter history.Filter, err error) {
	filter.Changes = f.changes
	if filter.Target, err = f.target.target(); err != nil {
		return filter, err
	}
	if filter.From, filter.Since, err = end(f.from, "from"); err != nil {
		return filter, err
	}
	if filter.To, filter.Until, err = end(f.to, "to"); err != nil {
		return filter, err
	}
	for _, t := range []struct {
		flag, text string
		into       *time.Time
	}{{"since", f.since, &filter.Since}, {"until", f.until, &filter.Until}} {
		if t.text == "" {
			continue
		}
		m, err := replay.ParseMoment(t.text, time.Now())
		if err != nil || m.Time.IsZero() {
			return filter, cli.Usagef("--%s %q is no time: write 2h30m or 7d (ago), 14:00, \"yesterday 14:00\", \"2026-11-23 14:00\" or 2026-11-23T14:00:00Z; a record's number goes with --from or --to", t.flag, t.text)
		}
		*t.into = m.Time
	}
	if f.tail < 0 {
		return filter, cli.Usagef("--tail %d: must be 0 or more", f.tail)
	}
	if f.kind != "" {
		if filter.Kind, err = bakery.ParseKind(f.kind); err != nil {
			return filter, cli.UsageError{Err: err}
		}
	}
	return filter, f.addSender(&filter)
}

// end is where a range begins or ends: a record or a time.
func end(text, flag string) (seq eventlog.Seq, at time.Time, err error) {
	if text == "" {
		return 0, time.Time{}, nil
	}
	m, err := replay.ParseMoment(text, time.Now())
	if err != nil {
		return 0, time.Time{}, cli.Usagef("--%s: %v", flag, err)
	}
	return m.Seq, m.Time, nil
}

func (f logFlags) addSender(filter *history.Filter) error {
	if f.sender == "" {
		return nil
	}
	kind, text, found := strings.Cut(f.sender, ":")
	if !found {
		kind, text = "uid", f.sender
	}
	if u, err := user.Lookup(text); err == nil && kind == "uid" {
		text = u.Uid
	}
	switch kind {
	case "uid":
		if n, err := strconv.ParseUint(text, 10, 32); err == nil {
			uid := uint32(n)
			filter.UID = &uid
			return nil
		}
	case "pid":
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			pid := int32(n)
			filter.PID = &pid
			return nil
		}
	}
	return cli.Usagef("--sender %q: write a user's name, uid:N or pid:N", f.sender)
}

func printLog(cmd *cobra.Command, s *replay.Source, f logFlags) error {
	filter, err := f.filter()
	if err != nil {
		return err
	}
	n, p := 0, f.printer(cmd.OutOrStdout())
	show := p.print
	p.print = func(e history.Entry) error {
		n++
		return show(e)
	}
	err = f.printEntries(cmd, s, filter, p)
	if n == 0 && err == nil && !(f.tailed && f.tail == 0) {
		fmt.Fprintf(cmd.ErrOrStderr(), "bakery-replay: %s\n", f.nothing(s))
	}
	return err
}

// nothing says that no record is listed, and how to find what a name may have been meant for.
func (f logFlags) nothing(s *replay.Source) string {
	text := fmt.Sprintf("no record from %d to %d fits", s.First(), s.Last())
	if f.target.site != "" || f.target.circuit != "" {
		text += ": a name has to be whole, bakery-replay whois finds one by a part"
	}
	return text
}

func (f logFlags) printEntries(cmd *cobra.Command, s *replay.Source, filter history.Filter, p entryPrinter) (err error) {
	if f.tailed {
		var newest []history.Entry
		err = history.Entries(cmd.Context(), s, filter, func(e history.Entry) error {
			if newest = append(newest, e); len(newest) > 2*f.tail {
				newest = slices.Delete(newest, 0, len(newest)-f.tail)
			}
			return nil
		})
		for _, e := range newest[max(0, len(newest)-f.tail):] {
			err = errors.Join(err, p.print(e))
		}
	} else {
		err = history.Entries(cmd.Context(), s, filter, p.print)
	}
	// What stands before a damaged record is good.
	if flushed := p.out.Flush(); err == nil && flushed != nil {
		err = fmt.Errorf("writing: %w", flushed)
	}
	return err
}

// followLog prints what is there, then what comes, until the command is interrupted.
func followLog(cmd *cobra.Command, args []string, f logFlags) error {
	socket, err := socketOf(args[0])
	if err != nil {
		return err
	}
	if f.to != "" || f.until != "" {
		return cli.Usagef("--follow has no end: leave out --to and --until")
	}
	t := &tail{socket: socket, diag: cmd.ErrOrStderr()}
	err = withLog(func(cmd *cobra.Command, s *replay.Source) error {
		filter, err := f.filter()
		if err != nil {
			return err
		}
		p := f.printer(cmd.OutOrStdout())
		t.print, t.flush = p.print, p.out.Flush
		if err := f.printEntries(cmd, s, filter, p); err != nil {
			return err
		}
		t.view, err = history.Follow(cmd.Context(), s, filter)
		return err
	})(cmd, args)
	if err == nil {
		err = t.run(cmd.Context())
	}
	select {
	case <-cmd.Context().Done(): // by Ctrl-C, as it should
		return nil
	default:
		return err
	}
}

// entryPrinter prints entries as the flags ask for.
type entryPrinter struct {
	out   *bufio.Writer
	print func(history.Entry) error
}

func (f logFlags) printer(w io.Writer) entryPrinter {
	p := entryPrinter{out: bufio.NewWriterSize(w, 1<<16)}
	colour := colourful(w)
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	p.print = func(e history.Entry) error {
		switch {
		case f.json:
			return enc.Encode(e)
		case f.changes:
			return e.WriteChanges(p.out, f.lines, colour)
		}
		return e.Write(p.out, f.lines)
	}
	return p
}
