package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
)

// TestUnknownOutcome makes a commit of the running daemon fail half way: the client
// hears that its outcome is unknown, and by which Seq to ask; the daemon opens its log
// again, and goes on when it can.
func TestUnknownOutcome(t *testing.T) {
	p := newPlace(t, "example")
	d := p.startServing(t, "lqosd")
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup, site(3, 100)), ackText, ackText)

	limit := func(bytes uint64) {
		t.Helper()
		lim := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
		if err := unix.Prlimit(d.cmd.Process.Pid, unix.RLIMIT_FSIZE, &lim, nil); err != nil {
			t.Fatal(err)
		}
	}
	limit(8192)
	expect(t, talk(t, c, "", site(4, 100)), `{"LqosdUnknownOutcome":{"seq":3,"why":".*file too large.*"}}`)
	expect(t, talk(t, c, "", `{"LqosdRecord":{"seq":3}}`), `{"Fail":"record 3 is not in the log: the newest is 2"}`)
	expect(t, talk(t, c, "", `"LqosdStatus"`), `.*"last_log_failure":".*file too large.*"log_failures":1,.*`)
	whole := batch(newSite(1, 7, 100))
	unknown := `{"LqosdUnknownOutcome":.*}`
	expect(t, talk(t, c, "whole", whole...), unknown, unknown, unknown, unknown)
	limit(unix.RLIM_INFINITY)
	expect(t, talk(t, c, "", site(5, 100)), ackText)
	if got := p.tcFile(t); strings.Contains(got, "classid 0x4 ") || !strings.Contains(got, "classid 0x5 ") {
		t.Errorf("the tc file has the refused site, or not the other:\n%s", got)
	}
	d.terminate(t)
	if n := len(p.records(t, 1)); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// TestLogRemoved: what is committed to a file that nobody can find again is not acked,
// and no new log is begun in its place.
func TestLogRemoved(t *testing.T) {
	p := newPlace(t, "example")
	p.startServing(t, "lqosd")
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup), ackText)
	if err := os.RemoveAll(p.logDir()); err != nil {
		t.Fatal(err)
	}
	expect(t, talk(t, c, "", site(3, 100)), `{"Fail":"the event log is unavailable: .*the live segment is gone.*"}`)
	expect(t, talk(t, c, "", site(4, 100)), `{"Fail":"the event log is unavailable: .*the segments are gone.*"}`)
	expect(t, talk(t, c, "", `"LqosdStatus"`), `.*"log_error":".*gone.*`)
}

// TestTCFileRemoved: the commands are durable, and status says that their lines can't be
// found where they should be.
func TestTCFileRemoved(t *testing.T) {
	p := newPlace(t, "example")
	p.startServing(t, "lqosd")
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup), ackText)
	if err := os.Remove(filepath.Join(p.dir, "tc-rust.txt")); err != nil {
		t.Fatal(err)
	}
	expect(t, talk(t, c, "", site(3, 100), `"LqosdStatus"`, `{"LqosdWait":{"applied":true}}`),
		ackText, `.*"applied_seq":1,.*"sink_error":".*removed.*`, `{"Fail":"record 2 is durable, but not applied: .*removed.*"}`)
}

// TestRefusedStarts: what can be known before the start is told at the start.
func TestRefusedStarts(t *testing.T) {
	for _, tc := range []struct {
		name string
		edit func(*lqosconf.Config)
		mess func(p place) error
		says string
	}{
		{"a leaf of no kind", func(c *lqosconf.Config) { c.Queues.DefaultSQM = "caek diffserv4" }, nil, `queues.default_sqm is "caek diffserv4": qdisc kind "caek"`},
		{"a leaf that holds classes", func(c *lqosconf.Config) { c.Queues.DefaultSQM = "htb" }, nil, "htb can't be the leaf of a class"},
		{"a FIFO for a tc file", nil, func(p place) error { return unix.Mkfifo(filepath.Join(p.dir, "tc-rust.txt"), 0o600) }, "tc-rust.txt"},
		{"a link for a tc file", nil, func(p place) error { return os.Symlink(p.config(), filepath.Join(p.dir, "tc-rust.txt")) }, "symbolic link"},
		{"a directory for a tc file", nil, func(p place) error { return os.Mkdir(filepath.Join(p.dir, "tc-rust.txt"), 0o700) }, "is a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var edits []func(*lqosconf.Config)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			p := newPlace(t, "example", edits...)
			if tc.mess != nil {
				if err := tc.mess(p); err != nil {
					t.Fatal(err)
				}
			}
			d := p.start(t, "lqosd")
			if code := d.exitCode(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			says(t, d.String(), tc.says)
		})
	}
}
