package main

import (
	"math"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"lqosd/bus"
)

// maxConns is how many connections the bus may have, however many files the process may have open.
const maxConns = 2048

// memoryGoal is how many bytes the garbage collector keeps this process below as long as what is in use lets it: what
// clients may take together, and a large network.
const memoryGoal = 768 << 20

// limitMemory sets the goal, unless GOMEMLIMIT has.
func limitMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryGoal)
	}
}

// busLimits sets the limits of the bus that depend on the process. Connections get half its descriptors: the log, the
// kernel and the copies of the log get the rest, and must never find none left.
var busLimits = func(o bus.Options) bus.Options {
	o.MaxConns = maxConns
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		o.MaxConns = int(max(1, min(files.Cur/2, maxConns)))
	}
	return o
}
