package bus

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handler is a Conn made of a function. closed is closed by Close.
type handler struct {
	submit func(context.Context, Session) func() []Reply
	closed chan struct{}
	once   sync.Once
}

func (h *handler) Submit(ctx context.Context, s Session) func() []Reply { return h.submit(ctx, s) }

func (h *handler) Close() {
	first := false
	h.once.Do(func() { first = true; close(h.closed) })
	if !first {
		panic("Close called twice")
	}
}

func newHandler(submit func(context.Context, Session) func() []Reply) *handler {
	return &handler{submit: submit, closed: make(chan struct{})}
}

// replyAll answers each request with f.
func replyAll(f func(Request) Reply) func(context.Context, Session) func() []Reply {
	return func(_ context.Context, s Session) func() []Reply {
		return func() []Reply {
			replies := make([]Reply, len(s.Requests))
			for i, r := range s.Requests {
				replies[i] = f(r)
			}
			return replies
		}
	}
}

func ackAll(ctx context.Context, s Session) func() []Reply {
	return replyAll(func(r Request) Reply {
		if err := r.Err(); err != nil {
			return Fail(err.Error())
		}
		return Ack()
	})(ctx, s)
}

// accepting lets everybody in, with one handler per connection.
func accepting(submit func(context.Context, Session) func() []Reply) Options {
	return Options{Accept: func(Peer) (Conn, error) { return newHandler(submit), nil }}
}

// served is a server on a socket of its own, which ends with the test.
type served struct {
	*Server
	path string
	stop func() // ends Serve and waits for it
}

func serve(t testing.TB, o Options) *served {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return &served{Server: s, path: path, stop: stop}
}

func dial(t testing.TB, s *served, codec Codec) *Client {
	t.Helper()
	c, err := Dial(context.Background(), s.path, DialOptions{Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialRaw connects and shakes hands by hand.
func dialRaw(t testing.TB, s *served) *net.UnixConn {
	t.Helper()
	nc := connect(t, s)
	send(t, nc, []byte(helloClient))
	if got := receive(t, nc, 4); string(got) != helloServer {
		t.Fatalf("handshake: got %q, want %q", got, helloServer)
	}
	return nc
}

func connect(t testing.TB, s *served) *net.UnixConn {
	t.Helper()
	nc, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc.(*net.UnixConn)
}

// pipeListener is a listener of in-memory connections, for tests with a fake clock.
type pipeListener struct {
	conns chan net.Conn // unbuffered
	done  chan struct{}
	once  sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial returns the client's end of a new connection, hands not yet shaken.
func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// servePipe is serve for in-memory connections, in a synctest bubble.
func servePipe(t *testing.T, o Options) (s *Server, l *pipeListener, stop func()) {
	s, l = NewServer(o), newPipeListener()
	s.peer = func(net.Conn) (Peer, error) { return Peer{PID: 1}, nil }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(ctx, l); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}()
	return s, l, func() { cancel(); <-ended }
}
