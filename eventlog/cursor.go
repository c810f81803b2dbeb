package eventlog

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	// MaxCursor is the longest value of a cursor, in bytes, and maxCursorName the longest name.
	MaxCursor     = 64 << 10
	maxCursorName = 128
	// cursorDelay is how long changed cursors wait for a commit that would carry them before they get one of their own: a
	// reader that notes its place after every commit must not double the number of commits.
	cursorDelay = 100 * time.Millisecond
)

// cursors holds small named values that move with the log, such as how far a reader has come.
type cursors struct {
	mu     sync.Mutex
	values map[string][]byte
	dirty  map[string]bool
	bad    map[string]error // what could not be read
}

func newCursors() *cursors {
	return &cursors{values: map[string][]byte{}, dirty: map[string]bool{}, bad: map[string]error{}}
}

// load fills c from an open segment.
func (c *cursors) load(s *segment) error {
	return s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketCursor).ForEach(func(k, v []byte) error {
			if value, err := uncheck(string(k), v); err != nil {
				c.bad[string(k)] = err
			} else {
				c.values[string(k)] = bytes.Clone(value)
			}
			return nil
		})
	})
}

func (c *cursors) set(name string, v []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[name] = bytes.Clone(v)
	c.dirty[name] = true
	delete(c.bad, name)
}

func (c *cursors) get(name string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.bad[name]; err != nil {
		return nil, fmt.Errorf("cursor %s: %w", name, err)
	}
	return bytes.Clone(c.values[name]), nil
}

// takeDirty returns the changed values and marks them unchanged.
func (c *cursors) takeDirty() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dirty) == 0 {
		return nil
	}
	out := make(map[string][]byte, len(c.dirty))
	for name := range c.dirty {
		out[name] = c.values[name]
	}
	clear(c.dirty)
	return out
}

func (c *cursors) changed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dirty) > 0
}

// all returns every readable value, for a new segment. The values in it are never changed.
func (c *cursors) all() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string][]byte, len(c.values))
	for name, v := range c.values {
		out[name] = v
	}
	return out
}

func putCursors(tx *bolt.Tx, values map[string][]byte) error {
	b := tx.Bucket(bucketCursor)
	for name, v := range values {
		if err := b.Put([]byte(name), checked(name, v)); err != nil {
			return fmt.Errorf("storing cursor %s: %w", name, err)
		}
	}
	return nil
}

// SetCursor remembers v under name, in place of what was there. It becomes durable with the next commit or, when nothing is
// appended, by itself within a second, and at Close; until then a crash brings the older value back. It is carried over a
// roll. Name has 1 to 128 bytes, v at most 64 KiB; others are a mistake in the program and panic.
func (l *Log) SetCursor(name string, v []byte) {
	if name == "" || len(name) > maxCursorName || len(v) > MaxCursor {
		panic(fmt.Sprintf("eventlog: cursor %q with %d bytes", name, len(v)))
	}
	l.cursors.set(name, v)
	select {
	case l.cursorSet <- struct{}{}:
	default:
	}
}

// Cursor returns the latest value of name, nil if it was never set, and ErrCorrupt if what is on disk is damaged.
func (l *Log) Cursor(name string) ([]byte, error) { return l.cursors.get(name) }
