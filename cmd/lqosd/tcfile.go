package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcFile is the bakery's Sink in file mode: tc-rust.txt. A line that is written is
// with the operating system; the event log is what survives a power cut.
type tcFile struct {
	path string
	f    *os.File
	size int64
}

// errTCFileTaken says that another daemon writes the file.
var errTCFileTaken = errors.New("another daemon writes it")

// openTCFile opens the file, and leaves what it holds: a daemon that turns
// out to be the second one must not harm the first one's.
func openTCFile(path string) (*tcFile, error) {
	// O_NONBLOCK: a FIFO must not make the daemon wait for a reader. O_NOFOLLOW: nor a link make it empty another file.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0o644)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("tc file: %s is a symbolic link, and not followed", path)
	}
	if err != nil {
		return nil, fmt.Errorf("tc file: %w", err)
	}
	if err := checkTCFile(path, f); err != nil {
		return nil, errors.Join(fmt.Errorf("tc file: %w", err), f.Close())
	}
	return &tcFile{path: path, f: f}, nil
}

// checkTCFile refuses what somebody else may have put there: it would be overwritten, or write what others read as ours.
func checkTCFile(path string, f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case !trusted(info):
		return fmt.Errorf("%s belongs to %s, neither to root nor to this daemon's user: remove it", path, ownerOf(info))
	case info.Sys().(*syscall.Stat_t).Nlink > 1:
		return fmt.Errorf("%s has other names, too, and what they mean isn't known: remove it", path)
	}
	return nil
}

// Begin takes the file for this daemon, and empties it.
func (t *tcFile) Begin() error {
	if err := unix.Flock(int(t.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("tc file %s: %w", t.path, errTCFileTaken)
	}
	t.size = 0
	if err := t.f.Truncate(0); err != nil {
		return fmt.Errorf("tc file: %w", err)
	}
	return nil
}

// Write appends lines, all or none of them.
func (t *tcFile) Write(lines []byte) error {
	if err := t.checkName(); err != nil {
		return fmt.Errorf("tc file: %w", err)
	}
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

// checkName makes sure that the file is still the one that others see.
func (t *tcFile) checkName() error {
	named, err := os.Lstat(t.path)
	if err != nil {
		return fmt.Errorf("it was removed; bakery-replay render writes it anew: %w", err)
	}
	ours, err := t.f.Stat()
	if err == nil && !os.SameFile(named, ours) {
		err = fmt.Errorf("%s was replaced by another file; bakery-replay render writes it anew", t.path)
	}
	return err
}

// Close closes the file.
func (t *tcFile) Close() error { return t.f.Close() }
