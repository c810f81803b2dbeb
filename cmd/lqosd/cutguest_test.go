package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

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
	if err == nil && j.Copy {
		go func() { ended <- p.takeCopies(say) }()
	}
	if err == nil {
		err = j.play(c, say)
	}
	if err != nil {
		return err
	}
	return <-ended
}

// play sends what is to be sent, and says what is acknowledged.
func (j cutJob) play(c *bus.Client, say func(string, ...any)) error {
	sessions := make(chan session, max(1, j.Window/j.Size))
	sending := make(chan error, 1)
	go func() {
		defer close(sessions)
		sending <- j.send(c, sessions, say)
	}()
	acked := j.From
	for s := range sessions {
		replies, err := s.future.Wait(context.Background())
		if err != nil {
			return err
		}
		for _, r := range replies {
			if !r.IsAck() {
				return fmt.Errorf("after %d records: %s %w", acked, r.Name, r.Err())
			}
		}
		acked += s.n
		say("acked %d", acked)
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

// takeCopies takes copies of the log, one after the other.
func (p place) takeCopies(say func(string, ...any)) error {
	c, err := bus.Dial(context.Background(), p.socket(), bus.DialOptions{Codec: bus.CBOR})
	for err == nil {
		say("copying")
		err = c.Ask(context.Background(), bus.Call{Name: "LqosdCopy"}, &struct{}{})
	}
	return fmt.Errorf("taking a copy: %w", err)
}
