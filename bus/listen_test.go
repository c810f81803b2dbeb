package bus

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lqosd/internal/testenv"
)

// orphan makes a socket on which nobody listens.
func orphan(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lqos", "bus")
	l, err := Listen(path, ListenOptions{Group: "no-such-group-here"})
	if err != nil {
		t.Fatal(err)
	}
	if got := mode(t, path); got != fs.ModeSocket|0o660 {
		t.Errorf("socket: %s", got)
	}
	if got := mode(t, filepath.Dir(path)); got.Perm() != 0o755 {
		t.Errorf("directory: %s", got)
	}
	if l.Addr().String() != path {
		t.Errorf("address: %s", l.Addr())
	}
	here := fmt.Sprintf("another process is listening there: pid %d (", os.Getpid())
	if _, err := Listen(path, ListenOptions{}); err == nil || !strings.Contains(err.Error(), here) {
		t.Errorf("a second one: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := l.Close(); err == nil {
		t.Error("closed twice without an error")
	}
}

func TestListenModeAndGroup(t *testing.T) {
	old := syscall.Umask(0o022) // as most have it; the mode must not depend on it
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "bus")
	l, err := Listen(path, ListenOptions{Group: "root", Mode: 0o666})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := mode(t, path); got != fs.ModeSocket|0o666 {
		t.Errorf("socket: %s", got)
	}
}

// Until it has its group and mode the socket is the owner's alone, whatever the umask.
func TestListenBindsClosed(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "bus")
	l, err := bind(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := mode(t, path); got != fs.ModeSocket|0o600 {
		t.Errorf("socket: %s", got)
	}
}

// TestListenOpensNothingElse: what somebody puts in the place of a new socket before it has its mode stays closed.
func TestListenOpensNothingElse(t *testing.T) {
	for name, plant := range map[string]func(path, other string) error{
		"a link to another socket": func(path, other string) error { orphan(t, other); return os.Symlink(other, path) },
		"a file":                   func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
	} {
		dir := t.TempDir()
		path, other := filepath.Join(dir, "bus"), filepath.Join(dir, "other")
		if err := plant(path, other); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil { // of what the link leads to
			t.Fatal(err)
		}
		if _, err := open(path, ListenOptions{Mode: 0o666}); err == nil || !strings.Contains(err.Error(), "somebody replaced the new socket") {
			t.Errorf("%s: %v", name, err)
		}
		for _, p := range []string{path, other} {
			if info, err := os.Stat(p); err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s has mode %s", name, p, info.Mode())
			}
		}
	}
}

// TestListenMakesItsDirectory that nobody else may put anything into, whatever the umask.
func TestListenMakesItsDirectory(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "run", "lqos")
	l, err := Listen(filepath.Join(dir, "bus"), ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if got := mode(t, d); got != fs.ModeDir|0o755 {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	orphan(t, path)
	l, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestListenKeepsWhatIsNoSocket(t *testing.T) {
	dir := t.TempDir()
	orphan(t, filepath.Join(dir, "dead"))
	for name, create := range map[string]func(string) error{
		"file":      func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"link":      func(p string) error { return os.Symlink(filepath.Join(dir, "dead"), p) },
		"dangling":  func(p string) error { return os.Symlink(filepath.Join(dir, "nothing"), p) },
		"fifo":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := create(path); err != nil {
			t.Fatal(err)
		}
		before := mode(t, path)
		if _, err := Listen(path, ListenOptions{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: %v", name, err)
		}
		if after := mode(t, path); after != before {
			t.Errorf("%s: was %s, is %s", name, before, after)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 6 {
		t.Errorf("left behind: %v", entries)
	}
}

// Another listener that took the place keeps it.
func TestListenCloseRemovesOnlyItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	first, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	mode(t, path)
}

// What a killed process left under our own draft name is no obstacle.
func TestListenReplacesADeadDraft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	for i := range int64(4) {
		draft, release, err := draftPath(path, sockets.Load()+i)
		if err != nil {
			t.Fatal(err)
		}
		orphan(t, draft)
		release()
	}
	l, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Every path that a client can connect to will do.
func TestListenLongPath(t *testing.T) {
	testenv.NoLeakedFDs(t)
	dir := t.TempDir()
	path := filepath.Join(dir, strings.Repeat("b", maxSocketPath-len(dir)-1))
	orphan(t, path)
	l, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	l.Close()
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
	if _, err := Listen(path+"b", ListenOptions{}); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("one byte more: %v", err)
	}
}
