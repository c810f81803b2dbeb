package eventlog

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlantedFiles puts links and FIFOs in place of the files of a log: nothing is read, written or waited for behind
// them.
func TestPlantedFiles(t *testing.T) {
	fifo := func(_, to string) error { return unix.Mkfifo(to, 0o600) }
	for _, c := range []struct {
		name  string
		plant func(from, to string) error
	}{{"link", os.Symlink}, {"FIFO", fifo}} {
		for _, file := range []string{segmentName(1), segmentName(9), lockName} {
			t.Run(c.name+" "+file, func(t *testing.T) {
				dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
				threeSegments(t, dir)
				path := filepath.Join(dir, file)
				if err := os.Rename(path, elsewhere); err != nil {
					t.Fatal(err)
				}
				before := mustReadFile(t, elsewhere)
				if err := c.plant(elsewhere, path); err != nil {
					t.Fatal(err)
				}
				l, err := Open(dir, Options{})
				if err == nil {
					if err := l.CopyTo(filepath.Join(t.TempDir(), "copy")); err == nil || !strings.Contains(err.Error(), "no regular file") {
						t.Errorf("CopyTo: %v", err)
					}
					mustClose(t, l)
				}
				if file != segmentName(1) && (err == nil || !strings.Contains(err.Error(), "no regular file")) {
					t.Errorf("Open: %v", err)
				}
				r, err := Verify(context.Background(), dir)
				if file != lockName && (err == nil && r.Clean() || err != nil && !strings.Contains(err.Error(), "no regular file")) {
					t.Errorf("Verify: %+v %v", r, err)
				}
				copied := filepath.Join(t.TempDir(), "copy")
				if err := Copy(dir, copied); file != lockName && (err == nil || !strings.Contains(err.Error(), "no regular file")) {
					t.Errorf("Copy: %v", err)
				}
				if mustReadFile(t, elsewhere) != before {
					t.Error("the file behind it was changed")
				}
			})
		}
	}
}

// TestPlantedTemporary: the name of the segment that comes next is no way out of the directory either.
func TestPlantedTemporary(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "", "a")
	for _, name := range []string{segmentName(2), segmentName(2) + tempSuffix} {
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mustRoll(t, l, 0, "state")
	mustAppend(t, l, "", "b")
	mustClose(t, l)
	if verifyClean(t, dir); mustReadFile(t, elsewhere) != "untouched" {
		t.Error("the file behind the link was changed")
	}
}

func mustReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
