package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// DialOptions configure a client.
type DialOptions struct {
	Codec Codec // of the questions, and so of the answers; default CBOR
}

// Client speaks to one server over one connection. Its methods may be called from several goroutines; the sessions of one
// goroutine arrive in the order it sent them. Two goroutines of its own live until Close, or until the server goes.
type Client struct {
	nc    net.Conn
	codec Codec
	out   *outbox
	wg    sync.WaitGroup

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]*Future
	err     error // why the connection has ended
}

// ErrClosed is wrapped by what a client returns after it was closed, or after the server went away. Whether a session
// that was on its way has been carried out is then unknown: send it again with the same key (see [Client.DoWithKey]).
var ErrClosed = errors.New("bus connection closed")

const (
	dialTimeout  = 10 * time.Second // for a ctx without a deadline
	clientBuffer = 8 << 20          // bytes of sessions not yet written; then Go blocks
	lastAnswers  = 10 * time.Second // for what is still to be read once writing has failed
)

// Dial connects to the socket at path and shakes hands.
func Dial(ctx context.Context, path string, o DialOptions) (*Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("dialing the bus: %w", err)
	}
	frames := newFrameReader(nc, func(bool) {})
	if err := shakeHands(ctx, nc, frames); err != nil {
		nc.Close()
		return nil, fmt.Errorf("dialing the bus at %s: %w", path, err)
	}
	return newClient(nc, frames, o.Codec), nil
}

// newClient speaks over a connection on which hands were shaken.
func newClient(nc net.Conn, frames *frameReader, codec Codec) *Client {
	c := &Client{nc: nc, codec: codec, out: newOutbox(clientBuffer, idleClientBuffer), waiting: map[uint64]*Future{}}
	c.wg.Go(func() { c.read(frames) })
	c.wg.Go(c.write)
	return c
}

func shakeHands(ctx context.Context, nc net.Conn, frames *frameReader) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	_, err := io.WriteString(nc, helloClient)
	if answer := frames.hello(helloServer); answer != nil { // a server that hung up may have said something first
		err = answer
	}
	switch stopped := stop(); {
	case err == nil && stopped:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the handshake: %w", ctx.Err())
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("the server closed the connection at once: not authorised, or too many connections: %w", ErrClosed)
	}
	return err
}

// Do sends one session and waits for its answers: one reply per call, in order. A Fail is a reply, not an error.
func (c *Client) Do(ctx context.Context, calls ...Call) ([]Reply, error) {
	return c.Go(calls...).Wait(ctx)
}

// Ask sends one call and decodes its answer into v, as [Reply.Decode] does.
func (c *Client) Ask(ctx context.Context, call Call, v any) error {
	replies, err := c.Do(ctx, call)
	if err != nil {
		return err
	}
	return replies[0].Decode(v)
}

// DoWithKey is Do with an idempotency key for the session: text of at most 128 bytes that no other session has.
func (c *Client) DoWithKey(ctx context.Context, key string, calls ...Call) ([]Reply, error) {
	return c.GoWithKey(key, calls...).Wait(ctx)
}

// Go sends one session without waiting. Any number may be in flight; it blocks only while the server does not take what
// is there.
func (c *Client) Go(calls ...Call) *Future { return c.GoWithKey("", calls...) }

// GoWithKey is Go with an idempotency key for the session.
func (c *Client) GoWithKey(key string, calls ...Call) *Future {
	f := &Future{calls: len(calls), done: make(chan struct{})}
	room := documentRooms.Get().(*bytes.Buffer)
	payload, err := marshalSession(room, c.codec, key, calls)
	if err == nil && len(payload) > MaxPayload {
		err = fmt.Errorf("sending a session of %d bytes: at most %d fit a frame; split it", len(payload), MaxPayload)
	}
	if err != nil {
		f.complete(nil, err)
	} else if id, ok := c.register(f); ok {
		c.out.put(id, payload) // which copies it
	}
	if room.Cap() <= keptDocument {
		room.Reset()
		documentRooms.Put(room)
	}
	return f
}

// documentRooms are empty buffers for sessions that are written down, none of them larger than keptDocument.
var documentRooms = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keptDocument = 16 << 10 // bytes

// register gives the future an id. If the connection has ended it completes it at once.
func (c *Client) register(f *Future) (id uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		f.complete(nil, c.err)
		return 0, false
	}
	id = c.nextID
	c.nextID++
	c.waiting[id] = f
	return id, true
}

// Close ends the connection and returns when the goroutines of the client have ended. What is in flight gets ErrClosed.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.wg.Wait()
	return nil
}

// Err says why the connection has ended, nil while it has not.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection for the first reason given.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	waiting := c.waiting
	c.waiting = nil
	for _, f := range waiting {
		f.complete(nil, c.err)
	}
	c.mu.Unlock()
	c.out.breakOff()
	c.nc.Close()
}

func (c *Client) read(frames *frameReader) {
	for {
		id, payload, err := frames.next()
		if err != nil {
			c.fail(closedBy(err))
			return
		}
		c.mu.Lock()
		f, ok := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if !ok {
			c.fail(fmt.Errorf("%w: the server answered %d, which was not asked", ErrClosed, id))
			return
		}
		if isAckAnswer(payload) {
			frames.spare = payload
		}
		f.complete(parseAnswer(payload))
	}
}

// write leaves the end of the connection to the reader, which may still find answers. But a server that has stopped
// reading need not have ended: what is not there soon never comes.
func (c *Client) write() {
	err := c.out.run(func(b []byte) error {
		_, err := c.nc.Write(b)
		return err
	})
	if err != nil {
		_ = c.nc.SetReadDeadline(time.Now().Add(lastAnswers)) // fails only if it is closed already
	}
}

func closedBy(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w by the server", ErrClosed)
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}
