package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A note is a short text that lives as long as the pins beside it. A bpffs has no files for
// it, but symbolic links; their target may be any text of at most 4095 bytes.

// readNote is the text of a note, "" if there is none.
func readNote(path string) (string, error) {
	text, err := os.Readlink(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return text, err
}

// writeNote makes or replaces a note, at once, if it says something else.
func writeNote(path, text string) error {
	if was, err := readNote(path); err == nil && was == text {
		return nil
	}
	fresh := path + "-new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(text, fresh); err != nil {
		return fmt.Errorf("noting %s: %w", filepath.Base(path), err)
	}
	return os.Rename(fresh, path)
}
