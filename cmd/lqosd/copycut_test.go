package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/lqosconf"
)

// thinLine passes on connections to a daemon, whose answers end after so many bytes.
type thinLine struct {
	net.Listener
	to     string
	bytes  atomic.Int64
	passed chan int64 // how many there were
}

func newThinLine(t *testing.T, p place) *thinLine {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(p.dir, "thin"))
	if err != nil {
		t.Fatal(err)
	}
	line := &thinLine{Listener: l, to: p.socket(), passed: make(chan int64, 1)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			line.passed <- line.pass(client)
		}
	}()
	return line
}

func (l *thinLine) pass(client net.Conn) (n int64) {
	daemon, err := net.Dial("unix", l.to)
	if err != nil {
		return -1
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(daemon, client)
		_ = daemon.Close()
	}()
	n, _ = io.CopyN(client, daemon, l.bytes.Load())
	_ = client.Close()
	<-ended
	return n
}

// serveSegments is serveHere with a log of many small segments.
func (p place) serveSegments(t *testing.T) {
	t.Helper()
	d := newDiary()
	ended := make(chan error, 1)
	flags := serveFlags{config: p.config(), mode: lqosconf.ModeFile, openLog: func(dir string, o eventlog.Options) (*eventlog.Log, error) {
		o.SegmentBytes = cutSegmentBytes
		return eventlog.Open(dir, o)
	}}
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- serve(ctx, flags, slog.New(slog.NewTextHandler(d, nil))) }()
	t.Cleanup(func() {
		if end(); <-ended != nil {
			t.Error(d)
		}
	})
	select {
	case <-d.serving:
	case <-time.After(patience):
		t.Fatalf("serve doesn't serve:\n%s", d)
	}
}

// TestCopyCutOff takes copies of a log from a daemon that goes away after some bytes of its answers, also just before the last one: what
// hasn't come completely doesn't stand under the name of the copy, or anywhere.
func TestCopyCutOff(t *testing.T) {
	p := newPlace(t, "tree3_frac")
	p.serveSegments(t)
	c := connect(t, p, bus.CBOR)
	for range 15 {
		mustPlay(t, c, trace(t, "tree3_frac", "trace.jsonl"), 0)
	}
	last := lastSeq(t, p)
	line := newThinLine(t, p)
	temp := t.TempDir()
	to := filepath.Join(t.TempDir(), "copy")
	take := func(bytes int64) (passed int64, text string, err error) {
		line.bytes.Store(bytes)
		cmd := exec.Command(program(t, "bakery-replay"), "copy", "unix:"+line.Addr().String(), "-o", to)
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
		out, err := cmd.CombinedOutput()
		return <-line.passed, string(out), err
	}
	all := int64(0)
	for last := int64(-1); last != all; { // it grows until the daemon has noted in it how far its tc file goes
		var text string
		var err error
		if last = all; os.RemoveAll(to) != nil {
			t.Fatal("the copy can't be removed")
		}
		if all, text, err = take(1 << 40); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	segments, _ := filepath.Glob(filepath.Join(to, "*.db"))
	if err := errors.Join(verified(to), opens(to, int(last))); err != nil || len(segments) < 3 {
		t.Fatalf("a whole copy: %d segments, %v", len(segments), err)
	}
	tries := []int64{0, 3, 4, all - 4097, all - 100, all - 2, all - 1}
	for i := range int64(9) {
		tries = append(tries, all*(i+1)/10)
	}
	for _, n := range tries {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if passed, text, err := take(n); err == nil || passed != n {
			t.Errorf("cut off after %d of %d bytes, %d passed: no error\n%s", n, all, passed, text)
		}
		for _, dir := range []string{temp, filepath.Dir(to)} {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("cut off after %d of %d bytes: %v is left, %v", n, all, left, err)
			}
		}
	}
}
