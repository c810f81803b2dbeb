package bus

import "sync/atomic"

// Stats counts what the server has seen since it was made. All but Open only grow.
type Stats struct {
	Open         int64 // connections now
	Accepted     int64 // connections, refused ones included
	Refused      int64 // closed at once: not authorised, or over MaxConns
	Sessions     int64 // handed to Submit
	Requests     int64 // in those
	Answered     int64 // sessions whose wait has returned; Sessions - Answered are in flight
	BadDocuments int64 // answered by one Fail, because the document did not decode
	BadFrames    int64 // connections closed because the peer did not speak the protocol
	Stalled      int64 // connections closed because of a half frame, or answers that nobody read
	Panics       int64 // connections closed because the handler panicked, or broke its contract
	BytesIn      int64
	BytesOut     int64
}

// counters is Stats while it is being counted.
type counters struct {
	open, accepted, refused          atomic.Int64
	sessions, requests, answered     atomic.Int64
	badDocuments, badFrames, stalled atomic.Int64
	panics, bytesIn, bytesOut        atomic.Int64
}

func (c *counters) snapshot() Stats {
	return Stats{
		Open: c.open.Load(), Accepted: c.accepted.Load(), Refused: c.refused.Load(),
		Sessions: c.sessions.Load(), Requests: c.requests.Load(), Answered: c.answered.Load(), BadDocuments: c.badDocuments.Load(),
		BadFrames: c.badFrames.Load(), Stalled: c.stalled.Load(), Panics: c.panics.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
}
