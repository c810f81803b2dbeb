package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal makes a pseudoterminal: what is written to tty can be read from master. See pts(4).
func terminal(t *testing.T) (master, tty *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, tty
}

// onTerminal runs bakery-replay on a terminal, and gives what that shows.
func onTerminal(t *testing.T, env []string, args ...string) string {
	t.Helper()
	master, tty := terminal(t)
	defer func() { _ = master.Close() }()
	cmd := exec.Command("bakery-replay", args...)
	cmd.Env = append(cmd.Environ(), env...)
	cmd.Stdout = tty
	err := cmd.Start()
	if closeErr := tty.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	shown, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) { // EIO: nobody has the other side open any more
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatal(err)
	}
	return string(shown)
}

func TestColour(t *testing.T) {
	network, err := os.ReadFile("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeLog(dir, string(network)); err != nil {
		t.Fatal(err)
	}
	diff := []string{"diff", dir, "--from", "9", "--to", "13"}
	tree := []string{"tree", dir, "--at", "13"}
	for _, tc := range []struct {
		name   string
		env    []string
		args   []string
		shows  string
		colour bool
	}{
		{"on a terminal", []string{"NO_COLOR="}, diff, "classid 1:5", true},
		{"NO_COLOR", []string{"NO_COLOR=1"}, diff, "classid 1:5", false},
		{"JSON", []string{"NO_COLOR="}, append(diff, "--format", "json"), "classid 1:5", false},
		{"tree", []string{"NO_COLOR="}, tree, "×12.4", true},
		{"tree, NO_COLOR", []string{"NO_COLOR=1"}, tree, "×12.4", false},
		{"tree, JSON", []string{"NO_COLOR="}, append(tree, "--json"), "oversubscribed", false},
	} {
		shown := onTerminal(t, tc.env, tc.args...)
		if !strings.Contains(shown, tc.shows) {
			t.Errorf("%s: it shows %q", tc.name, shown)
		}
		if got := strings.Contains(shown, "\x1b[3"); got != tc.colour {
			t.Errorf("%s: colour is %v: %q", tc.name, got, shown)
		}
	}
}
