package main

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// cutLife is what the world hears of a machine until its power is cut.
type cutLife struct {
	job cutJob

	early bool          // whether to cut while the daemon starts
	acks  int           // if not, after how many acknowledgements
	wrote int           // and then so many writes to the disk
	delay time.Duration // and then so long

	mu     sync.Mutex
	armed  bool // it is time to count writes
	served bool
	sent   int      // records that the log has if all that was sent gets there
	acked  int      // records that the log must have
	copied [2]int   // what was acknowledged when the last copies were asked for
	others []string // what isn't expected

	received received // by itself
}

// hear hears the client in the machine.
func (l *cutLife) hear(line string, cut func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int
	switch {
	case line == "starting":
		l.armed = l.early
	case line == "serving":
		l.served = true
	case line == "copying":
		l.copied = [2]int{l.copied[1], l.acked}
	case line == "done":
		cut()
	case scanned(line, "sent %d", &n):
		l.sent = max(l.sent, n)
	case scanned(line, "acked %d", &n):
		l.acked = max(l.acked, n)
		l.armed = l.armed || !l.early && l.acked >= l.job.From+l.acks
	default:
		l.others = append(l.others, line)
	}
	l.cutIfDue(cut)
}

func scanned(line, format string, n *int) bool {
	_, err := fmt.Sscanf(line, format, n)
	return err == nil
}

// hearDisk hears that the machine writes to its disk.
func (l *cutLife) hearDisk(cut func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed {
		l.wrote--
	}
	l.cutIfDue(cut)
}

func (l *cutLife) cutIfDue(cut func()) {
	switch {
	case !l.armed || l.wrote > 0:
	case l.delay > 0:
		time.AfterFunc(l.delay, cut)
	default:
		cut()
	}
}

// unheard is how many records were sent and not acknowledged.
func (l *cutLife) unheard() int { return l.sent - max(l.acked, l.job.From) }

// check compares a log, whose first records may be gone, with what was heard.
func (l *cutLife) check(gone, last int, w *cutWork) error {
	switch {
	case last < l.acked:
		return fmt.Errorf("record %d was acknowledged, the log ends at %d", l.acked, last)
	case last < l.job.From:
		return fmt.Errorf("the log had %d records before, and ends at %d", l.job.From, last)
	case last > max(l.sent, l.job.From):
		return fmt.Errorf("what was sent gives %d records, the log ends at %d", l.sent, last)
	case (last-l.job.From)%l.job.Size != 0 && last != l.job.To:
		return fmt.Errorf("the log ends at %d: in the middle of a session of %d", last, l.job.Size)
	case gone > w.mayGo[last]:
		return fmt.Errorf("%d records are gone, %d might be", gone, w.mayGo[last])
	}
	return nil
}

// TestCutLifeCheck holds faulty logs against what was heard.
func TestCutLifeCheck(t *testing.T) {
	w := &cutWork{mayGo: make([]int, 101)}
	w.mayGo[56] = 20
	for _, tc := range []struct {
		name                    string
		sent, acked, gone, last int
		good                    bool
	}{
		{"just the acknowledged", 70, 49, 0, 49, true},
		{"some more", 70, 49, 0, 56, true},
		{"all", 100, 98, 0, 100, true},
		{"nothing was sent", 0, 0, 0, 42, true},
		{"an acknowledged session is missing", 70, 56, 0, 49, false},
		{"something of an earlier life is missing", 0, 0, 0, 41, false},
		{"more than was sent", 56, 49, 0, 63, false},
		{"part of a session", 70, 49, 0, 55, false},
		{"retention dropped what it may", 70, 49, 20, 56, true},
		{"retention dropped more", 70, 49, 21, 56, false},
	} {
		l := &cutLife{job: cutJob{From: 42, To: 100, Size: 7}, sent: tc.sent, acked: tc.acked}
		if err := l.check(tc.gone, tc.last, w); (err == nil) != tc.good {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
