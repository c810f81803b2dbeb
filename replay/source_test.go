package replay

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/testenv"
)

// begin is the time of the first record; a minute lies between two.
var begin = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

func mqSetup() bakery.MqSetup {
	sqm := []string{"cake", "diffserv4"}
	return bakery.MqSetup{Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: sqm},
		Up: bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 500, SQM: sqm}, R2Q: 10}
}

func circuit(minor string, ceil float64, comment string) bakery.AddCircuitHTBClass {
	c := bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:", ClassID: minor, RateMbps: 1, CeilMbps: ceil, CircuitHash: 7, R2Q: 10}
	if comment != "" {
		c.Comment = &comment
	}
	return c
}

func mapping(address string, handle uint32, upload bool) bakery.MapIPToFlow {
	return bakery.MapIPToFlow{Address: address, Handle: handle, Upload: upload}
}

// someCommands are six records.
func someCommands() []bakery.Command {
	return []bakery.Command{mqSetup(), circuit("4", 10, "Smith"), circuit("5", 20, ""), mapping("192.0.2.1", 0x10004, false),
		bakery.ExecuteTCCommands{Lines: []string{"filter add dev eth1 parent 1: matchall flowid 1:4"}, Opaque: []int{0}}, circuit("4", 30, "Smith")}
}

// roll stands among commands where a segment begins; snapshot is what it is made from, nil for the tree of the moment.
type roll struct {
	bakery.Command
	snapshot *bakery.Tree
}

// raw stands for a record whose payload is what it says.
type raw struct {
	bakery.Command
	payload string
}

// timed is a command that was accepted at a time of its own.
type timed struct {
	bakery.Command
	at time.Time
}

func writeLog(t *testing.T, commands []bakery.Command) (dir string) {
	t.Helper()
	dir = t.TempDir()
	tree := bakery.NewTree()
	now := func() time.Time { return begin.Add(time.Duration(tree.Seq) * time.Minute) }
	l, err := eventlog.Open(dir, eventlog.Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		var p *eventlog.Pending
		switch c := c.(type) {
		case roll:
			from := tree
			if c.snapshot != nil {
				from = c.snapshot
			}
			p, err = l.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
				_, err := w.Write(from.AppendSnapshot(nil))
				return err
			}})
		case raw:
			p, err = l.Enqueue(eventlog.Tx{Records: [][]byte{[]byte(c.payload)}})
		default:
			r := bakery.Record{Seq: tree.Seq + 1, Time: now(), Sender: bakery.Sender{UID: 1000, PID: 7}, Command: c}
			if c, own := c.(timed); own {
				r.Time, r.Command = c.at, c.Command
			}
			if foldErr := bakery.Fold(tree, r); foldErr != nil {
				tree.Seq = r.Seq // a record that no daemon would write
			}
			p, err = l.Enqueue(eventlog.Tx{Records: [][]byte{bakery.AppendRecord(nil, r)}})
		}
		if err == nil {
			_, err = p.Wait()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openLog(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestTreeIsTheFoldOfEveryPrefix(t *testing.T) {
	testenv.NoLeakedFDs(t)
	commands := someCommands()
	plain := openLog(t, writeLog(t, commands))
	// The same records in several segments: the tree then starts from a snapshot.
	rolled := openLog(t, writeLog(t, slices.Insert(slices.Insert(commands, 4, bakery.Command(roll{})), 2, bakery.Command(roll{}))))
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
	dir := writeLog(t, slices.Insert(someCommands(), 3, bakery.Command(roll{})))
	if _, err := eventlog.Prune(dir, eventlog.Policy{MaxBytes: 1}); err != nil {
		t.Fatal(err)
	}
	s := openLog(t, dir)
	if s.First() != 4 || s.Last() != 6 {
		t.Fatalf("records %d to %d", s.First(), s.Last())
	}
	for seq, want := range map[eventlog.Seq]bool{0: true, 1: false, 2: false, 3: true, 4: true, 6: true} {
		tree, err := s.Tree(t.Context(), seq)
		if (err == nil) != want || err == nil && tree.Seq != seq || err != nil && !errors.Is(err, ErrOutside) {
			t.Errorf("record %d: %v", seq, err)
		}
	}
	var seqs []eventlog.Seq
	if err := s.Entries(t.Context(), Filter{From: 1, To: 5}, func(Entry) error { return nil }); !errors.Is(err, ErrOutside) {
		t.Errorf("entries from a record that was dropped: %v", err)
	}
	if err := s.Entries(t.Context(), Filter{To: 5}, func(e Entry) error { seqs = append(seqs, e.Seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seqs, []eventlog.Seq{4, 5}) {
		t.Errorf("entries %v", seqs)
	}
	if got, err := s.SeqAt(t.Context(), begin); !errors.Is(err, ErrOutside) {
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
	dir := writeLog(t, slices.Insert(someCommands(), 3, bakery.Command(roll{})))
	l, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := openLog(t, dir)
	if s.Last() != 3 || s.Held() == nil {
		t.Fatalf("the log ends at %d, held: %v", s.Last(), s.Held())
	}
	n := 0
	if err := s.Entries(t.Context(), Filter{}, func(Entry) error { n++; return nil }); err != nil || n != 3 {
		t.Errorf("%d entries, %v", n, err)
	}
	if tree, err := s.Tree(t.Context(), 3); err != nil || tree.Seq != 3 {
		t.Errorf("tree: %v", err)
	}
}

func TestVisitorsErrorEndsTheWalk(t *testing.T) {
	s := openLog(t, writeLog(t, someCommands()))
	stop, n := errors.New("stop"), 0
	err := s.Entries(t.Context(), Filter{}, func(Entry) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d visits, %v", n, err)
	}
	if err := s.Render(t.Context(), failingWriter{}, Rendering{At: s.Last(), Form: FormCommands}); err == nil {
		t.Error("a write error is swallowed")
	}
	if err := s.Render(t.Context(), &strings.Builder{}, Rendering{At: 1, Form: "shape"}); err == nil {
		t.Error("an unknown form is no error")
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

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
	commands := []bakery.Command{mqSetup()}
	for range 20 {
		commands = append(commands, circuit("4", 10, ""))
	}
	s := openLog(t, writeLog(t, commands))
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
