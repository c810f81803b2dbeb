package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// notify tells the service manager how the daemon does, as sd_notify(3) says; without one it does nothing.
func notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager %s: %w", state, err)
	}
	_, err = conn.Write([]byte(state))
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("telling the service manager %s: %w", state, err)
	}
	return nil
}

func (d *daemon) notify(state string) {
	if err := notify(state); err != nil {
		d.log.Warn("service manager", "err", err)
	}
}

// watchdogTime is how long the service manager waits for a sign of life; 0: it doesn't (sd_watchdog_enabled(3)).
func watchdogTime() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

// live gives signs of life until ctx ends: as often as the bakery answers. Any answer counts, also that the disk is
// full; what doesn't answer is ended by the service manager, and started again.
func (d *daemon) live(ctx context.Context) {
	interval := watchdogTime() / 2
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if d.bakery != nil {
			_, _ = d.bakery.Tree(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		d.notify("WATCHDOG=1")
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// firstPassed is the first descriptor that a service manager passes, sd_listen_fds(3).
const firstPassed = 3

// passedListener is the socket that the service manager listens on for the daemon; nil if there is none. Its owner,
// group and mode are the service manager's.
func passedListener() (net.Listener, error) {
	n := os.Getenv("LISTEN_FDS")
	if n == "" || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(name); err != nil { // it isn't for those that the daemon starts
			return nil, err
		}
	}
	if n != "1" {
		return nil, fmt.Errorf("the service manager passes %s sockets: lqosd takes one", n)
	}
	unix.CloseOnExec(firstPassed)
	f := os.NewFile(firstPassed, "passed socket")
	l, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("the socket that the service manager passes: %w", err)
	}
	if _, ok := l.(*net.UnixListener); !ok {
		return nil, errors.Join(fmt.Errorf("the service manager passes a %s socket: lqosd listens on a unix socket", l.Addr().Network()), l.Close())
	}
	return l, nil
}
