package eventlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// rollImage appends, starts a roll, and returns the directory as a crash right before the named step would leave it.
func rollImage(t *testing.T, at string) string {
	t.Helper()
	dir, image := t.TempDir(), t.TempDir()
	taken := false
	l := mustOpen(t, dir, Options{faults: &faults{roll: func(step string) error {
		if step == at {
			taken = true
			copyRaw(t, dir, image)
		}
		return nil
	}}})
	mustAppend(t, l, "key", "a", "b")
	l.SetCursor("applied", []byte("2"))
	mustRoll(t, l, 1, "state")
	if at == "done" {
		taken = true
		copyRaw(t, dir, image)
	}
	if !taken {
		t.Fatalf("no step %q", at)
	}
	return image
}

// expectWhole opens what a crash left, checks that nothing is missing, and that it can be written and is clean.
func expectWhole(t *testing.T, dir string, segments int) {
	t.Helper()
	if r := verifyClean(t, dir); r.LastGood != 2 {
		t.Errorf("before it is opened: %+v", r)
	}
	l := mustOpen(t, dir, Options{})
	if got := collect(t, l.Records(0)); len(got) != 2 || l.LastSeq() != 2 {
		t.Errorf("records %q, last seq %d", got, l.LastSeq())
	}
	if res, ok := known(t, l, "key"); !ok || res.Last != 2 {
		t.Errorf("key: %+v %t", res, ok)
	}
	mustAppend(t, l, "", "after the crash")
	mustRoll(t, l, 2, "state")
	mustAppend(t, l, "", "after a roll")
	mustClose(t, l)
	if left, err := filepath.Glob(filepath.Join(dir, "*"+tempSuffix)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if r := verifyClean(t, dir); r.Segments != segments || r.LastGood != 4 {
		t.Errorf("report: %+v", r)
	}
}

func TestCrashDuringRoll(t *testing.T) {
	for step, segments := range map[string]int{"make": 2, "made": 2, "named": 3, "sealed": 3, "done": 3} {
		t.Run(step, func(t *testing.T) { expectWhole(t, rollImage(t, step), segments) })
	}
}

func TestCrashWhileTheNextSegmentIsWritten(t *testing.T) {
	temp := segmentName(3) + tempSuffix
	whole, err := os.ReadFile(filepath.Join(rollImage(t, "made"), temp))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 4096, 16384, 20000, 32768} {
		dir := rollImage(t, "make")
		if err := os.WriteFile(filepath.Join(dir, temp), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		expectWhole(t, dir, 2)
	}
}

func TestCrashWhileTheOldSegmentIsRetired(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"not cut to size":    func(p string) error { return errors.Join(os.Chmod(p, 0o600), os.Truncate(p, 1<<20)) },
		"not made read-only": func(p string) error { return os.Chmod(p, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := rollImage(t, "done")
			if err := change(filepath.Join(dir, segmentName(1))); err != nil {
				t.Fatal(err)
			}
			expectWhole(t, dir, 3)
		})
	}
}

func TestCrashDuringCreation(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join(rollImage(t, "make"), segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, build := range map[string]func(dir string) error{
		"no directory":    func(dir string) error { return os.Remove(dir) },
		"empty directory": func(string) error { return nil },
		"only LOCK":       func(dir string) error { return os.WriteFile(filepath.Join(dir, lockName), nil, 0o600) },
		"empty file":      func(dir string) error { return os.WriteFile(filepath.Join(dir, segmentName(1)+tempSuffix), nil, 0o600) },
		"half a file": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, segmentName(1)+tempSuffix), whole[:10000], 0o600)
		},
		"finished, not named": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, segmentName(1)+tempSuffix), whole, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := build(dir); err != nil {
				t.Fatal(err)
			}
			l := mustOpen(t, dir, Options{})
			if l.LastSeq() != 0 || l.FirstSeq() != 1 {
				t.Errorf("first %d, last %d", l.FirstSeq(), l.LastSeq())
			}
			mustAppend(t, l, "", "a")
			mustClose(t, l)
			verifyClean(t, dir)
		})
	}
}

func TestFailureAfterTheNextSegmentHasItsName(t *testing.T) {
	for _, at := range []string{"named", "sealed"} {
		dir := t.TempDir()
		l := mustOpen(t, dir, Options{faults: &faults{roll: func(step string) error {
			if step == at {
				return errors.New("input/output error")
			}
			return nil
		}}})
		mustAppend(t, l, "key", "a", "b")
		p, err := l.Roll(textSnapshot(1, "state"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("%s: %v", at, err)
		}
		if _, err := l.Enqueue(textTx("", "x")); !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: Enqueue: %v", at, err)
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if err := l.CopyTo(copied); err == nil {
			verifyClean(t, copied)
		} else if at != "sealed" || !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s: CopyTo: %v", at, err)
		}
		mustClose(t, l)
		expectWhole(t, dir, 3)
	}
}

func TestMissingSuccessorIsNotWrittenOver(t *testing.T) {
	dir := rollImage(t, "done")
	if err := os.Remove(filepath.Join(dir, segmentName(3))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open: %v", err)
	}
	if r, err := Verify(t.Context(), dir); err != nil || r.Clean() {
		t.Errorf("Verify: %+v, %v", r, err)
	}
}

func TestSegmentUnderAnotherName(t *testing.T) {
	dir := rollImage(t, "done")
	if err := os.Rename(filepath.Join(dir, segmentName(3)), filepath.Join(dir, segmentName(4))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Open: %v", err)
	}
}
