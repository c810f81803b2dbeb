package cli

import (
	"os"
	"runtime/debug"
)

// readersGC is the collector's percentage (GOGC) of a program that reads a log.
const readersGC = 400

// CollectLess lets the heap grow to five times of what is in use before the collector runs, until
// undo is called: who folds a log makes garbage fast and keeps little. A GOGC in the environment stands.
func CollectLess() (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(readersGC)
	return func() { debug.SetGCPercent(before) }
}
