package eventlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func wantCursor(t *testing.T, l *Log, name, want string) {
	t.Helper()
	if got, err := l.Cursor(name); err != nil || string(got) != want {
		t.Errorf("cursor %s: %q, %v; want %q", name, got, err, want)
	}
}

func TestCursorsSurviveReopenAndRoll(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	wantCursor(t, l, "applied", "")
	l.SetCursor("applied", []byte("1"))
	l.SetCursor("applied", []byte("2"))
	wantCursor(t, l, "applied", "2")
	mustClose(t, l)
	l = mustOpen(t, dir, Options{})
	wantCursor(t, l, "applied", "2")
	mustAppend(t, l, "", "a")
	l.SetCursor("other", []byte("x"))
	mustRoll(t, l, 0, "")
	mustClose(t, l)
	l = mustOpen(t, dir, Options{})
	wantCursor(t, l, "applied", "2")
	wantCursor(t, l, "other", "x")
	mustClose(t, l)
	verifyClean(t, dir)
}

func TestCursorGoesWithTheNextCommit(t *testing.T) {
	dir, image := t.TempDir(), t.TempDir()
	g := newGate()
	l := mustOpen(t, dir, Options{faults: &faults{before: g.before}})
	l.SetCursor("applied", []byte("7"))
	p, err := l.Enqueue(textTx("", "a"))
	if err != nil {
		t.Fatal(err)
	}
	<-g.reached
	g.pass <- struct{}{}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := l.commits.Load(); n != 1 {
		t.Errorf("%d commits", n)
	}
	copyRaw(t, dir, image)
	crashed := mustOpen(t, image, Options{})
	wantCursor(t, crashed, "applied", "7")
	go func() { // further commits, if any, pass
		for range g.reached {
			g.pass <- struct{}{}
		}
	}()
	mustClose(t, l)
	close(g.reached)
	if n := l.commits.Load(); n != 1 {
		t.Errorf("%d commits after Close: the cursor was written again", n)
	}
}

func TestIdleLogWritesCursorsAlone(t *testing.T) {
	committed := make(chan struct{}, 1)
	l := mustOpen(t, t.TempDir(), Options{faults: &faults{commit: func(tx *bolt.Tx) error {
		defer func() { committed <- struct{}{} }()
		return tx.Commit()
	}}})
	l.SetCursor("applied", []byte("7"))
	select {
	case <-committed:
	case <-time.After(2 * time.Minute):
		t.Error("nothing was written")
	}
}

func TestDamagedCursorIsAnErrorOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	l.SetCursor("applied", []byte("value-to-damage"))
	l.SetCursor("good", []byte("good"))
	mustClose(t, l)
	editFile(t, filepath.Join(dir, segmentName(1)), "value-to-damage", "value-tO-damage")
	l = mustOpen(t, dir, Options{})
	if _, err := l.Cursor("applied"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged cursor: %v", err)
	}
	wantCursor(t, l, "good", "good")
	l.SetCursor("applied", []byte("new"))
	wantCursor(t, l, "applied", "new")
}

// copyRaw copies the files of a log as they are on disk, as a crash at this moment would leave them.
func copyRaw(t *testing.T, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, info.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// editFile replaces every occurrence of old in a file with another text of the same length.
func editFile(t *testing.T, path, old, changed string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) || len(old) != len(changed) {
		t.Fatalf("%q is not in %s, or has another length than %q", old, path, changed)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	mode := info.Mode().Perm()
	if err := errors.Join(os.Chmod(path, 0o600), // a sealed segment is closed to all but root
		os.WriteFile(path, bytes.ReplaceAll(b, []byte(old), []byte(changed)), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}
