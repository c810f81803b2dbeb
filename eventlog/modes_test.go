package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// modesBelow are the modes of a directory and of all files in it.
func modesBelow(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			fmt.Fprintf(&b, "%s %04o\n", strings.TrimPrefix(path, filepath.Dir(dir)+"/"), info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestModes: whatever the umask lets through, a log is open to its owner alone, its directory to be looked at by the group, what is
// sealed for nobody to write; copies of it are the same.
func TestModes(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	places := t.TempDir()
	in := func(name string) string { return filepath.Join(places, name) }
	threeSegments(t, in("log"))
	l := mustOpen(t, in("log"), Options{})
	err := l.CopyTo(in("copied-live"))
	mustClose(t, l)
	if err = errors.Join(err, Copy(in("log"), in("copied"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Salvage(context.Background(), in("log"), in("salvaged")); err != nil {
		t.Fatal(err)
	}
	const files = "%[1]s 0750\n%[1]s/00000000000000000001.db 0400\n%[1]s/00000000000000000005.db 0400\n%[1]s/00000000000000000009.db 0600\n"
	for name, more := range map[string]string{"log": "log/LOCK 0600\n", "copied-live": "", "copied": "", "salvaged": ""} {
		if diff := cmp.Diff(strings.Split(fmt.Sprintf(files, name)+more, "\n"), strings.Split(modesBelow(t, in(name)), "\n")); diff != "" {
			t.Errorf("want (-), have (+):\n%s", diff)
		}
	}
	// As from one file system to another.
	if err := copyFile(filepath.Join(in("log"), segmentName(1)), in("one.db")); err != nil {
		t.Fatal(err)
	}
	if got := modesBelow(t, in("one.db")); got != "one.db 0400\n" {
		t.Errorf("a sealed segment that couldn't be linked: %s", got)
	}
}

// TestCopyWritesNothingThatIsThere: a name that somebody else has taken, also as a symbolic link, is not written to.
func TestCopyWritesNothingThatIsThere(t *testing.T) {
	dir := t.TempDir()
	to, elsewhere := filepath.Join(dir, "to"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(elsewhere, to); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(to, modeLive, func(*os.File) error { return nil }); !errors.Is(err, os.ErrExist) {
		t.Error(err)
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("a file was made by a link to it")
	}
}
