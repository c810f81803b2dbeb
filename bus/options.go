package bus

import (
	"errors"
	"log/slog"
	"time"
)

// Options configure a server. Zero values take the defaults; a limit can't be switched off.
type Options struct {
	// Accept decides about a connection and makes its handler. An error closes the connection at once. It is called on the
	// goroutine of the connection, before the handshake. Nil refuses everybody.
	Accept func(Peer) (Conn, error)
	// Log gets what is worth a line: refused peers, panics, stalled connections. At most five lines a second. Nil is silent.
	Log *slog.Logger

	MaxConns         int   // connections at a time; one more is closed at once. Default 2,048
	MaxUserConns     int   // of those of one user, but for root and the user of this process. Default three quarters of them
	MaxInflight      int   // sessions of one connection between Submit and answer; then it is not read, but for a few large ones. Default 4,096
	MaxInflightBytes int64 // memory of those: frames, and 128 bytes per request; one session always passes. Default 64 MiB
	MaxAnswerBytes   int   // answers that one client has not read; then it is answered, and so read, no more. Default 8 MiB
	MaxMemory        int64 // what all connections hold: frames that arrive, sessions in flight, answers not read; more, and the one most in the way is closed. Default 256 MiB
	MaxRequests      int   // requests in one session. Default 1,000,000

	HandshakeTimeout time.Duration // from connect to LREQ. Default 5 s
	FrameTimeout     time.Duration // without a byte inside a frame. Default 30 s
	WriteTimeout     time.Duration // without the client taking or sending a byte while answers wait. Default 30 s
	DrainTimeout     time.Duration // for the answers that are due when Serve is told to end. Default 5 s
}

const defaultMaxRequests = 1_000_000 // below what an answer may hold elements

var errNoAccept = errors.New("nobody is let in: Options.Accept is not set")

func (o Options) withDefaults() Options {
	if o.Accept == nil {
		o.Accept = func(Peer) (Conn, error) { return nil, errNoAccept }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.MaxConns, 2048)
	orDefault(&o.MaxUserConns, max(1, o.MaxConns*3/4))
	orDefault(&o.MaxInflight, 4096)
	orDefault(&o.MaxInflightBytes, 64<<20)
	orDefault(&o.MaxAnswerBytes, 8<<20)
	orDefault(&o.MaxMemory, 256<<20)
	orDefault(&o.MaxRequests, defaultMaxRequests)
	orDefault(&o.HandshakeTimeout, 5*time.Second)
	orDefault(&o.FrameTimeout, 30*time.Second)
	orDefault(&o.WriteTimeout, 30*time.Second)
	orDefault(&o.DrainTimeout, 5*time.Second)
	return o
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
