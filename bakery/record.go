package bakery

import (
	"time"

	"lqosd/eventlog"
)

// Record is a command as the log holds it: resolved, stamped, self-contained.
type Record struct {
	Seq     eventlog.Seq `json:"seq"`
	Time    time.Time    `json:"time"` // when it was accepted, UTC, nanoseconds
	Sender  Sender       `json:"sender"`
	Command Command      `json:"command"`
}

// Sender is who asked: the credentials of the peer on the bus.
type Sender struct {
	UID uint32 `json:"uid"`
	GID uint32 `json:"gid"`
	PID int32  `json:"pid"`
}
