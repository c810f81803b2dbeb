package bus

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

var errStopping = errors.New("the server is ending")

// inflow is the receiving side of a connection: reads with a deadline inside of frames, none between them, and it can
// be told to stop.
type inflow struct {
	nc       net.Conn
	timeout  time.Duration // without a byte, while not idle
	total    *atomic.Int64 // counts bytes for the whole server
	arrived  atomic.Int64  // bytes so far
	stopping atomic.Bool

	quiet bool // between two frames
	armed bool // a deadline is set
}

// Read sets deadlines only when it is about to block, that is once per read(2), not per frame.
func (in *inflow) Read(p []byte) (int, error) {
	var deadline time.Time
	if !in.quiet {
		deadline = time.Now().Add(in.timeout)
	}
	if in.armed || !in.quiet {
		in.armed = !in.quiet
		if err := in.nc.SetReadDeadline(deadline); err != nil {
			return 0, err
		}
	}
	// After the deadline: stop sets the flag first, then its own deadline, so one of the two is always seen.
	if in.stopping.Load() {
		return 0, errStopping
	}
	n, err := in.nc.Read(p)
	in.arrived.Add(int64(n))
	in.total.Add(int64(n))
	if err != nil && in.stopping.Load() {
		err = errStopping
	}
	return n, err
}

func (in *inflow) idle(quiet bool) { in.quiet = quiet }

// stop makes the Read that is under way, and every later one, return an error.
func (in *inflow) stop() {
	in.stopping.Store(true)
	_ = in.nc.SetReadDeadline(time.Unix(1, 0)) // fails only if it is closed already
}
