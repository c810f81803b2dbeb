package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// cutGuest is the name under which this test binary is the first program of a machine that loses its power: a daemon, and a
// client that plays to it.
const cutGuest = "cut-guest"

// cutState is where that daemon has its log: folders that it makes itself, on the disk of the machine.
const cutState = "/var/lib/lqosd"

// cutSegmentBytes makes segments so small that they are rolled all the time.
const cutSegmentBytes = 8 << 10

// cutJob is what that program has to do.
type cutJob struct {
	Config   string     // lqos.conf
	Units    [][]string // of a round, one after the other and again; each is some requests that give one record
	From, To int        // records in the log at first and at last
	Size     int        // units of a session
	Window   int        // units that may be on the way, at least a session
	Copy     bool       // copies are handed out meanwhile
	NoSync   bool       // the daemon never syncs: a control
	Early    bool       // what is sent is said to be acknowledged: a control
}

// runCutGuest never returns: the power is cut.
func runCutGuest() {
	var job cutJob
	say, err := testenv.EnterDiskVM(&job)
	if err == nil {
		err = job.run(say)
	}
	fmt.Fprintln(os.Stderr, "in the machine:", err)
	os.Exit(1) // which halts it
}

func (j cutJob) run(say func(string, ...any)) error {
	p := place{testenv.DiskVMTemp}
	if err := os.WriteFile(p.config(), []byte(j.Config), 0o600); err != nil {
		return err
	}
	say("starting")
	d, ended := newDiary(), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(io.MultiWriter(d, os.Stderr), nil))
	flags := serveFlags{config: p.config(), mode: lqosconf.ModeFile, openLog: func(dir string, o eventlog.Options) (*eventlog.Log, error) {
		o.SegmentBytes, o.NoSync = cutSegmentBytes, j.NoSync
		return eventlog.Open(dir, o)
	}}
	go func() { ended <- serve(context.Background(), flags, log) }()
	select {
	case <-d.serving:
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	}
	say("serving")
	c, err := bus.Dial(context.Background(), p.socket(), bus.DialOptions{Codec: bus.CBOR})
	var acked atomic.Int64
	acked.Store(int64(j.From))
	if err == nil && j.Copy {
		go func() { ended <- p.takeCopies(&acked, say) }()
	}
	if err == nil {
		err = j.play(c, &acked, say)
	}
	if err != nil {
		return err
	}
	return <-ended
}

// play sends what is to be sent, and says what is acknowledged.
func (j cutJob) play(c *bus.Client, acked *atomic.Int64, say func(string, ...any)) error {
	sessions := make(chan session, max(1, j.Window/j.Size))
	sending := make(chan error, 1)
	go func() {
		defer close(sessions)
		sending <- j.send(c, sessions, say)
	}()
	for s := range sessions {
		replies, err := s.future.Wait(context.Background())
		if err != nil {
			return err
		}
		for _, r := range replies {
			if !r.IsAck() {
				return fmt.Errorf("after %d records: %s %w", acked.Load(), r.Name, r.Err())
			}
		}
		say("acked %d", acked.Add(int64(s.n)))
	}
	say("done")
	return <-sending
}

func (j cutJob) send(c *bus.Client, sessions chan<- session, say func(string, ...any)) error {
	for at := j.From; at < j.To; {
		n := min(j.Size, j.To-at)
		var calls []bus.Call
		for i := range n {
			for _, text := range j.Units[(at+i)%len(j.Units)] {
				call, err := bus.ParseCall([]byte(text))
				if err != nil {
					return err
				}
				calls = append(calls, call)
			}
		}
		at += n
		say("sent %d", at)
		sessions <- session{c.Go(calls...), n}
		if j.Early {
			say("acked %d", at)
		}
	}
	return nil
}

// takeCopies takes copies of the log, one after the other, and hands each to the host, with what was acknowledged when it was asked for.
func (p place) takeCopies(acked *atomic.Int64, say func(string, ...any)) error {
	c, err := bus.Dial(context.Background(), p.socket(), bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return fmt.Errorf("taking copies: %w", err)
	}
	line, err := testenv.DiskVMLine()
	for err == nil {
		say("copying")
		err = takeCopy(c, json.NewEncoder(line), int(acked.Load()))
	}
	return fmt.Errorf("taking a copy: %w", err)
}

func takeCopy(c *bus.Client, out *json.Encoder, acked int) error {
	var list struct {
		Files []copyFile `json:"files"`
	}
	if err := c.Ask(context.Background(), bus.Call{Name: "LqosdCopy"}, &list); err != nil {
		return err
	}
	if err := out.Encode(copyPiece{Files: list.Files, Acked: acked}); err != nil {
		return err
	}
	for _, f := range list.Files {
		for at := 0; at < int(f.Size); {
			var p copyPiece
			call := bus.Call{Name: "LqosdCopyRead", Args: map[string]any{"name": f.Name, "offset": at, "length": 16 << 10}}
			if err := c.Ask(context.Background(), call, &p); err != nil {
				return err
			}
			p.Name = f.Name
			if err := out.Encode(p); err != nil {
				return err
			}
			at += len(p.Data)
		}
	}
	return nil
}
