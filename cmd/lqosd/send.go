package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"lqosd/bus"
	"lqosd/internal/cli"
)

const sendLong = `Sends requests from a file, one JSON request per line, as the bus names them:
"Ping", {"Ping":null} or {"BakeryMqSetup":{"queues_available":4,"stick_offset":0}}. Empty
lines are passed over. All lines are read before the first is sent.

Requests travel in sessions; each session is one transaction of the log. Refusals go to
stderr with their line; answers that carry data go to stdout as JSON lines. Exit code 1 when
anything was refused, or when a BakeryStart is left without its BakeryCommit.`

type sendFlags struct {
	socket, wait, key string
	session           int
	json              bool
}

func sendCommand() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:     "send FILE|-",
		Short:   "Send requests from a file",
		Long:    sendLong,
		Example: "  lqosd send --wait applied commands.jsonl\n  echo '\"ListIpFlow\"' | lqosd send -",
		Args:    cli.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.wait != "" && f.wait != "applied" && f.wait != "durable" {
				return cli.Usagef("--wait %q: must be durable or applied", f.wait)
			}
			if f.session < 0 {
				return cli.Usagef("--session %d: must be 0 or more", f.session)
			}
			if f.key != "" && cmd.Flags().Changed("session") {
				return cli.Usagef("--key sends all in one session: leave out --session")
			}
			return runSend(cmd, f, args[0])
		},
	}
	fs := cmd.Flags()
	socketFlag(fs, &f.socket)
	fs.StringVar(&f.wait, "wait", "", "then wait until all is `durable|applied`")
	fs.IntVar(&f.session, "session", 1024, "`REQUESTS` per session; 0: all in one")
	fs.StringVar(&f.key, "key", "", "send all as one session under this idempotency `KEY`: all or nothing, and harmless to repeat")
	fs.BoolVar(&f.json, "json", false, "print every answer as a JSON line")
	return cmd
}

// line is a request and where it stood.
type line struct {
	number int
	call   bus.Call
}

func runSend(cmd *cobra.Command, f sendFlags, name string) error {
	lines, err := cli.Interruptible(cmd.Context(), func() (lines []line, err error) {
		in, err := openInput(cmd, name)
		if err != nil {
			return nil, err
		}
		lines, err = parseLines(in)
		if err = errors.Join(err, in.Close()); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return lines, err
	})
	if err != nil {
		return err
	}
	c, err := dial(cmd.Context(), f.socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	var before waitReply // what was there before
	if f.wait != "" {
		if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdWait"}, &before); err != nil {
			return err
		}
	}
	s := sender{out: cmd.OutOrStdout(), diag: cmd.ErrOrStderr(), name: name, json: f.json}
	if err := s.all(cmd.Context(), c, lines, f); err != nil {
		return err
	}
	if f.wait != "" {
		applied := f.wait == "applied"
		since := uint64(before.Seq) + 1
		w := waitRequest{Applied: &applied, Since: &since}
		if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdWait", Args: w}, &waitReply{}); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.diag, "%d requests: %d answered, %d refused\n", len(lines), len(lines)-s.refused, s.refused)
	if s.begun > 0 {
		fmt.Fprintf(s.diag, "%s:%d: the batch that begins here has no BakeryCommit: nothing of it was taken\n", name, s.begun)
	}
	if s.refused > 0 || s.begun > 0 {
		return cli.Quiet()
	}
	return nil
}

func parseLines(in io.Reader) ([]line, error) {
	r := bufio.NewReader(in)
	var lines []line
	for n := 1; ; n++ {
		text, err := r.ReadBytes('\n')
		if text := bytes.TrimSpace(text); len(text) > 0 {
			call, err := bus.ParseCall(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			lines = append(lines, line{n, call})
		}
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// sender sends sessions, several on their way at a time, and prints the answers.
type sender struct {
	out, diag io.Writer
	name      string
	json      bool
	refused   int
	begun     int // the line of the BakeryStart whose batch is open; 0: none is
}

// ahead is how many sessions are sent before the first of them is answered: enough to
// keep the daemon's committer busy.
const ahead = 64

type onItsWay struct {
	lines  []line
	future *bus.Future
}

func (s *sender) all(ctx context.Context, c *bus.Client, lines []line, f sendFlags) error {
	size := f.session
	if size == 0 || f.key != "" {
		size = max(len(lines), 1)
	}
	bar := cli.NewBar(s.diag, len(lines), "requests")
	defer bar.End()
	var queue []onItsWay
	for len(lines) > 0 || len(queue) > 0 {
		for len(lines) > 0 && len(queue) < ahead {
			n := min(size, len(lines))
			calls := make([]bus.Call, n)
			for i, l := range lines[:n] {
				calls[i] = l.call
			}
			queue = append(queue, onItsWay{lines[:n], c.GoWithKey(f.key, calls...)})
			lines = lines[n:]
		}
		replies, err := queue[0].future.Wait(ctx)
		if err != nil {
			return fmt.Errorf("%s: from line %d on nothing was answered: %w", s.name, queue[0].lines[0].number, err)
		}
		for i, r := range replies {
			if err := s.show(queue[0].lines[i], r); err != nil {
				return err
			}
		}
		bar.Add(len(replies))
		queue = queue[1:]
	}
	return nil
}

// show prints what isn't a plain Ack.
func (s *sender) show(l line, r bus.Reply) error {
	switch {
	case l.call.Name == "BakeryStart" && r.IsAck():
		s.begun = l.number
	case l.call.Name == "BakeryCommit":
		s.begun = 0
	}
	if err := r.Err(); err != nil {
		s.refused++
		fmt.Fprintf(s.diag, "%s:%d: %s: %v\n", s.name, l.number, l.call.Name, err)
	}
	partly := r.Name == "LqosdPartial" || r.Name == "LqosdUnknownOutcome"
	if partly {
		s.refused++
	}
	plain := r.IsAck() || r.Name == "Fail"
	if plain && !s.json {
		return nil
	}
	text, err := r.JSON()
	if err != nil {
		return err
	}
	out := s.out
	if partly && !s.json {
		out = s.diag
		text = fmt.Appendf(nil, "%s:%d: %s: %s", s.name, l.number, l.call.Name, text)
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
