package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"lqosd/internal/cli"
	"lqosd/internal/testenv"
)

// screen runs bakery-replay on a terminal of 24 lines, and gives what that shows, and the exit code.
func screen(t *testing.T, env []string, args ...string) (shown string, code int) {
	t.Helper()
	master, tty := testenv.Terminal(t, 24, 80)
	cmd := exec.Command("bakery-replay", args...)
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, "PAGER=") || strings.HasPrefix(v, "LESS=") })
	cmd.Env = append(append(cmd.Env, "TERM=xterm"), env...)
	cmd.Stdout, cmd.Stderr = tty, tty
	err := cmd.Start()
	if closeErr := tty.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	text, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) { // EIO: nobody has the other side open any more
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() < 0 {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n"), cmd.ProcessState.ExitCode()
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
		{"on a terminal", []string{"NO_COLOR=", "PAGER=cat"}, diff, "class 1:5", true},
		{"NO_COLOR", []string{"NO_COLOR=1", "PAGER=cat"}, diff, "class 1:5", false},
		{"JSON", []string{"NO_COLOR=", "PAGER=cat"}, append(diff, "--format", "json"), "classid 1:5", false},
		{"tree", []string{"NO_COLOR=", "PAGER=cat"}, tree, "×12.4", true},
		{"tree, NO_COLOR", []string{"NO_COLOR=1", "PAGER=cat"}, tree, "×12.4", false},
		{"tree, JSON", []string{"NO_COLOR=", "PAGER=cat"}, append(tree, "--json"), "oversubscribed", false},
	} {
		shown, _ := screen(t, tc.env, tc.args...)
		if !strings.Contains(shown, tc.shows) {
			t.Errorf("%s: it shows %q", tc.name, shown)
		}
		if got := strings.Contains(shown, "\x1b[3"); got != tc.colour {
			t.Errorf("%s: colour is %v: %q", tc.name, got, shown)
		}
	}
}

// TestPager: what is longer than the screen goes to the pager, in colour, and nothing else does.
func TestPager(t *testing.T) {
	long, short := wideLog(t), t.TempDir()
	network, err := os.ReadFile("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if err := writeLog(short, string(network)); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "less"), []byte("#!/bin/sh\necho less $LESS; sed s/^/paged:/\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	mark := "PAGER=sed s/^/paged:/"
	for _, tc := range []struct {
		name, env, args string
		paged           bool
		code            int
		has             string
	}{
		{"a long tree", mark, "tree --all " + long, true, 0, "1:17cf"},
		{"a long list", mark, "log " + long + " -p", true, 0, "paged:      16"},
		{"a difference, in colour", mark, "diff " + long + " --from 15", true, 1, "paged:    \x1b[32m+"},
		{"less, as nothing is said", "PATH=" + bin + ":" + os.Getenv("PATH"), "tree --all " + long, true, 0, "less FRX\n"},
		{"a pager that isn't there", "PAGER=no-such-pager", "tree --all " + long, false, 1, `the pager "no-such-pager" can't be run: set PAGER, or use --no-pager`},
		{"what fits on the screen", mark, "stats " + short, false, 0, "generations"},
		{"--no-pager", mark, "tree --all --no-pager " + long, false, 0, "1:17cf"},
		{"JSON", mark, "tree --json " + long, false, 0, "1:17cf"},
		{"markdown", mark, "diff --format markdown --from 15 " + long, false, 1, "class 1:1000"},
		{"render", mark, "render " + long, false, 0, "1:17cf"},
		{"no pager", "PAGER=", "tree --all " + long, false, 0, "1:17cf"},
		{"a terminal that can't", "TERM=dumb", "tree --all " + long, false, 0, "1:17cf"},
	} {
		shown, code := screen(t, []string{"NO_COLOR=", tc.env}, strings.Fields(tc.args)...)
		if paged := strings.Contains(shown, "paged:"); paged != tc.paged || code != tc.code || !strings.Contains(shown, tc.has) {
			t.Errorf("%s: paged %v, exit code %d, want %v and %d, with %q: %.2000q", tc.name, paged, code, tc.paged, tc.code, tc.has, shown)
		}
	}
}

// TestPagerLeft: who has seen enough ends the command, and that is no error.
func TestPagerLeft(t *testing.T) {
	dir := wideLog(t)
	for args, want := range map[string]int{"tree LOG --all": 0, "log LOG -p": 0, "diff LOG --from 15": 1} {
		shown, code := screen(t, []string{"PAGER=head -n 1"}, strings.Fields(strings.Replace(args, "LOG", dir, 1))...)
		if strings.Count(shown, "\n") != 1 || code != want {
			t.Errorf("%s: exit code %d, want %d: %.1000q", args, code, want, shown)
		}
	}
}

// TestBars: whatever reads a log for long shows how far it is.
func TestBars(t *testing.T) {
	old := cli.BarAfter
	cli.BarAfter = 0
	defer func() { cli.BarAfter = old }()
	dir := wideLog(t)
	for _, args := range []string{"verify LOG", "salvage LOG -o SAVED", "copy LOG -o COPY", "prune LOG --keep-generations 9", "whois LOG 1:17cf", "diff LOG --from 3 --to 15", "tree LOG", "blame LOG --circuit 1", "stats LOG", "log LOG --changes"} {
		master, tty := testenv.Terminal(t, 24, 80)
		root := rootCommand()
		root.SetArgs(strings.Fields(strings.NewReplacer("LOG", dir, "COPY", filepath.Join(t.TempDir(), "copy"), "SAVED", filepath.Join(t.TempDir(), "saved")).Replace(args)))
		root.SetOut(io.Discard)
		root.SetErr(tty)
		err := root.ExecuteContext(t.Context())
		if closeErr := tty.Close(); closeErr != nil || err != nil && !errors.As(err, new(cli.ExitError)) { // a diff finds something
			t.Errorf("%s: %v", args, errors.Join(err, closeErr))
		}
		shown, err := io.ReadAll(master)
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		if !strings.Contains(string(shown), " records ") || !strings.HasSuffix(string(shown), "\x1b[J") {
			t.Errorf("%s: it shows %q", args, shown)
		}
	}
}
