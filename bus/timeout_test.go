package bus

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// These run on a fake clock and in-memory connections.

func TestTimeoutHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, stop := servePipe(t, accepting(ackAll))
		defer stop()
		nc, start := l.dial(), time.Now()
		send(t, nc, []byte("LRE"))
		wantClosed(t, nc)
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("closed after %s", got)
		}
	})
}

// pass lets time go by on the fake clock.
func pass(d time.Duration) { <-time.After(d) }

func shakenPipe(t *testing.T, l *pipeListener) net.Conn {
	nc := l.dial()
	send(t, nc, []byte(helloClient))
	receive(t, nc, 4)
	return nc
}

func TestTimeoutIdleIsFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, stop := servePipe(t, accepting(ackAll))
		defer stop()
		nc := shakenPipe(t, l)
		defer nc.Close()
		for range 3 {
			pass(24 * time.Hour)
			// In two parts, so that a deadline is set, and must be gone afterwards.
			frame := appendFrame(nil, 1, []byte(pingDoc))
			send(t, nc, frame[:10])
			pass(29 * time.Second)
			send(t, nc, frame[10:])
			if _, got := receiveFrame(t, nc); string(got) != ackDoc {
				t.Fatalf("got %q", got)
			}
		}
	})
}

func TestTimeoutHalfFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, stop := servePipe(t, accepting(ackAll))
		defer stop()
		nc := shakenPipe(t, l)
		start := time.Now()
		send(t, nc, appendFrame(nil, 1, []byte(pingDoc))[:20])
		wantClosed(t, nc)
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("closed after %s", got)
		}
		if got := s.Stats(); got.Stalled != 1 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestTimeoutAnswersNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(ackAll)
		s, l, stop := servePipe(t, Options{Accept: func(Peer) (Conn, error) { return h, nil }})
		defer stop()
		nc, start := shakenPipe(t, l), time.Now()
		defer nc.Close()
		send(t, nc, appendFrame(nil, 1, []byte(pingDoc)))
		<-h.closed
		if got := time.Since(start); got != 30*time.Second {
			t.Errorf("closed after %s", got)
		}
		if got := s.Stats(); got.Stalled != 1 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// A client that goes on sending is alive, though it does not read: it is cut off only when it does neither.
func TestTimeoutSlowSenderThatReadsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, stop := servePipe(t, accepting(ackAll))
		defer stop()
		nc := shakenPipe(t, l)
		defer nc.Close()
		const n = 20
		for range n {
			send(t, nc, appendFrame(nil, 1, []byte(pingDoc)))
			pass(20 * time.Second)
		}
		for range n {
			if _, got := receiveFrame(t, nc); string(got) != ackDoc {
				t.Fatalf("got %q", got)
			}
		}
	})
}

// A handler that does not answer has DrainTimeout when Serve is told to end.
func TestTimeoutDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, stop := servePipe(t, accepting(func(ctx context.Context, s Session) func() []Reply {
			return func() []Reply { <-ctx.Done(); return []Reply{Ack()} }
		}))
		nc := shakenPipe(t, l)
		send(t, nc, appendFrame(nil, 1, []byte(pingDoc)))
		synctest.Wait()
		start := time.Now()
		stop()
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("ended after %s", got)
		}
		if _, err := io.ReadAll(nc); err != nil {
			t.Errorf("got %v, want the end", err)
		}
	})
}

// Ending an idle server takes no time.
func TestTimeoutDrainIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, stop := servePipe(t, accepting(ackAll))
		nc := shakenPipe(t, l)
		half := shakenPipe(t, l)
		mute := l.dial()
		send(t, half, appendFrame(nil, 1, []byte(pingDoc))[:20])
		synctest.Wait()
		start := time.Now()
		stop()
		if got := time.Since(start); got != 0 {
			t.Errorf("ended after %s", got)
		}
		for _, nc := range []net.Conn{nc, half, mute} {
			wantClosed(t, nc)
		}
	})
}

// A listener that runs out of descriptors is asked again, more and more slowly.
func TestServeAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flakyListener{pipeListener: newPipeListener(), failures: 5}
		s := NewServer(accepting(ackAll))
		s.peer = func(net.Conn) (Peer, error) { return Peer{}, nil }
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Serve(ctx, l) }()
		start := time.Now()
		nc := shakenPipe(t, l.pipeListener)
		defer nc.Close()
		if got := time.Since(start); got != 57*time.Millisecond { // 1 + 3 + 7 + 15 + 31
			t.Errorf("accepted after %s", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestServeListenerFails(t *testing.T) {
	broken := errors.New("broken")
	l := &flakyListener{pipeListener: newPipeListener(), failures: 1, err: broken}
	if err := NewServer(accepting(ackAll)).Serve(context.Background(), l); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	select {
	case <-l.done:
	default:
		t.Error("the listener was not closed")
	}
}

// flakyListener fails some times before it accepts.
type flakyListener struct {
	*pipeListener
	failures int
	err      error // default: temporary
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures == 0 {
		return l.pipeListener.Accept()
	}
	l.failures--
	if l.err != nil {
		return nil, l.err
	}
	return nil, temporaryError{}
}

type temporaryError struct{}

func (temporaryError) Error() string   { return "too many open files" }
func (temporaryError) Temporary() bool { return true }
