// Package replaytest writes logs for the tests of package replay and of those above it. Nothing but tests imports it.
package replaytest

import (
	"errors"
	"io"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// Begin is the time of the first record; a minute lies between two.
var Begin = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// MqSetup sets up two links with a queue each.
func MqSetup() bakery.MqSetup {
	sqm := []string{"cake", "diffserv4"}
	return bakery.MqSetup{Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: sqm},
		Up: bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 500, SQM: sqm}, R2Q: 10}
}

// Circuit sets the class 1:minor; a comment is its name.
func Circuit(minor string, ceil float64, comment string) bakery.AddCircuitHTBClass {
	c := bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:", ClassID: minor, RateMbps: 1, CeilMbps: ceil, CircuitHash: 7, R2Q: 10}
	if comment != "" {
		c.Comment = &comment
	}
	return c
}

// MapIP maps an address.
func MapIP(address string, handle uint32, upload bool) bakery.MapIPToFlow {
	return bakery.MapIPToFlow{Address: address, Handle: handle, Upload: upload}
}

// Commands are six records.
func Commands() []bakery.Command {
	return []bakery.Command{MqSetup(), Circuit("4", 10, "Smith"), Circuit("5", 20, ""), MapIP("192.0.2.1", 0x10004, false),
		bakery.ExecuteTCCommands{Lines: []string{"filter add dev eth1 parent 1: matchall flowid 1:4"}, Opaque: []int{0}}, Circuit("4", 30, "Smith")}
}

// Roll stands among commands where a segment begins; Snapshot is what it is made from, nil for the tree of the moment.
type Roll struct {
	bakery.Command
	Snapshot *bakery.Tree
}

// Raw stands for a record whose payload is what it says.
type Raw struct {
	bakery.Command
	Payload string
}

// Timed is a command that was accepted at a time of its own.
type Timed struct {
	bakery.Command
	At time.Time
}

// WriteLog writes a log of commands, as a daemon would.
func WriteLog(t *testing.T, commands []bakery.Command) (dir string) {
	t.Helper()
	dir = t.TempDir()
	tree := bakery.NewTree()
	now := func() time.Time { return Begin.Add(time.Duration(tree.Seq) * time.Minute) }
	l, err := eventlog.Open(dir, eventlog.Options{Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		var p *eventlog.Pending
		switch c := c.(type) {
		case Roll:
			from := tree
			if c.Snapshot != nil {
				from = c.Snapshot
			}
			p, err = l.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
				_, err := w.Write(from.AppendSnapshot(nil))
				return err
			}})
		case Raw:
			p, err = l.Enqueue(eventlog.Tx{Records: [][]byte{[]byte(c.Payload)}})
		default:
			r := bakery.Record{Seq: tree.Seq + 1, Time: now(), Sender: bakery.Sender{UID: 1000, PID: 7}, Command: c}
			if c, own := c.(Timed); own {
				r.Time, r.Command = c.At, c.Command
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

// Open opens a log with replay.Open, which isn't imported so that the tests of that package can use this one, and closes it after
// the test.
func Open[S io.Closer](t *testing.T, open func(dir string) (S, error), dir string) S {
	t.Helper()
	s, err := open(dir)
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

// FailingWriter is where nothing can be written.
type FailingWriter struct{}

// Write fails.
func (FailingWriter) Write([]byte) (int, error) { return 0, errors.New("full") }
