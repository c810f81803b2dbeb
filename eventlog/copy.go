package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// CopyTo makes dir a consistent copy of the log as it is at some moment during the call, while appends go on; a roll that
// comes due waits for the copy of the live segment. Sealed segments are hard links where the file system allows it. dir must
// not exist or be empty; it appears complete, under its name, or not at all. What isn't durable yet isn't in it; of a log with a failed
// commit there is no copy, but ErrPoisoned.
func (l *Log) CopyTo(dir string) (err error) {
	parent := filepath.Dir(filepath.Clean(dir))
	temp, err := os.MkdirTemp(parent, filepath.Base(dir)+".partial-")
	if err != nil {
		return fmt.Errorf("copying the log: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copying the log to %s: %w", dir, err), os.RemoveAll(temp))
		}
	}()
	firsts, err := l.copyLive(temp)
	if err != nil {
		return err
	}
	for i, first := range firsts[:len(firsts)-1] {
		err := copySealed(l.path(first), filepath.Join(temp, segmentName(first)))
		if errors.Is(err, fs.ErrNotExist) && onlyPruned(temp, firsts[:i]) {
			continue
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod(temp, 0o750), syncDir(temp)); err != nil {
		return err
	}
	if err := unix.Rename(temp, dir); err != nil { // os.Rename does not replace an empty directory
		return fmt.Errorf("giving the copy its name: %w", err)
	}
	return syncDir(parent)
}

// onlyPruned tells that none of the segments before a missing one was copied: pruning starts with the oldest.
func onlyPruned(dir string, before []Seq) bool {
	for _, first := range before {
		if _, err := os.Lstat(filepath.Join(dir, segmentName(first))); err == nil {
			return false
		}
	}
	return true
}

// copyLive copies the live segment into dir and returns the segments there were at that moment.
func (l *Log) copyLive(dir string) (firsts []Seq, err error) {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	if l.live == nil {
		return nil, ErrClosed
	}
	first := l.firsts[len(l.firsts)-1]
	err = writeFile(filepath.Join(dir, segmentName(first)), modeLive, func(f *os.File) error {
		return l.viewDurable(func(tx *bolt.Tx) error {
			if _, sealed, err := readMeta(tx); err != nil || sealed != nil { // a roll failed half way
				return errors.Join(err, ErrPoisoned)
			}
			_, err := tx.WriteTo(f)
			return err
		})
	})
	return l.firsts, err
}

// viewDurable runs fn in a read transaction of the live segment that has nothing but what is durable: bbolt shows what a commit wrote
// as soon as it is written, and also when it couldn't be synced. The caller holds segMu.
func (l *Log) viewDurable(fn func(*bolt.Tx) error) error {
	l.unsureMu.Lock()
	begun := sync.OnceFunc(l.unsureMu.Unlock)
	defer begun()
	if l.unsure {
		return ErrPoisoned
	}
	return l.live.view(func(tx *bolt.Tx) error {
		begun()
		return fn(tx)
	})
}

func copySealed(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return copyFile(from, to)
	}
	info, err := os.Lstat(to) // link(2) gives another name to whatever is there
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file (%s)", from, info.Mode().Type())
	}
	return err
}

// copyFile copies a sealed segment into another file system.
func copyFile(from, to string) error {
	src, err := openRegular(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	return writeFile(to, modeSealed, func(f *os.File) error {
		_, err := io.Copy(f, src)
		return err
	})
}

// writeFile creates a file with what fill writes, and syncs it.
func writeFile(path string, mode os.FileMode, fill func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Sync(), f.Close())
}
