package bus

import (
	"maps"
	"sync/atomic"
)

// Names that came are known when they come again: those of requests are few, and each is decoded once. Of more than maxKnownNames,
// or longer ones, the others are decoded each time.
const (
	maxKnownNames = 64
	maxKnownName  = 64 // bytes
)

// knownNames is never written: who adds a name makes another.
var knownNames atomic.Pointer[map[string]string]

// cutKnownName gives the name that data begins with, in CBOR, and what follows it; false if it isn't known.
func cutKnownName(data []byte) (name string, rest []byte, known bool) {
	names := knownNames.Load()
	n, rest, ok := cborHead(data, cborText)
	if names == nil || !ok || n > len(rest) {
		return "", nil, false
	}
	name, known = (*names)[string(rest[:n])]
	return name, rest[n:], known
}

// learnName makes a name known.
func learnName(name string) {
	if len(name) > maxKnownName {
		return
	}
	for {
		old := knownNames.Load()
		if old != nil && len(*old) == maxKnownNames {
			return
		}
		next := map[string]string{name: name}
		if old != nil {
			maps.Copy(next, *old)
		}
		if knownNames.CompareAndSwap(old, &next) {
			return
		}
	}
}
