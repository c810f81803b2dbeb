package bus

import "sync/atomic"

// Stats counts what the server has seen since it was made. All but Open only grow.
type Stats struct {
	Open         int64 `json:"open"`          // connections now
	Accepted     int64 `json:"accepted"`      // connections, refused ones included
	Refused      int64 `json:"refused"`       // closed at once: not authorised, or over MaxConns
	Sessions     int64 `json:"sessions"`      // handed to Submit
	Requests     int64 `json:"requests"`      // in those
	Answered     int64 `json:"answered"`      // sessions whose wait has returned; Sessions - Answered are in flight
	BadDocuments int64 `json:"bad_documents"` // answered by one Fail, because the document did not decode
	BadFrames    int64 `json:"bad_frames"`    // connections closed because the peer did not speak the protocol
	Stalled      int64 `json:"stalled"`       // connections closed because of a half frame, or answers that nobody read
	Panics       int64 `json:"panics"`        // connections closed because the handler panicked, or broke its contract
	BytesIn      int64 `json:"bytes_in"`
	BytesOut     int64 `json:"bytes_out"`
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
