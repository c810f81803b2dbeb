package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// tick is the unit in which procfs counts processor time.
const tick = 10 * time.Millisecond

// calm waits until what was done before no longer keeps the machine busy, for ten seconds at most: a kernel goes on freeing classes
// after their root was deleted, and a daemon that has started looks at its links. On a machine that is never calm it gives up, and says so.
func calm(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for quiet := 0; quiet < 2; {
		share, err := busy(limited, 200*time.Millisecond)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			_, err := fmt.Fprintln(os.Stderr, "bench: something else keeps the machine busy: what is measured now takes longer")
			return err
		case err != nil:
			return err
		}
		quiet++
		if share > 0.1 {
			quiet = 0
		}
	}
	return nil
}

// busy is how many processors were busy in the time to come.
func busy(ctx context.Context, d time.Duration) (float64, error) {
	before, err := busyTicks()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(d):
	}
	after, err := busyTicks()
	return float64(after-before) * float64(tick) / float64(time.Since(began)), err
}

// busyTicks is how long the processors were busy since the machine started, proc_stat(5).
func busyTicks() (int, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	var user, nice, system, idle, iowait, irq, softirq int
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	return user + nice + system + irq + softirq, nil
}
