package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func TestCopyWhileAppending(t *testing.T) {
	dir, copies := t.TempDir(), t.TempDir()
	l := mustOpen(t, dir, Options{SegmentBytes: 1 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	tx := Tx{Records: commandLike(100)}
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := l.Append(context.Background(), tx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := l.Wait(ctx, l.LastSeq()); err == nil && l.NeedsRoll() {
				mustRoll(t, l, 0, "state")
			}
		}
	})
	for i := range 8 {
		if err := l.Wait(ctx, l.LastSeq()+2000); err != nil {
			t.Fatal(err)
		}
		before := l.LastSeq()
		dst := filepath.Join(copies, fmt.Sprint(i))
		if err := l.CopyTo(dst); err != nil {
			t.Fatal(err)
		}
		if r := verifyClean(t, dst); r.LastGood < before || r.First != 1 || r.Last%100 != 0 {
			t.Errorf("copy %d: report %+v, durable before %d", i, r, before)
		}
	}
	cancel()
	wg.Wait()
	mustClose(t, l)
	verifyClean(t, dir)
	again := mustOpen(t, filepath.Join(copies, "7"), Options{}) // a copy is a log
	mustAppend(t, again, "", "a")
	if left, err := filepath.Glob(filepath.Join(copies, "*.partial-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestCopyWhileRolling wants to copy between the steps of a roll: the copy has no seal without a segment after it.
func TestCopyWhileRolling(t *testing.T) {
	copies := t.TempDir()
	copied := make(chan error, 2)
	var l *Log
	l = mustOpen(t, t.TempDir(), Options{faults: &faults{roll: func(step string) error {
		if step != "named" && step != "sealed" {
			return nil
		}
		take := func() { copied <- l.CopyTo(filepath.Join(copies, step)) }
		if l.segMu.TryRLock() {
			l.segMu.RUnlock()
			take()
		} else { // it waits for the roll
			go take()
		}
		return nil
	}}})
	mustAppend(t, l, "key", "a", "b")
	mustRoll(t, l, 1, "state")
	if err := errors.Join(<-copied, <-copied); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"named", "sealed"} {
		dir := filepath.Join(copies, step)
		if r := verifyClean(t, dir); r.LastGood != 2 {
			t.Errorf("%s: %+v", step, r)
		}
		mustAppend(t, mustOpen(t, dir, Options{}), "", "c") // a copy is a log
	}
}

// TestCopyHoldsWhatIsDurable wants to copy when a commit is written and not yet synced: the copy waits. Where the sync fails there is no
// copy.
func TestCopyHoldsWhatIsDurable(t *testing.T) {
	copies, copied := t.TempDir(), make(chan error, 1)
	broken := errors.New("input/output error")
	var l *Log
	var synced error
	var name string // of the copy
	l = mustOpen(t, t.TempDir(), Options{faults: &faults{commit: func(tx *bolt.Tx) error {
		if err := tx.Commit(); err != nil || name == "" {
			return err
		}
		dir := filepath.Join(copies, name)
		take := func() { copied <- l.CopyTo(dir) }
		if l.unsureMu.TryLock() {
			l.unsureMu.Unlock()
			take()
			if r := verifyClean(t, dir); r.LastGood > l.LastSeq() {
				t.Errorf("%s: the copy ends at %d, durable is %d", name, r.LastGood, l.LastSeq())
			}
		} else { // it waits for the commit
			go take()
		}
		return synced
	}}})
	mustAppend(t, l, "", "a")
	name = "well"
	mustAppend(t, l, "", "b")
	if err := <-copied; err != nil {
		t.Error(err)
	}
	name, synced = "broken", broken
	if _, err := l.Append(context.Background(), textTx("", "c")); !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("outcome: %v", err)
	}
	if err := <-copied; !errors.Is(err, ErrPoisoned) {
		t.Errorf("copy: %v", err)
	}
	if err := l.CopyTo(filepath.Join(copies, "later")); !errors.Is(err, ErrPoisoned) {
		t.Errorf("copy of a poisoned log: %v", err)
	}
	if left, err := os.ReadDir(copies); err != nil || len(left) != 1 {
		t.Errorf("%d copies, %v", len(left), err)
	}
}

func TestCopyToWhereSomethingIs(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	mustAppend(t, l, "", "a")
	parent := t.TempDir()
	empty, full := filepath.Join(parent, "empty"), filepath.Join(parent, "full")
	if err := errors.Join(os.Mkdir(empty, 0o700), os.Mkdir(full, 0o700), os.WriteFile(full+"/x", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := l.CopyTo(empty); err != nil {
		t.Error(err)
	}
	verifyClean(t, empty)
	if err := l.CopyTo(full); err == nil {
		t.Error("a directory with something in it was replaced")
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	mustClose(t, l)
	if err := l.CopyTo(filepath.Join(parent, "closed")); !errors.Is(err, ErrClosed) {
		t.Errorf("copy of a closed log: %v", err)
	}
}

func TestSealedSegmentsAreCopiedAcrossFileSystems(t *testing.T) {
	dir := t.TempDir()
	threeSegments(t, dir)
	elsewhere, err := os.MkdirTemp("/dev/shm", "eventlog") //nolint:usetesting // another file system than t.TempDir is the point
	if err != nil {                                        // a host without it can only show that links are complete, too
		elsewhere = t.TempDir()
	}
	defer os.RemoveAll(elsewhere)
	l := mustOpen(t, dir, Options{})
	dst := filepath.Join(elsewhere, "copy")
	if err := l.CopyTo(dst); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, dst)
	if info, err := os.Stat(filepath.Join(dst, segmentName(1))); err != nil || info.Mode().Perm() != modeSealed {
		t.Errorf("mode %v, %v", info, err)
	}
}
