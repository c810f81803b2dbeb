package main

import (
	"errors"
	"os"
	"path/filepath"
)

// stand is where rows are measured.
type stand struct {
	flags
	dir   string // of the run
	undo  []func() error
	scale int               // the size at which growth is measured; 0: the row's own
	logs  map[int]string    // long logs that were made, by their records
	bare  map[string]string // the same without snapshots, by what they were made of
}

func newStand(f flags) (*stand, error) {
	dir, err := os.MkdirTemp("", "lqosd-bench-")
	if err != nil {
		return nil, err
	}
	if f.bin, err = filepath.Abs(f.bin); err != nil {
		return nil, err
	}
	return &stand{flags: f, dir: dir, logs: map[int]string{}, bare: map[string]string{}}, nil
}

func (s *stand) remove() { _ = os.RemoveAll(s.dir) }

// later adds what is to be done when the row is measured.
func (s *stand) later(f func() error) { s.undo = append(s.undo, f) }

func (s *stand) cleanUp() (err error) {
	for len(s.undo) > 0 {
		last := len(s.undo) - 1
		err = errors.Join(err, s.undo[last]())
		s.undo = s.undo[:last]
	}
	return err
}

// folder makes an empty folder, which goes when the row is measured.
func (s *stand) folder() (string, error) {
	dir, err := os.MkdirTemp(s.dir, "row-")
	if err == nil {
		s.later(func() error { return os.RemoveAll(dir) })
	}
	return dir, err
}

// size is how much a row works with: all of it, few in a smoke test, or the size at which growth is measured.
func (s *stand) size(full, smoke int) int {
	if s.scale > 0 {
		return s.scale
	}
	return s.fixed(full, smoke)
}

// fixed is like size, of what doesn't grow with the row.
func (s *stand) fixed(full, smoke int) int {
	if s.smoke {
		return smoke
	}
	return full
}
