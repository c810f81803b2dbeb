package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lqosd/internal/testenv"
)

// TestCreate: a file appears whole or not at all, and what was there stays until then.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	says := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	full := errors.New("no space left on device")
	half := func(w io.Writer) error { return errors.Join(says("hal")(w), full) }
	check := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%q, error %v, want %q", text, err, want)
		}
	}
	if err := Create(t.Context(), file, half); !errors.Is(err, full) {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	if err := Create(t.Context(), file, says("first")); err != nil {
		t.Fatal(err)
	}
	check(file, "first")
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), file, half); !errors.Is(err, full) {
		t.Error(err)
	}
	check(file, "first")
	interrupted, interrupt := context.WithCancel(t.Context())
	err := Create(interrupted, file, func(w io.Writer) error {
		interrupt()
		return says("second")(w)
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	check(file, "first")
	if err := Create(t.Context(), file, says("second")); err != nil {
		t.Fatal(err)
	}
	check(file, "second")
	if s, err := os.Stat(file); err != nil || s.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, error %v", s.Mode(), err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), link, says("third")); err != nil {
		t.Fatal(err)
	}
	check(file, "third")
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, error %v", left, err)
	}
	nowhere := filepath.Join(dir, "nowhere", "file")
	if err := Create(t.Context(), nowhere, half); err == nil || err.Error() != "open "+nowhere+": no such file or directory" {
		t.Error(err)
	}
}

// TestCreateOfAMountedFile: a file that is mounted by itself, as into a container, is written to as it is.
func TestCreateOfAMountedFile(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		dir := t.TempDir()
		outside, inside := filepath.Join(dir, "outside"), filepath.Join(dir, "inside")
		for _, file := range []string{outside, inside} {
			if err := os.WriteFile(file, []byte("what was there before"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command("mount", "--bind", outside, inside).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", inside).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
		err := Create(t.Context(), inside, func(w io.Writer) error {
			_, err := io.WriteString(w, "new")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(outside); err != nil || string(text) != "new" {
			t.Errorf("%q, error %v", text, err)
		}
		if left, err := filepath.Glob(inside + "?*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, error %v", left, err)
		}
	})
}
