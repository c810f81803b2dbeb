package testenv

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// NoLeakedFDs fails t when, at its end, this process has file descriptors open that it didn't have at the time of the
// call. Call it before anything that registers a Cleanup of its own, and not in parallel tests.
func NoLeakedFDs(t testing.TB) {
	t.Helper()
	before, err := openFDs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		after, err := openFDs()
		if err != nil {
			t.Fatal(err)
		}
		if leaked := more(after, before); len(leaked) > 0 {
			t.Errorf("leaked file descriptors: %s", strings.Join(leaked, ", "))
		}
	})
}

// openFDs counts this process's open descriptors by what they refer to (proc(5), /proc/self/fd), without those that the
// Go runtime's network poller opens once and keeps.
func openFDs() (map[string]int, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing open file descriptors: %w", err)
	}
	open := map[string]int{}
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err != nil { // the descriptor of the listing itself, closed by now
			continue
		}
		if target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]" {
			continue
		}
		open[target]++
	}
	return open, nil
}

// more lists, sorted, what after counts more often than before.
func more(after, before map[string]int) []string {
	var leaked []string
	for target, n := range after {
		if extra := n - before[target]; extra > 0 {
			leaked = append(leaked, fmt.Sprintf("%s (%d)", target, extra))
		}
	}
	slices.Sort(leaked)
	return leaked
}
