package powercut

import (
	"slices"
	"sync"
)

// Kind is what an Event did.
type Kind int

// The kinds of events.
const (
	Write    Kind = iota // Data at Offset of File
	Truncate             // File to Size
	Allocate             // File to Size at least
	Chmod                // File to Mode
	Sync                 // File, or directory, made durable
	Create               // Child, with Mode, under Name in directory File
	Mkdir                // the same, a directory
	Link                 // Child under Name in directory File
	Rename               // Child from Name in directory File to ToName in directory To
	Remove               // Name from directory File
	Note                 // Text was told the world
)

// rootID is the number of the root directory.
const rootID = 1

// Event is one thing that was done to a Disk. Files and directories have numbers, which are never given twice.
type Event struct {
	Kind         Kind
	File         int
	Child        int
	Name, ToName string
	To           int
	Offset, Size int64
	Mode         uint32
	Data         []byte
	Text         string
}

// journal is the list of events, in the order in which they took effect.
type journal struct {
	mu     sync.Mutex
	events []Event
	ids    int // given so far
}

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) newID() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ids++
	return j.ids
}

func (j *journal) all() []Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}
