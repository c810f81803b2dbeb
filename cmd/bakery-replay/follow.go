package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay/history"
)

const (
	// inFlight is how many records are asked for ahead of the one that is shown.
	inFlight = 256
	// waitTime is how long a daemon may leave us without a record before it answers: then it is asked again.
	waitTime = time.Hour
	// redial is the pause between two attempts to reach a daemon that has gone.
	redial = 250 * time.Millisecond
	// maxAttempts is how often in a row a daemon may answer, and not with a record, before it is believed: one that ends, or has
	// just begun, does so too.
	maxAttempts = 40
)

// errAway says that the daemon gave no record.
var errAway = errors.New("the daemon gives no record")

// tail shows the records of a running daemon as they become durable.
type tail struct {
	socket string
	diag   io.Writer
	view   *history.Follower
	last   *bakery.Record // that was seen here; nil: none
	print  func(history.Entry) error
	flush  func() error
}

// run goes on until ctx ends, over restarts of the daemon.
func (t *tail) run(ctx context.Context) error {
	told, attempts := false, 0
	for {
		c, err := bus.Dial(ctx, t.socket, bus.DialOptions{Codec: bus.JSON})
		if err == nil {
			before := t.view.Seq()
			err = t.follow(ctx, c)
			_ = c.Close()
			if attempts++; t.view.Seq() > before {
				told, attempts = false, 0
			}
			if !errors.Is(err, errAway) || attempts == maxAttempts {
				return err
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, fs.ErrPermission):
			return cli.NoDaemon(t.socket, "unix:SOCKET", false, err)
		case !told:
			fmt.Fprintf(t.diag, "bakery-replay: the daemon at %s has gone: waiting for it\n", t.socket)
			told = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(redial):
		}
	}
}

// follow shows what comes over one connection; errAway when that ends.
func (t *tail) follow(ctx context.Context, c *bus.Client) error {
	if err := t.sameLog(ctx, c); err != nil {
		return err
	}
	for {
		next := t.view.Seq() + 1
		err := waitSeq(ctx, c, next)
		if isTimeout(err) {
			continue
		}
		var newest eventlog.Seq
		if err == nil {
			newest, err = newestSeq(ctx, c)
		}
		if err != nil {
			return away(err)
		}
		if err := t.show(ctx, c, next, newest); err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
}

// show asks for the records from..to, many at a time, and shows them.
func (t *tail) show(ctx context.Context, c *bus.Client, from, to eventlog.Seq) error {
	var asked []*bus.Future
	for next := from; from <= to; from++ {
		for ; next <= to && len(asked) < inFlight; next++ {
			asked = append(asked, c.Go(bus.Call{Name: "LqosdRecord", Args: map[string]any{"seq": next}}))
		}
		r, err := recordOf(ctx, asked[0])
		if err != nil {
			return errors.Join(away(err), t.flush())
		}
		asked = asked[1:]
		e, ok, err := t.view.See(r)
		if err != nil {
			return err
		}
		t.last = &r
		if !ok {
			continue
		}
		if err := t.print(e); err != nil {
			return err
		}
	}
	return nil
}

// sameLog makes sure that the daemon's log goes on where the records that were shown end.
func (t *tail) sameLog(ctx context.Context, c *bus.Client) error {
	newest, err := newestSeq(ctx, c)
	if err == nil && newest < t.view.Seq() {
		return fmt.Errorf("the daemon at %s has another log now: it ends at record %d, and record %d was there", t.socket, newest, t.view.Seq())
	}
	if err == nil && t.last != nil {
		var r bakery.Record
		r, err = recordOf(ctx, c.Go(bus.Call{Name: "LqosdRecord", Args: map[string]any{"seq": t.last.Seq}}))
		if err == nil && (!r.Time.Equal(t.last.Time) || r.Sender != t.last.Sender) {
			return fmt.Errorf("the daemon at %s has another log now: record %d is another", t.socket, t.last.Seq)
		}
	}
	return away(err)
}

// away is what a daemon says that is about to end, or that begins, and a connection that has ended.
func away(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errAway, err)
}

func waitSeq(ctx context.Context, c *bus.Client, seq eventlog.Seq) error {
	args := map[string]any{"seq": seq, "timeout_ms": waitTime.Milliseconds()}
	return c.Ask(ctx, bus.Call{Name: "LqosdWait", Args: args}, &json.RawMessage{})
}

// isTimeout reports that nothing came for as long as a daemon waits.
func isTimeout(err error) bool {
	return err != nil && strings.Contains(err.Error(), context.DeadlineExceeded.Error())
}

func newestSeq(ctx context.Context, c *bus.Client) (eventlog.Seq, error) {
	var newest struct {
		Seq eventlog.Seq `json:"seq"`
	}
	err := c.Ask(ctx, bus.Call{Name: "LqosdWait", Args: map[string]any{}}, &newest)
	return newest.Seq, err
}

// recordOf is the record that an answer holds.
func recordOf(ctx context.Context, f *bus.Future) (bakery.Record, error) {
	var answer struct {
		Kind   string `json:"kind"`
		Record struct {
			Seq     eventlog.Seq    `json:"seq"`
			Time    time.Time       `json:"time"`
			Sender  bakery.Sender   `json:"sender"`
			Command json.RawMessage `json:"command"`
		} `json:"record"`
	}
	replies, err := f.Wait(ctx)
	if err == nil {
		err = replies[0].Decode(&answer)
	}
	if err != nil {
		return bakery.Record{}, err
	}
	r := bakery.Record{Seq: answer.Record.Seq, Time: answer.Record.Time.UTC(), Sender: answer.Record.Sender}
	if r.Command, err = bakery.DecodeCommandJSON(answer.Kind, answer.Record.Command); err != nil {
		err = fmt.Errorf("record %d, as a newer daemon may have it: %w", r.Seq, err)
	}
	return r, err
}

// socketOf is the socket of a log that can be followed.
func socketOf(log string) (string, error) {
	socket, ok := strings.CutPrefix(log, "unix:")
	if !ok {
		return "", cli.Usagef("--follow needs unix:SOCKET: what comes next only the daemon knows, and it has the directory's newest segment to itself")
	}
	return socket, nil
}
