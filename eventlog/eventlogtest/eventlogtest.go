// Package eventlogtest opens event logs on a disk that does what a test says: it is slow, it
// fails, it ends in the middle of a commit. Nothing but tests imports it.
package eventlogtest

import (
	"lqosd/eventlog"
	"lqosd/eventlog/internal/fault"
)

// Hooks say what the disk does.
type Hooks = fault.Hooks

// Open is eventlog.Open on such a disk. The log's committer doesn't linger for company, so
// that what it does depends on nothing but the order of calls.
func Open(dir string, o eventlog.Options, h Hooks) (*eventlog.Log, error) {
	return eventlog.Open(dir, o.WithFaults(h))
}
