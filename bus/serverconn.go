package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"
)

// serverConn is one connection of a server. Its three goroutines are run (which reads), answer and write; and one for each large
// document that is read ahead.
type serverConn struct {
	s       *Server
	nc      net.Conn
	peer    Peer
	handler Conn

	hold   holding
	in     *inflow
	frames *frameReader
	ahead  ahead   // of the reader
	group  group   // of the reader, or of whose turn it is of those ahead
	queue  *queue  // reader → answerer
	out    *outbox // answerer → writer

	cancel context.CancelFunc // ends the context of Submit; nil before run
	mu     sync.Mutex
	dead   bool // aborted
}

func newServerConn(s *Server, nc net.Conn, peer Peer) *serverConn {
	c := &serverConn{
		s: s, nc: nc, peer: peer,
		hold:  holding{all: &s.held, relieve: s.relieve, limit: s.opts.MaxMemory},
		in:    &inflow{nc: nc, timeout: s.opts.FrameTimeout, total: &s.counters.bytesIn},
		queue: newQueue(s.opts.MaxInflight, s.opts.MaxInflightBytes),
		out:   newOutbox(s.opts.MaxAnswerBytes, idleBuffer),
		ahead: newAhead(),
	}
	c.frames = newFrameReader(c.in, c.in.idle)
	c.frames.hold = c.hold.add
	return c
}

// accept asks Options.Accept. A panic there is a refusal.
func (c *serverConn) accept(peer Peer) (handler Conn, err error) {
	defer c.recovered("Accept", &err)
	handler, err = c.s.opts.Accept(peer)
	if err == nil && handler == nil {
		err = errors.New("no handler for it")
	}
	return handler, err
}

// run serves the connection until it has ended, and everything that was submitted is answered.
func (c *serverConn) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.setCancel(cancel)
	defer c.closeHandler()
	if !c.handshake() {
		return
	}
	var wg sync.WaitGroup
	wg.Go(c.answer)
	wg.Go(c.write)
	err := c.read(ctx)
	c.ended(errors.Join(err, c.ahead.settle()))
	c.queue.close()
	wg.Wait()
}

// handshake exchanges the magic words.
func (c *serverConn) handshake() bool {
	c.in.timeout = c.s.opts.HandshakeTimeout
	err := c.frames.hello(helloClient)
	c.in.timeout = c.s.opts.FrameTimeout
	if err == nil {
		err = c.send([]byte(helloServer))
	}
	if errors.Is(err, errFrame) {
		c.s.counters.badFrames.Add(1)
	}
	return err == nil
}

// arrival is a document that has arrived.
type arrival struct {
	id      uint64
	payload []byte

	session Session
	codec   Codec
	bad     error
	cost    int64
}

// read submits what arrives until the stream ends, and says why it did. Sessions that have arrived together are submitted
// together, before anything blocks.
func (c *serverConn) read(ctx context.Context) error {
	for {
		id, payload, err := c.frames.next()
		if err != nil {
			return err
		}
		if n := len(payload); n >= aheadFrom && n <= aheadTo {
			d := &arrival{id: id, payload: payload}
			c.ahead.put(func() { c.prepare(d) }, func() error { return c.takeAlone(ctx, d) })
			continue
		}
		if err := c.ahead.settle(); err != nil {
			return err
		}
		d := arrival{id: id, payload: payload}
		c.parse(&d)
		if err := c.take(ctx, &d); err != nil {
			return err
		}
		if len(c.group.entries) == maxGroup || !c.frames.arrived() {
			if err := c.submit(ctx); err != nil {
				return err
			}
		}
	}
}

// parse reads a document, and counts what that takes.
func (c *serverConn) parse(d *arrival) {
	d.session, d.codec, d.bad = parseSession(d.payload, c.s.opts.MaxRequests)
	d.cost = sessionCost(d.payload, d.session)
	c.hold.add(d.cost - int64(cap(d.payload)))
}

// prepare parses a document before it is its turn, and has the handler do what it can of its work.
func (c *serverConn) prepare(d *arrival) {
	c.parse(d)
	if h, ok := c.handler.(Preparer); ok && len(d.session.Requests) > 0 {
		defer c.recovered("Prepare", &d.bad)
		d.session.Prepared = h.Prepare(d.session)
	}
}

// take adds a document to the group.
func (c *serverConn) take(ctx context.Context, d *arrival) error {
	p := pending{id: d.id, codec: d.codec, n: len(d.session.Requests), cost: d.cost}
	if err := c.reserve(ctx, p.cost); err != nil {
		return err
	}
	if len(c.group.entries) == 0 && c.out.empty() { // those of a group came together
		c.hold.move()
	}
	bad := d.bad
	switch {
	case bad != nil:
		if err := c.badDocument(ctx, bad); err != nil {
			return err
		}
		p.n, p.wait = 1, func() []Reply { return []Reply{Fail(bad.Error())} }
	case p.n == 0:
		p.wait = func() []Reply { return nil }
	default:
		p.submitted = true
	}
	c.group.add(p, d.session)
	return nil
}

// takeAlone submits a document by itself.
func (c *serverConn) takeAlone(ctx context.Context, d *arrival) error {
	if err := c.take(ctx, d); err != nil {
		return err
	}
	return c.submit(ctx)
}

// reserve makes room for a session. It doesn't wait for room that those of the group take.
func (c *serverConn) reserve(ctx context.Context, cost int64) error {
	if c.queue.tryReserve(cost) {
		return nil
	}
	if err := c.submit(ctx); err != nil {
		return err
	}
	if !c.queue.reserve(cost) {
		return net.ErrClosed
	}
	return nil
}

// requestCost is what one request costs beyond its bytes in the frame: the Request, its Reply, and the answer.
const requestCost = 128

func sessionCost(payload []byte, s Session) int64 {
	return int64(len(payload)) + requestCost*int64(len(s.Requests))
}

// submit submits the group, and begins another.
func (c *serverConn) submit(ctx context.Context) (err error) {
	defer c.recovered("Submit", &err)
	g := &c.group
	if len(g.entries) == 0 {
		return nil
	}
	c.s.counters.sessions.Add(int64(len(g.sessions)))
	for _, s := range g.sessions {
		c.s.counters.requests.Add(int64(len(s.Requests)))
	}
	waits := c.submitAll(ctx, g.sessions)
	for i := range g.entries {
		p := &g.entries[i]
		if !p.submitted {
			continue
		}
		if len(waits) == 0 || waits[0] == nil {
			panic("Submit returned no wait function")
		}
		p.wait, waits = waits[0], waits[1:]
	}
	c.queue.put(g.entries...)
	g.clear()
	return nil
}

func (c *serverConn) submitAll(ctx context.Context, sessions []Session) (waits []func() []Reply) {
	if all, ok := c.handler.(GroupConn); ok && len(sessions) > 0 {
		return all.SubmitAll(ctx, sessions)
	}
	for _, s := range sessions {
		waits = append(waits, c.handler.Submit(ctx, s))
	}
	return waits
}

// badDocument tells the handler, if it wants to know, after it has what came before.
func (c *serverConn) badDocument(ctx context.Context, bad error) (err error) {
	c.s.counters.badDocuments.Add(1)
	if err := c.submit(ctx); err != nil {
		return err
	}
	defer c.recovered("BadDocument", &err)
	if h, ok := c.handler.(BadDocumentHandler); ok {
		h.BadDocument(bad)
	}
	return nil
}

// ended looks at why reading ended. Whatever it was, what was submitted is still answered.
func (c *serverConn) ended(err error) {
	switch {
	case errors.Is(err, errFrame) || errors.Is(err, io.ErrUnexpectedEOF):
		c.s.counters.badFrames.Add(1)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.stalled("a frame that does not end")
	}
	if hungUp(c.nc) {
		c.cancel()
	}
}

func (c *serverConn) stalled(what string) {
	c.s.counters.stalled.Add(1)
	c.s.log.warn("bus: connection closed: "+what, "pid", c.peer.PID, "uid", c.peer.UID)
}

// answer waits for the answers, in order, until the queue is closed and empty. After a panic it goes on, for the sake of
// the wait functions that are left, but nothing is written any more.
func (c *serverConn) answer() {
	defer c.out.finish()
	for {
		p, ok := c.queue.take()
		if !ok {
			return
		}
		if answer, err := c.wait(p); err == nil {
			c.hold.add(int64(frameSize(len(answer))))
			c.out.put(p.id, answer)
		}
		c.queue.done(p.cost)
		c.hold.add(-p.cost)
	}
}

func (c *serverConn) wait(p pending) (answer []byte, err error) {
	defer c.recovered("wait", &err)
	replies := p.wait()
	if p.submitted {
		c.s.counters.answered.Add(1)
	}
	if len(replies) != p.n {
		panic(fmt.Sprintf("wait returned %d replies to %d requests", len(replies), p.n))
	}
	hold := func(n int64) bool { c.hold.add(n); return !c.hold.gone.Load() }
	return marshalHeld(p.codec, replies, hold), nil
}

// recovered turns a panic of the handler into an error and ends the connection.
func (c *serverConn) recovered(where string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = fmt.Errorf("panic in %s: %v", where, v)
	c.s.counters.panics.Add(1)
	c.s.log.warn("bus: connection closed: panic in "+where, "pid", c.peer.PID, "panic", v, "stack", string(debug.Stack()))
	c.abort()
}

// write puts the answers on the wire. When the client is gone they are dropped, and what it sent before is still read;
// a client that is there but does not take them is cut off.
func (c *serverConn) write() {
	err := c.out.run(func(b []byte) error {
		if err := c.send(b); err != nil {
			return err
		}
		c.hold.add(-int64(len(b)))
		c.hold.move()
		return nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.stalled("answers that nobody reads")
		c.abort()
	}
}

// writeSlice is how much is written under one deadline.
const writeSlice = 256 << 10

// send writes b. The deadline is moved on as long as the client takes or sends anything.
func (c *serverConn) send(b []byte) error {
	for len(b) > 0 {
		before := c.in.arrived.Load()
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.s.opts.WriteTimeout)); err != nil {
			return err
		}
		n, err := c.nc.Write(b[:min(len(b), writeSlice)])
		c.s.counters.bytesOut.Add(int64(n))
		b = b[n:]
		late := errors.Is(err, os.ErrDeadlineExceeded)
		if err != nil && !(late && (n > 0 || c.in.arrived.Load() != before)) {
			return err
		}
	}
	return nil
}

func (c *serverConn) setCancel(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	if c.dead {
		cancel()
	}
}

// abort ends the connection at once: nothing more is read, submitted or written.
func (c *serverConn) abort() {
	c.mu.Lock()
	c.dead = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	c.nc.Close()
	c.queue.close()
	c.out.breakOff()
	c.hold.drop()
}

func (c *serverConn) closeHandler() {
	var err error
	defer c.recovered("Close", &err)
	c.handler.Close()
}
