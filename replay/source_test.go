package replay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/testenv"
	"lqosd/replay/replaytest"
)

func TestTreeIsTheFoldOfEveryPrefix(t *testing.T) {
	testenv.NoLeakedFDs(t)
	commands := replaytest.Commands()
	plain := replaytest.Open(t, Open, replaytest.WriteLog(t, commands))
	// The same records in several segments: the tree then starts from a snapshot.
	rolled := replaytest.Open(t, Open, replaytest.WriteLog(t, slices.Insert(slices.Insert(commands, 4, bakery.Command(replaytest.Roll{})), 2, bakery.Command(replaytest.Roll{}))))
	want := bakery.NewTree()
	for r, err := range plain.Records(t.Context(), 0, plain.Last()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := bakery.Fold(want, r); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*Source{"one segment": plain, "three": rolled} {
			got, err := s.Tree(t.Context(), r.Seq)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(want) {
				t.Errorf("%s: the tree after record %d is another", name, r.Seq)
			}
		}
	}
	if want.Seq != 6 {
		t.Errorf("%d records", want.Seq)
	}
	if empty, err := plain.Tree(t.Context(), 0); err != nil || !empty.Equal(bakery.NewTree()) {
		t.Errorf("the tree before the first record isn't empty: %v", err)
	}
	if _, err := plain.Tree(t.Context(), 7); !errors.Is(err, ErrOutside) {
		t.Errorf("record 7: %v", err)
	}
}

func TestPrunedLog(t *testing.T) {
	dir := replaytest.WriteLog(t, slices.Insert(replaytest.Commands(), 3, bakery.Command(replaytest.Roll{})))
	if _, err := eventlog.Prune(dir, eventlog.Policy{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	s := replaytest.Open(t, Open, dir)
	if s.First() != 4 || s.Last() != 6 {
		t.Fatalf("records %d to %d", s.First(), s.Last())
	}
	for seq, want := range map[eventlog.Seq]bool{0: true, 1: false, 2: false, 3: true, 4: true, 6: true} {
		tree, err := s.Tree(t.Context(), seq)
		if (err == nil) != want || err == nil && tree.Seq != seq || err != nil && !errors.Is(err, ErrOutside) {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	if got, err := s.SeqAt(t.Context(), replaytest.Begin); !errors.Is(err, ErrOutside) {
		t.Errorf("the record at the beginning is %d, %v: it was dropped", got, err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("an empty directory is no error")
	}
	dir := t.TempDir()
	l, err := eventlog.Open(dir, eventlog.Options{Holder: eventlog.Holder{PID: 99, Bus: "/run/x"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var held *eventlog.HeldError
	if _, err := Open(dir); !errors.As(err, &held) || held.Bus != "/run/x" {
		t.Errorf("a log that is held: %v", err)
	}
}

// TestHeldLog reads the sealed part of a log that a daemon holds.
func TestHeldLog(t *testing.T) {
	dir := replaytest.WriteLog(t, slices.Insert(replaytest.Commands(), 3, bakery.Command(replaytest.Roll{})))
	l, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := replaytest.Open(t, Open, dir)
	if s.Last() != 3 || s.Held() == nil {
		t.Fatalf("the log ends at %d, held: %v", s.Last(), s.Held())
	}
	n := 0
	for _, err := range s.Records(t.Context(), 0, s.Last()) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 3 {
		t.Errorf("%d records", n)
	}
	if tree, err := s.Tree(t.Context(), 3); err != nil || tree.Seq != 3 {
		t.Errorf("tree: %v", err)
	}
}

func TestRenderErrors(t *testing.T) {
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, replaytest.Commands()))
	if err := s.Render(t.Context(), replaytest.FailingWriter{}, Rendering{At: s.Last(), Form: FormCommands}); err == nil {
		t.Error("a write error is swallowed")
	}
	if err := s.Render(t.Context(), &strings.Builder{}, Rendering{At: 1, Form: "shape"}); err == nil {
		t.Error("an unknown form is no error")
	}
}

// endingContext ends after it was asked so many times.
type endingContext struct {
	context.Context
	left *int
}

func (c endingContext) Err() error {
	if *c.left--; *c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestContextEndsReading: reading goes on for as long as it is wanted, not to the end of the log.
func TestContextEndsReading(t *testing.T) {
	commands := []bakery.Command{replaytest.MqSetup()}
	for range 20 {
		commands = append(commands, replaytest.Circuit("4", 10, ""))
	}
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, commands))
	n := 0
	for _, err := range s.Records(endingContext{t.Context(), new(7)}, 1, s.Last()) {
		if n++; err != nil && (!errors.Is(err, context.Canceled) || n != 8) {
			t.Errorf("record %d: %v", n, err)
		}
	}
	if n != 8 {
		t.Errorf("it ended after %d records", n)
	}
}
