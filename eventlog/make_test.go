package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fillWith appends a transaction for each of texts, and waits for the last.
func fillWith(texts ...string) func(*Log) error {
	return func(l *Log) error {
		for _, text := range texts {
			if _, err := l.Append(context.Background(), Tx{Key: "key " + text, Records: [][]byte{[]byte(text)}}); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestMake: a log that begins in the middle is one like any other: it is read, written, rolled, verified, and knows its keys.
func TestMake(t *testing.T) {
	keys := newKeyTable()
	keys.add(keyed{key: "old", first: 40, last: 41})
	want := Beginning{First: 42, Mark: 7, Snapshot: bytes.Repeat([]byte("state"), 100_000), Keys: keys.encode(41)}
	for _, rolled := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "log")
		err := Make(t.Context(), dir, want, Options{}, func(l *Log) error {
			if err := fillWith("a", "b")(l); err != nil || !rolled {
				return err
			}
			p, err := l.Roll(Snapshot{Mark: 8})
			if err == nil {
				_, err = p.Wait()
			}
			return errors.Join(err, fillWith("c")(l))
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, lockName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("rolled %v: a LOCK: %v", rolled, err)
		}
		r, err := OpenReader(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Beginning()
		if err != nil || got.First != 42 || got.Mark != 7 || !bytes.Equal(got.Snapshot, want.Snapshot) || !bytes.Equal(got.Keys, want.Keys) {
			t.Errorf("rolled %v: begins at %d with mark %d, %d and %d bytes, %v", rolled, got.First, got.Mark, len(got.Snapshot), len(got.Keys), err)
		}
		var texts []string
		for rec, err := range r.Records(0) {
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, fmt.Sprintf("%d %s", rec.Seq, rec.Data))
		}
		if text := strings.Join(texts, ", "); !strings.HasPrefix("42 a, 43 b, 44 c", text) || len(texts) < 2 {
			t.Errorf("rolled %v: holds %s", rolled, text)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		l, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"old", "key a"} {
			if _, known := l.Known(key); !known {
				t.Errorf("rolled %v: the key %q is forgotten", rolled, key)
			}
		}
		if err := errors.Join(fillWith("d")(l), l.Close()); err != nil {
			t.Error(err)
		}
		if rep, err := Verify(t.Context(), dir); err != nil || !rep.Clean() || rep.First != 42 {
			t.Errorf("rolled %v: %+v, %v", rolled, rep, err)
		}
	}
}

// TestMakeFromTheFirst: a Beginning at seq 1 is that of any new log.
func TestMakeFromTheFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := Make(t.Context(), dir, Beginning{First: 1}, Options{}, fillWith("a")); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := r.Beginning(); err != nil || b.First != 1 || b.Snapshot != nil || r.Last() != 1 {
		t.Errorf("%+v, last %d, %v", b, r.Last(), err)
	}
}

// TestMakeNothing: what fails leaves nothing behind, and nothing that is there is touched.
func TestMakeNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "log")
	errFill := errors.New("no more")
	if err := Make(t.Context(), dir, Beginning{}, Options{}, func(l *Log) error { return errors.Join(fillWith("a")(l), errFill) }); !errors.Is(err, errFill) {
		t.Errorf("filling fails: %v", err)
	}
	if err := Make(t.Context(), dir, Beginning{First: 3, Keys: []byte{200}}, Options{}, fillWith()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged list of keys: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Make(ctx, dir, Beginning{}, Options{}, fillWith("a")); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it: %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := os.Symlink("nowhere", dir); err != nil {
		t.Fatal(err)
	}
	if err := Make(t.Context(), dir, Beginning{}, Options{}, fillWith("a")); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("onto a link: %v", err)
	}
}
