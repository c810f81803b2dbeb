package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

// daemon is lqosd, in a process of its own.
type daemon struct {
	dir    string // all its files
	cmd    *exec.Cmd
	errors bytes.Buffer
}

// configure writes the configuration of the recorded network into a folder.
func (s *stand) configure(dir, mode string) error {
	conf, err := golden.Case{Name: "n1000", Dir: filepath.Join(s.data, "n1000")}.Config(dir)
	if err != nil {
		return err
	}
	conf.Bakery.Mode = mode
	if mode == lqosconf.ModeApply {
		conf.Queues.DefaultSQM = "pfifo" // a leaf that every kernel has
	}
	text, err := conf.TOML()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "lqos.conf"), text, 0o600)
}

// startDaemon starts a daemon in file mode, in a folder of its own, and waits until it serves.
func (s *stand) startDaemon(ctx context.Context) (*daemon, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	if err := s.configure(dir, lqosconf.ModeFile); err != nil {
		return nil, err
	}
	return s.startIn(ctx, dir)
}

// startIn starts a daemon in a folder that is configured.
func (s *stand) startIn(ctx context.Context, dir string) (*daemon, error) {
	d := &daemon{dir: dir, cmd: exec.CommandContext(ctx, filepath.Join(s.bin, "lqosd"), "serve", "--config", "lqos.conf")}
	d.cmd.Dir, d.cmd.Stderr = dir, &d.errors
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	s.later(d.end)
	c, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	return d, c.Close()
}

func (d *daemon) socket() string { return filepath.Join(d.dir, "bus") }

// dial connects to a daemon, which may still be starting.
func (d *daemon) dial(ctx context.Context) (*bus.Client, error) {
	limit := time.Now().Add(time.Minute)
	for {
		c, err := bus.Dial(ctx, d.socket(), bus.DialOptions{Codec: bus.CBOR})
		if err == nil || time.Now().After(limit) {
			return c, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// end ends the daemon as its user would.
func (d *daemon) end() error {
	if d.cmd.ProcessState != nil {
		return nil
	}
	err := d.cmd.Process.Signal(syscall.SIGTERM)
	if err = errors.Join(err, d.cmd.Wait()); err != nil {
		return fmt.Errorf("lqosd: %w\n%s", err, &d.errors)
	}
	return nil
}

// kill ends the daemon as a crash would.
func (d *daemon) kill() error {
	err := d.cmd.Process.Kill()
	_ = d.cmd.Wait() // it says that it was killed
	return err
}

// do sends sessions of n calls each, without waiting in between, and waits for all answers; a call that isn't acknowledged is an error.
func do(ctx context.Context, c *bus.Client, calls []bus.Call, n int) error {
	var futures []*bus.Future
	for len(calls) > 0 {
		m := min(n, len(calls))
		futures, calls = append(futures, c.Go(calls[:m]...)), calls[m:]
	}
	for _, f := range futures {
		replies, err := f.Wait(ctx)
		if err != nil {
			return err
		}
		for _, r := range replies {
			if err := r.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// during measures what the daemon is asked to do, and what of it it computed itself.
func (d *daemon) during(do func() error) (sample, error) {
	before, err := d.computed()
	if err != nil {
		return sample{}, err
	}
	runtime.GC() // a client's garbage isn't what is measured; a peer's input is made before
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	began := time.Now()
	if err := do(); err != nil {
		return sample{}, err
	}
	took := time.Since(began)
	after, err := d.computed()
	return sample{took: took, own: after - before}, err
}

// computed is the time that the daemon computed in its own code since its start: the user time of its process. What the kernel does
// for it is system time.
func (d *daemon) computed() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ") // the name may have blanks
	fields := strings.Fields(rest)
	if !ok || len(fields) < 12 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", d.cmd.Process.Pid, text)
	}
	ticks, err := strconv.Atoi(fields[11]) // utime
	return time.Duration(ticks) * tick, err
}
