package main

import (
	"errors"
	"fmt"
	"os"
)

// tcFile is the bakery's Sink in file mode: tc-rust.txt. A line that is written is
// with the operating system; the event log is what survives a power cut.
type tcFile struct {
	f    *os.File
	size int64
}

// openTCFile opens the file, and leaves what it holds: a daemon that turns out to
// be the second one must not harm the first one's.
func openTCFile(path string) (*tcFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("tc file: %w", err)
	}
	return &tcFile{f: f}, nil
}

// Begin empties the file.
func (t *tcFile) Begin() error {
	t.size = 0
	if err := t.f.Truncate(0); err != nil && !errors.Is(err, os.ErrInvalid) {
		return fmt.Errorf("tc file: %w", err)
	}
	return nil
}

// Write appends lines, all or none of them.
func (t *tcFile) Write(lines []byte) error {
	n, err := t.f.WriteAt(lines, t.size)
	if err != nil {
		if n > 0 {
			err = errors.Join(err, t.f.Truncate(t.size))
		}
		return fmt.Errorf("tc file: %w", err)
	}
	t.size += int64(n)
	return nil
}

// Close closes the file.
func (t *tcFile) Close() error { return t.f.Close() }
