package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Copy copies a log at rest from one directory to another, which must not exist or be empty; it appears complete or not at
// all. While a daemon holds the live segment it returns a *HeldError at once. Damage is copied as it is: Verify tells.
func Copy(from, to string) (err error) {
	firsts, err := listSegments(from)
	if err == nil && len(firsts) == 0 {
		err = fmt.Errorf("no segments: %w", os.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("copying event log %s: %w", from, err)
	}
	parent := filepath.Dir(filepath.Clean(to))
	temp, err := os.MkdirTemp(parent, filepath.Base(to)+".partial-")
	if err != nil {
		return fmt.Errorf("copying event log %s: %w", from, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copying event log %s to %s: %w", from, to, err), os.RemoveAll(temp))
		}
	}()
	for i, first := range firsts {
		name := segmentName(first)
		copySegment := copySealed
		if i == len(firsts)-1 {
			copySegment = copyResting
		}
		if err := copySegment(filepath.Join(from, name), filepath.Join(temp, name)); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod(temp, 0o750), syncDir(temp), os.Rename(temp, to)); err != nil {
		return err
	}
	return syncDir(parent)
}

// copyResting copies a live segment that no daemon holds.
func copyResting(from, to string) error {
	src, err := openRegular(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := unix.Flock(int(src.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return heldBy(filepath.Dir(from))
		}
		return fmt.Errorf("locking %s: %w", filepath.Base(from), err)
	}
	if err := fdatasync(src); err != nil { // its writer may have been killed before that came to an end
		return err
	}
	return writeFile(to, modeLive, func(dst *os.File) error { return copyUsed(dst, src) })
}
