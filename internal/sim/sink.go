package sim

import (
	"bytes"
	"sync"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// sink is the tc file. It keeps what one life wrote.
type sink struct {
	mu    sync.Mutex
	from  eventlog.Seq // the last record from before
	lines bytes.Buffer
	fails bool
}

// Write implements bakery.Sink.
func (s *sink) Write(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errDisk
	}
	s.lines.Write(lines)
	return nil
}

func (s *sink) begin(last eventlog.Seq) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.from = last
	s.lines.Reset()
}

func (s *sink) fail(fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

// checkSink wants the lines of all records since the daemon's start, each once and in order;
// where it is behind, the first of them.
func (w *world) checkSink() {
	s := w.sink
	s.mu.Lock()
	defer s.mu.Unlock()
	var want []byte
	for _, r := range w.archive.records[s.from:] {
		want = bakery.AppendLines(want, r.Command, bakery.RatesAsClient)
	}
	got := s.lines.Bytes()
	if !bytes.HasPrefix(want, got) {
		w.broke("the Sink has %d bytes of lines that aren't those of the records after %d", len(got), s.from)
	}
	if w.life.h.Health().Sink == nil && len(got) != len(want) {
		w.broke("the Sink has %d bytes of lines, the records after %d have %d", len(got), s.from, len(want))
	}
}
