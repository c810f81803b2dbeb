package bus

import (
	"sync/atomic"
	"time"
)

// holding is the memory, in bytes, that one connection's input and output take: frames that have not arrived as a whole,
// sessions that are not answered, and answers that the client has not read. Those of all connections together are
// bounded by Options.MaxMemory.
type holding struct {
	all     *atomic.Int64 // of the server
	relieve func()        // called, without locks, when all is more than it may be
	limit   int64

	bytes atomic.Int64
	moved atomic.Int64 // when the client last completed a frame or took answers: nanoseconds of the clock
	gone  atomic.Bool  // aborted: what it has is on its way out
}

// add counts n bytes, which may be negative.
func (h *holding) add(n int64) {
	if n == 0 || h.gone.Load() {
		return
	}
	if h.bytes.Add(n) == n { // the first
		h.move()
	}
	if h.all.Add(n) > h.limit && n > 0 {
		h.relieve()
	}
}

// move notes that the client does its part.
func (h *holding) move() { h.moved.Store(time.Now().UnixNano()) }

// drop gives everything back.
func (h *holding) drop() {
	h.gone.Store(true)
	h.all.Add(-h.bytes.Swap(0))
}

// weight says how much a connection is in the way: its bytes, times the time for which it has held them up. A client that
// sends much at once is light; one that stops within a frame, or does not read, grows heavy.
func (h *holding) weight(now time.Time) float64 {
	return float64(h.bytes.Load()) * max(time.Millisecond, now.Sub(time.Unix(0, h.moved.Load()))).Seconds()
}

// relieve closes connections, the heaviest first, until all hold no more than they may. The last that holds anything
// stays: its own limits bound it.
func (s *Server) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held.Load() > s.opts.MaxMemory {
		heaviest, holders := s.heaviest()
		if holders < 2 {
			return
		}
		s.counters.stalled.Add(1)
		s.log.warn("bus: connection closed: all together hold too much memory, and this one is most in the way",
			"pid", heaviest.peer.PID, "uid", heaviest.peer.UID, "bytes", heaviest.hold.bytes.Load(), "of", s.held.Load())
		heaviest.abort()
	}
}

func (s *Server) heaviest() (heaviest *serverConn, holders int) {
	now, most := time.Now(), 0.0
	for c := range s.conns {
		if c.hold.bytes.Load() <= 0 || c.hold.gone.Load() {
			continue
		}
		holders++
		if w := c.hold.weight(now); heaviest == nil || w > most {
			heaviest, most = c, w
		}
	}
	return heaviest, holders
}
