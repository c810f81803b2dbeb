package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/internal/cli"
)

// wideLog makes a log whose tree and records are more text than two buffers hold.
func wideLog(t *testing.T) string {
	t.Helper()
	network, err := os.ReadFile("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for minor := range 2000 {
		lines = append(lines, fmt.Sprintf(`"class add dev eth1 parent 1:1 classid 1:%x htb rate 1mbit ceil 2mbit prio 3 quantum 1522"`, 0x1000+minor))
	}
	dir := t.TempDir()
	if err := writeLog(dir, string(network)+`{"BakeryExecuteTCCommands":{"commands":[`+strings.Join(lines, ",")+`],"force_mode":false}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestInterrupted: the first signal ends a command whose output nobody takes.
func TestInterrupted(t *testing.T) {
	dir := wideLog(t)
	for _, args := range [][]string{{"render", dir}, {"tree", dir, "--all"}, {"log", dir, "--lines"}} {
		t.Run(args[0], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = out.Close() }()
			if _, err := unix.FcntlInt(in.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(ctx, "bakery-replay", args...)
			var diag strings.Builder
			cmd.Stdout, cmd.Stderr = in, &diag
			err = cmd.Start()
			_ = in.Close()
			if err != nil {
				t.Fatal(err)
			}
			// It has begun to write what the pipe doesn't hold.
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != cli.Error || diag.String() != "bakery-replay: context canceled\n" {
				t.Errorf("%v, %q", err, diag.String())
			}
		})
	}
}

// TestInterruptedAtFIFO: nor is a FIFO waited for that nobody writes to, opens or reads.
func TestInterruptedAtFIFO(t *testing.T) {
	dir := wideLog(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"render LOG -o FIFO", "diff LOG --from 1 -o FIFO", "diff LOG --against FIFO"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		root := rootCommand()
		root.SetArgs(strings.Fields(strings.NewReplacer("LOG", dir, "FIFO", fifo).Replace(args)))
		root.SetOut(io.Discard)
		ended := make(chan error, 1)
		go func() { ended <- root.ExecuteContext(ctx) }()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", args, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: doesn't end", args)
		}
		cancel()
	}
}

// TestEndsWithContext: whatever reads a log does so only as long as it is wanted.
func TestEndsWithContext(t *testing.T) {
	dir := wideLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range []string{"verify LOG", "tree LOG", "tree LOG --at 2025-01-31T14:03:00Z", "render LOG", "render LOG --form state", "log LOG", "stats LOG",
		"diff LOG --from 1", "diff LOG --against testdata/network.jsonl", "bisect LOG --run true", "prune LOG --keep-generations 1", "copy LOG -o " + t.TempDir() + "/copy"} {
		root := rootCommand()
		root.SetArgs(strings.Fields(strings.Replace(args, "LOG", dir, 1)))
		root.SetOut(io.Discard)
		if err := root.ExecuteContext(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestInterruptedCopy: a copy that was to be checked, and wasn't, is none.
func TestInterruptedCopy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(dir, os.DirFS(wideLog(t))); err != nil {
		t.Fatal(err)
	}
	if err := checkCopy(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkCopy(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("checking: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy: %v", err)
	}
}
