package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"lqosd/eventlog"
	"lqosd/eventlog/eventlogtest"
	"lqosd/internal/lqosconf"
)

// testDaemon is the name in PATH of this test binary as a daemon whose log does what faultyLog says.
const testDaemon = "lqosd-faulty"

// faultyLog is in the environment of a test daemon. What is 0 doesn't happen.
type faultyLog struct {
	segment int64 // bytes of a segment; 0: as the daemon's
	dieAt   int   // the step of rolls, counted from 1, at which the daemon kills itself
	prunes  bool  // it does so a moment later, when the first segment is removed
	loses   int   // the commit from which on nothing is written, and everything acknowledged
	thread  bool  // all commits are made by one thread
}

const (
	segmentEnv = "LQOSD_TEST_SEGMENT_BYTES"
	dieEnv     = "LQOSD_TEST_DIE_AT"
	prunesEnv  = "LQOSD_TEST_DIE_PRUNING"
	losesEnv   = "LQOSD_TEST_LOSES"
	threadEnv  = "LQOSD_TEST_ONE_THREAD"
)

// start starts a test daemon in file mode, by what is in front of its command line.
func (f faultyLog) start(t testing.TB, p place, under ...string) *process {
	t.Helper()
	words := append(under, testDaemon, "--config", p.config())
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprint(segmentEnv, "=", f.segment), fmt.Sprint(dieEnv, "=", f.dieAt), fmt.Sprint(losesEnv, "=", f.loses))
	if f.prunes {
		cmd.Env = append(cmd.Env, prunesEnv+"=1")
	}
	if f.thread {
		cmd.Env = append(cmd.Env, threadEnv+"=1")
	}
	return p.startCommand(t, cmd)
}

// serveFaulty is the main function of a test daemon.
func serveFaulty() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	number := func(env string) int {
		n, err := strconv.Atoi(os.Getenv(env))
		if err != nil {
			panic(err)
		}
		return n
	}
	f := faultyLog{int64(number(segmentEnv)), number(dieEnv), os.Getenv(prunesEnv) != "", number(losesEnv), os.Getenv(threadEnv) != ""}
	flags := serveFlags{config: os.Args[2], mode: lqosconf.ModeFile, openLog: f.open}
	if err := serve(ctx, flags, slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (f faultyLog) open(dir string, o eventlog.Options) (*eventlog.Log, error) {
	o.SegmentBytes = f.segment
	commits, steps := 0, 0
	return eventlogtest.Open(dir, o, eventlogtest.Hooks{
		OneThread: f.thread,
		Commit: func(commit func() error) error {
			if commits++; f.loses > 0 && commits >= f.loses {
				return nil
			}
			return commit()
		},
		Roll: func(string) error {
			switch steps++; {
			case steps != f.dieAt:
			case f.prunes:
				go dieWhenRemoved(dir)
			default:
				die()
			}
			return nil
		},
	})
}

func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// dieWhenRemoved ends the process when the oldest segment is gone, before the log is done with removing others.
func dieWhenRemoved(dir string) {
	segments, _ := filepath.Glob(filepath.Join(dir, "*.db"))
	for len(segments) > 0 {
		if _, err := os.Lstat(segments[0]); err != nil {
			die()
		}
		runtime.Gosched()
	}
}
