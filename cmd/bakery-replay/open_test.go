package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lqosd/internal/cli"
)

// TestFetchedFiles of a log are open to their owner alone, whatever the umask, and take no name that is there.
func TestFetchedFiles(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	dir := t.TempDir()
	path, link := filepath.Join(dir, "1.db"), filepath.Join(dir, "2.db")
	bar := cli.NewBar(io.Discard, 0, "KiB")
	defer bar.End()
	if err := fetchFile(t.Context(), nil, path, "1.db", 0, bar); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := fetchFile(t.Context(), nil, link, "2.db", 0, bar); !errors.Is(err, fs.ErrExist) {
		t.Errorf("onto a symbolic link: %v", err)
	}
}
