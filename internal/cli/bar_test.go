package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"lqosd/internal/testenv"
)

// barAfter sets how long a bar waits, for one test.
func barAfter(t *testing.T, d time.Duration) {
	old := BarAfter
	BarAfter = d
	t.Cleanup(func() { BarAfter = old })
}

// shows reads a terminal until it shows text.
func shows(t *testing.T, master *os.File, text string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 4096); !strings.Contains(string(got), text); {
		n, err := master.Read(b)
		if err != nil {
			t.Fatalf("the terminal shows %q, want %q: %v", got, text, err)
		}
		got = append(got, b[:n]...)
	}
}

// rest closes a terminal, and gives what it shows besides.
func rest(t *testing.T, master, tty *os.File) string {
	t.Helper()
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(master)
	if err != nil && !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	return string(got)
}

// TestBarOnTerminal: a bar is drawn, taken away for what else is written, drawn again, and gone when all is done.
func TestBarOnTerminal(t *testing.T) {
	barAfter(t, 0)
	master, tty := testenv.Terminal(t, 24, 80)
	bar := NewBar(tty, 0, "records")
	bar.Set(4096, 10000)
	shows(t, master, "4096 / 10000 records")
	if _, err := (besideBar{tty, bar}).Write([]byte("a word\n")); err != nil {
		t.Fatal(err)
	}
	shows(t, master, "\x1b[Ja word") // where the bar was
	bar.Set(8192, 10000)
	shows(t, master, "8192 / 10000 records")
	bar.Set(10000, 10000)
	bar.Set(1, 20)
	shows(t, master, "1 / 20 records")
	bar.End()
	bar.Set(2, 20)
	if got := rest(t, master, tty); !strings.HasSuffix(got, "\x1b[J") {
		t.Errorf("after its end it shows %q", got)
	}
}

// TestBarWaits: what is done soon has none.
func TestBarWaits(t *testing.T) {
	barAfter(t, time.Hour)
	master, tty := testenv.Terminal(t, 24, 80)
	bar := NewBar(tty, 10, "requests")
	bar.Add(1)
	bar.Set(4096, 10000)
	bar.End()
	if got := rest(t, master, tty); got != "" {
		t.Errorf("it shows %q", got)
	}
}

// TestBarBeginsAnew: the time counts from the beginning of what takes long, not of the command.
func TestBarBeginsAnew(t *testing.T) {
	_, tty := testenv.Terminal(t, 24, 80)
	defer func() { _ = tty.Close() }()
	bar := NewBar(tty, 0, "records")
	bar.Set(1, 1)
	begun := bar.begun
	bar.Set(1, 2) // the next part
	if bar.begun != begun || !bar.rested.IsZero() {
		t.Error("the next part begins anew, or counts as rest")
	}
	bar.Set(2, 2)
	bar.rested = bar.rested.Add(-time.Hour)
	if bar.Set(1, 2); !bar.begun.After(begun) {
		t.Error("another thing doesn't begin anew")
	}
}

type reportKey struct{}

// TestScreenShowsProgress: a command's context reaches the bar, and its output takes that away.
func TestScreenShowsProgress(t *testing.T) {
	barAfter(t, 0)
	master, tty := testenv.Terminal(t, 24, 80)
	root := Root("tool", "Does things", "1.2")
	root.AddCommand(&cobra.Command{Use: "work", RunE: func(cmd *cobra.Command, _ []string) error {
		cmd.Context().Value(reportKey{}).(func(done, total uint64))(1, 3)
		shows(t, master, "1 / 3 records")
		_, err := io.WriteString(cmd.OutOrStdout(), "result\n")
		return err
	}})
	Screen{Watch: func(ctx context.Context, report func(done, total uint64)) context.Context {
		return context.WithValue(ctx, reportKey{}, report)
	}}.Equip(root)
	root.SetArgs([]string{"work"})
	root.SetOut(tty)
	root.SetErr(tty)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := rest(t, master, tty); !strings.HasSuffix(got, "\x1b[Jresult\r\n") {
		t.Errorf("then it shows %q", got)
	}
}

func TestMeasure(t *testing.T) {
	s := shown{columns: 10}
	for text, want := range map[string]int{"": 0, "a": 1, "a\nb\n": 2, "\n\n": 2, "0123456789\n": 1, "01234567890\n": 2, "\x1b[32m012345678\x1b[0m9\n": 1, "├──────────\n": 2} {
		if got := s.measure([]byte(text)); got != want {
			t.Errorf("%q takes %d lines, want %d", text, got, want)
		}
	}
	// Lines come in pieces.
	var out bytes.Buffer
	s = shown{to: &out, rows: 3, columns: 10, bar: &Bar{}}
	for range 20 {
		if _, err := s.Write([]byte(".")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(nil); err != nil || out.Len() != 20 {
		t.Errorf("%v: %q", err, out.String())
	}
}
