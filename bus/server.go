package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn handles the sessions of one connection. Package bus calls it; the daemon implements it.
type Conn interface {
	// Submit takes one session. It is called in order of arrival, for one at a time, on whatever goroutine, and may block: then the
	// connection is not read, but for a few large sessions. The returned wait is called once, on another goroutine, in the same order, and blocks until the answers
	// are there: exactly one per request. ctx ends when the answers can't reach anybody any more (the client is gone or
	// stalled, the server's time to drain is over); then Submit and wait should return soon, with any replies. It does
	// not end merely because the server is told to. Malformed requests (see Request.Err) are answered in their place.
	Submit(ctx context.Context, s Session) (wait func() []Reply)
	// Close is called exactly once, when the connection has ended and every wait has returned.
	Close()
}

// GroupConn is a [Conn] that takes sessions that arrived together at once: it is called in place of Submit, with at least one
// session, and gives a wait function for each, in order.
type GroupConn interface {
	SubmitAll(ctx context.Context, sessions []Session) (waits []func() []Reply)
}

// Preparer is a [Conn] that can do some of its work for a session before it is that one's turn. Prepare is called for large
// sessions that are not empty, on any goroutine, for several at once, in any order, and while others are submitted; but not after Close.
// What it returns is the session's Prepared when it is submitted, which needn't come to that.
type Preparer interface {
	Prepare(s Session) any
}

// BadDocumentHandler is a [Conn] that wants to know of documents that can't be read. BadDocument is called in their
// place among the calls of Submit; the answer is made without it.
type BadDocumentHandler interface {
	BadDocument(err error)
}

// Server serves the bus on a listener. It holds no goroutines outside of Serve.
type Server struct {
	opts     Options
	log      logger
	counters counters
	peer     func(net.Conn) (Peer, error)

	mu       sync.Mutex
	conns    map[*serverConn]struct{}
	users    map[uint32]int // connections by uid
	stopping bool
	held     atomic.Int64 // memory of all connections
}

// NewServer makes a server. It starts nothing.
func NewServer(o Options) *Server {
	o = o.withDefaults()
	return &Server{opts: o, log: logger{log: o.Log}, peer: peerOf, conns: map[*serverConn]struct{}{}, users: map[uint32]int{}}
}

// Stats is a snapshot of the counters.
func (s *Server) Stats() Stats { return s.counters.snapshot() }

// Serve accepts connections until ctx is done, then stops reading, answers what was submitted, for at most
// DrainTimeout, closes the listener and all connections, and returns nil when every goroutine has ended. If the
// listener fails it does the same and returns that error. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	failed := s.accept(ctx, l, &wg)
	s.stop()
	drain := time.AfterFunc(s.opts.DrainTimeout, s.abort)
	wg.Wait()
	drain.Stop()
	if ctx.Err() == nil {
		return failed
	}
	return nil
}

// accept starts a goroutine per connection until ctx is done or the listener fails. It closes the listener.
func (s *Server) accept(ctx context.Context, l net.Listener, wg *sync.WaitGroup) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() {
		if stop() {
			l.Close()
		}
	}()
	backoff := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err == nil {
			backoff = 0
			wg.Go(func() { s.serve(ctx, nc) })
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) || !temporary(err) {
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		}
		// Out of descriptors, mostly: what was closed since may have made room.
		s.log.warn("bus: accepting a connection", "err", err)
		backoff = min(2*backoff+time.Millisecond, time.Second)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
	}
}

// temporary is what net.Error called so for accept(2): errors of one connection, or lack of descriptors or memory.
func temporary(err error) bool {
	var e interface{ Temporary() bool }
	return errors.As(err, &e) && e.Temporary()
}

// serve is one connection, from accept to close.
func (s *Server) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	s.counters.accepted.Add(1)
	peer, err := s.peer(nc)
	if err != nil {
		s.refuse(peer, err)
		return
	}
	c := newServerConn(s, nc, peer)
	if err := s.add(c); err != nil {
		s.refuse(peer, err)
		return
	}
	defer s.remove(c)
	c.handler, err = c.accept(peer)
	if err != nil {
		s.refuse(peer, err)
		return
	}
	c.run(context.WithoutCancel(ctx))
}

func (s *Server) refuse(peer Peer, err error) {
	s.counters.refused.Add(1)
	s.log.warn("bus: connection refused", "pid", peer.PID, "uid", peer.UID, "gid", peer.GID, "err", err)
}

func (s *Server) add(c *serverConn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return errors.New("the server is ending")
	}
	if len(s.conns) >= s.opts.MaxConns {
		return fmt.Errorf("%d connections are open, no more are taken", len(s.conns))
	}
	if n := s.users[c.peer.UID]; n >= s.opts.MaxUserConns && c.peer.UID != 0 && int(c.peer.UID) != os.Geteuid() {
		return fmt.Errorf("%d connections of this user are open, no more are taken", n)
	}
	s.conns[c] = struct{}{}
	s.users[c.peer.UID]++
	s.counters.open.Add(1)
	return nil
}

func (s *Server) remove(c *serverConn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.users[c.peer.UID]--; s.users[c.peer.UID] == 0 {
		delete(s.users, c.peer.UID)
	}
	s.mu.Unlock()
	c.hold.drop()
	s.counters.open.Add(-1)
}

// stop makes every connection stop reading.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for c := range s.conns {
		c.in.stop()
	}
}

// abort ends every connection at once.
func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.abort()
	}
}
