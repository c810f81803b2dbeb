package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"lqosd/bus"
)

// listenForNotes takes the place of a service manager.
func listenForNotes(t testing.TB) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	notes := make(chan string, 10_000)
	go func() { // at once: the daemon waits where some wait to be read (unix(7), max_dgram_qlen), also with its end
		defer close(notes)
		for b := make([]byte, 100); ; {
			n, err := conn.Read(b)
			if err != nil {
				return // closed
			}
			notes <- string(b[:n])
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		for range notes { // until the reader has ended
		}
	})
	return func() string {
		select {
		case note := <-notes:
			return note
		case <-time.After(patience):
			t.Fatal("nothing is told")
		}
		return ""
	}
}

// TestServiceManager: it is told when the daemon serves, that it lives, and that it ends; in this order, but that the
// first sign of life may come before it serves.
func TestServiceManager(t *testing.T) {
	noLeaks(t)
	next := listenForNotes(t)
	t.Setenv("WATCHDOG_USEC", "20000")
	p := newPlace(t, "example")
	end := p.serveHere(t)
	seen := map[string]int{}
	for seen["READY=1"] == 0 || seen["WATCHDOG=1"] < 3 {
		seen[next()]++
	}
	end()
	for seen["STOPPING=1"] == 0 {
		seen[next()]++
	}
	if seen["READY=1"] != 1 || len(seen) != 3 {
		t.Errorf("it was told %v", seen)
	}
}

// TestWatchdogOfAnother: WATCHDOG_PID may name another process.
func TestWatchdogOfAnother(t *testing.T) {
	for _, tt := range []struct {
		us, pid string
		want    time.Duration
	}{{"", "", 0}, {"x", "", 0}, {"-5", "", 0}, {"3000000", "", 3 * time.Second}, {"3000000", "1", 0}} {
		t.Setenv("WATCHDOG_USEC", tt.us)
		t.Setenv("WATCHDOG_PID", tt.pid)
		if got := watchdogTime(); got != tt.want {
			t.Errorf("USEC %q, PID %q: %v, want %v", tt.us, tt.pid, got, tt.want)
		}
	}
}

// passSockets starts a daemon with sockets that are listened on already, as a service manager does.
func (p place) passSockets(t testing.TB, files ...*os.File) *process {
	t.Helper()
	count := map[int]string{1: "1", 2: "2"}[len(files)]
	cmd := exec.Command("sh", "-c", `LISTEN_FDS=`+count+` LISTEN_PID=$$ exec "$0" serve --config "$1" --mode file`, program(t, "lqosd"), p.config())
	cmd.ExtraFiles = files
	return p.startCommand(t, cmd)
}

// TestPassedSocket: the daemon serves on it, waits for nothing else, and leaves it there when it ends.
func TestPassedSocket(t *testing.T) {
	p := newPlace(t, "example")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err = errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	before, err := os.Lstat(p.socket())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d := p.passSockets(t, file)
		expect(t, talk(t, connect(t, p, bus.JSON), "", `"Ping"`, mqSetup), ackText, ackText)
		d.terminate(t)
		if after, err := os.Lstat(p.socket()); err != nil || !os.SameFile(before, after) {
			t.Errorf("the socket is gone: %v", err)
		}
	}
	d := p.passSockets(t, file, file)
	if code := d.exitCode(t); code != 1 {
		t.Errorf("two sockets: exit code %d", code)
	}
	says(t, d.String(), "passes 2 sockets: lqosd takes one")
	other, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	d = p.passSockets(t, other)
	if code := d.exitCode(t); code != 1 {
		t.Errorf("no socket: exit code %d", code)
	}
	says(t, d.String(), "the socket that the service manager passes")
}
