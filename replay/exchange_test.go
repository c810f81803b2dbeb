package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay/replaytest"
)

// writeTransactions makes a log with keys, transactions of several records, text that is no UTF-8, and a second segment, of which the first
// is dropped if pruned.
func writeTransactions(t *testing.T, pruned bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	tree := bakery.NewTree()
	l, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	add := func(key string, commands ...bakery.Command) {
		t.Helper()
		tx := eventlog.Tx{Key: key}
		for i, c := range commands {
			r := bakery.Record{Seq: tree.Seq + 1, Time: replaytest.Begin.Add(1234567*1000*1000 + 89), Sender: bakery.Sender{UID: uint32(i), PID: -1}, Command: c}
			if err := bakery.Fold(tree, r); err != nil {
				t.Fatal(err)
			}
			tx.Records = append(tx.Records, bakery.AppendRecord(nil, r))
		}
		if _, err := l.Append(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	add("first", replaytest.MqSetup(), replaytest.Circuit("4", 10, "Smith"))
	add("", replaytest.Circuit("5", 20, "\xff<&>"))
	p, err := l.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
		_, err := w.Write(tree.AppendSnapshot(nil))
		return err
	}})
	if err == nil {
		_, err = p.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	add("second \xfe", replaytest.MapIP("192.0.2.1", 0x10004, false), replaytest.Circuit("4", 30, "Smith"), bakery.ClearIPFlow{})
	add("", replaytest.Circuit("6", 0.1, ""))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if pruned {
		if _, err := eventlog.Prune(dir, eventlog.Policy{MinMark: 2}); err != nil {
			t.Fatal(err)
		}
		segments, err := filepath.Glob(filepath.Join(dir, "*.db"))
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) == 2 {
			if err := os.Remove(segments[0]); err != nil { // the generation is the same
				t.Fatal(err)
			}
		}
	}
	return dir
}

func exported(t *testing.T, dir string) string {
	t.Helper()
	s := open(t, dir)
	var b strings.Builder
	if err := s.Export(t.Context(), &b, 0, 0, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func open(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// contents are the records of a log with the Tree after each.
func contents(t *testing.T, dir string) (all []string) {
	t.Helper()
	s := open(t, dir)
	travel := s.Travel()
	for r, err := range s.r.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		tree, err := travel.At(t.Context(), r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %v %q %x %s", r.Seq, r.TxEnd, r.Key, r.Data, tree.Hash()))
	}
	return all
}

// TestExportImport: a log that went through lines of JSON has the same records, transactions, keys and trees, also where it begins in the
// middle, and in segments of any size.
func TestExportImport(t *testing.T) {
	for _, pruned := range []bool{false, true} {
		dir := writeTransactions(t, pruned)
		want := exported(t, dir)
		if begins := strings.HasPrefix(want, `{"begin":{"seq":4,`); begins != pruned {
			t.Errorf("pruned %v: begins with %.60s", pruned, want)
		}
		for _, segment := range []int64{0, 1} {
			again := filepath.Join(t.TempDir(), "log")
			read := 0
			done, err := Import(t.Context(), strings.NewReader(want), again, ImportOptions{SegmentBytes: segment, Progress: func(n int) { read += n }})
			if err != nil || done.Last != 7 || read != len(want) {
				t.Fatalf("%+v, %d of %d bytes, %v", done, read, len(want), err)
			}
			if got := exported(t, again); got != want {
				t.Errorf("pruned %v: exported again it is\n%s\nwant\n%s", pruned, got, want)
			}
			got, wanted := contents(t, again), contents(t, dir)
			if a, b := strings.Join(got, "\n"), strings.Join(wanted, "\n"); a != b {
				t.Errorf("pruned %v: holds\n%s\nwant\n%s", pruned, a, b)
			}
			if r, err := Verify(t.Context(), again); err != nil || !r.Clean() {
				t.Errorf("pruned %v: %+v, %v", pruned, r, err)
			}
			l, err := eventlog.Open(again, eventlog.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"first", "second \xfe"} {
				if _, known := l.Known(key); !known {
					t.Errorf("pruned %v: the key %q is forgotten", pruned, key)
				}
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestExportPart: from anywhere to anywhere, it is a whole log.
func TestExportPart(t *testing.T) {
	dir := writeTransactions(t, false)
	s := open(t, dir)
	all := contents(t, dir)
	for from := eventlog.Seq(1); from <= 7; from++ {
		for to := from; to <= 7; to++ {
			var b bytes.Buffer
			if err := s.Export(t.Context(), &b, from, to, nil); err != nil {
				t.Fatal(err)
			}
			again := filepath.Join(t.TempDir(), "log")
			if _, err := Import(t.Context(), &b, again, ImportOptions{}); err != nil {
				t.Fatalf("%d to %d: %v", from, to, err)
			}
			got := contents(t, again)
			if last := all[to-1]; len(got) != int(to-from+1) || got[len(got)-1][strings.LastIndex(got[len(got)-1], " "):] != last[strings.LastIndex(last, " "):] {
				t.Errorf("%d to %d: %q", from, to, got)
			}
		}
	}
	if err := s.Export(t.Context(), io.Discard, 9, 0, nil); !errors.Is(err, ErrOutside) {
		t.Errorf("from behind the end: %v", err)
	}
}

// TestImportRefuses: what no log can hold, with the line, and leaves nothing.
func TestImportRefuses(t *testing.T) {
	whole := exported(t, writeTransactions(t, false))
	pruned := exported(t, writeTransactions(t, true))
	lines := strings.SplitAfter(whole, "\n")
	parent := t.TempDir()
	for text, want := range map[string]string{
		lines[0]:              "line 2: the transaction goes on",
		lines[1]:              "line 1: record 2: a log that doesn't begin at record 1",
		whole + lines[6]:      "line 8: record 7: want 8 here",
		whole[:len(whole)-20]: "line 7: cut off",
		whole + "\n":          "line 8: empty",
		strings.Replace(whole, `"key_bytes":"c2Vjb25kIP4="`, `"key":"first"`, 1): `line 6: record 6: the key "first" was there before`,
		strings.Replace(pruned, `{"seq":4,`, `{"seq":5,`, 1):                     "line 1: the snapshot is of record 3, want 4",
		strings.Replace(pruned, `"snapshot":"`, `"snapshot":"AAAA`, 1):           "line 1: decoding snapshot",
		`{"begin":{"seq":4}}`:                              "line 1: the beginning needs",
		`{"begin":{"date":4}}`:                             `line 1: json: unknown field "date"`,
		strings.Replace(lines[0], "}\n", `,"key":"k"}`, 1): "line 1: record 1: a key belongs to the end",
		`{"seq":1,"payload":"AgAA"}`:                       "with the version that wrote it",
	} {
		_, err := Import(t.Context(), strings.NewReader(text), filepath.Join(parent, "log"), ImportOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.150s…: %v, want %q", text, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, strings.NewReader(whole), filepath.Join(parent, "log"), ImportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits: %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
