package bus

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// echo answers with the name, the body and the key of what was asked.
func echo(_ context.Context, s Session) func() []Reply {
	return func() []Reply {
		replies := make([]Reply, len(s.Requests))
		for i, r := range s.Requests {
			replies[i] = Reply{Name: r.Name, Value: map[string]any{"key": s.Key, "body": r.body}}
		}
		return replies
	}
}

func TestClient(t *testing.T) {
	s := serve(t, accepting(echo))
	for _, codec := range []Codec{CBOR, JSON} {
		c := dial(t, s, codec)
		replies, err := c.DoWithKey(context.Background(), "k", Call{"A", map[string]int64{"n": -1 << 63}}, Call{Name: "B"})
		if err != nil || len(replies) != 2 || replies[1].Name != "B" {
			t.Fatalf("%v, %v", replies, err)
		}
		if text, err := replies[0].JSON(); err != nil || !strings.Contains(string(text), `"n":-9223372036854775808`) || !strings.Contains(string(text), `"key":"k"`) {
			t.Errorf("%s: %s, %v", codec, text, err)
		}
		if replies, err := c.Do(context.Background()); err != nil || len(replies) != 0 {
			t.Errorf("%s: no calls: %v, %v", codec, replies, err)
		}
	}
}

// Many goroutines on one client each get their own answers.
func TestClientConcurrently(t *testing.T) {
	c := dial(t, serve(t, accepting(echo)), CBOR)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 200 {
				replies, err := c.Do(context.Background(), Call{"N", g*1000 + i})
				var got struct {
					Body int `json:"body"`
				}
				if err == nil {
					err = replies[0].Decode(&got)
				}
				if err != nil || got.Body != g*1000+i {
					t.Errorf("asked %d, got %d, %v", g*1000+i, got.Body, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestClientRefusesWhatCannotBeSent(t *testing.T) {
	c := dial(t, serve(t, accepting(ackAll)), CBOR)
	for want, f := range map[string]*Future{
		"its name is empty":       c.Go(Call{}),
		"encoding request A":      c.Go(Call{"A", make(chan int)}),
		"key is not utf-8":        c.GoWithKey(strings.Repeat("k", 129), Call{Name: "A"}),
		"at most 67108864 fit":    c.Go(Call{"A", make([]byte, MaxPayload)}),
		"its name is longer than": c.Go(Call{Name: strings.Repeat("n", 256)}),
	} {
		if _, err := f.Wait(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if replies, err := c.Do(context.Background(), Call{Name: "Ping"}); err != nil || !replies[0].IsAck() {
		t.Errorf("afterwards: %v, %v", replies, err)
	}
}

func TestClientSessionRefused(t *testing.T) {
	o := accepting(ackAll)
	o.MaxRequests = 1
	c := dial(t, serve(t, o), CBOR)
	_, err := c.Do(context.Background(), Call{Name: "A"}, Call{Name: "B"})
	if want := "the server refused the session: 2 requests in one session, at most 1 are taken"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClientContext(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, accepting(func(ctx context.Context, s Session) func() []Reply {
		return func() []Reply { <-release; return []Reply{Ack()} }
	}))
	c := dial(t, s, CBOR)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := c.Go(Call{Name: "Ping"})
	if _, err := f.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(release)
	if replies, err := f.Wait(context.Background()); err != nil || !replies[0].IsAck() {
		t.Errorf("asked again: %v, %v", replies, err)
	}
}

func TestClientClosed(t *testing.T) {
	started := make(chan struct{})
	s := serve(t, accepting(func(ctx context.Context, s Session) func() []Reply {
		close(started)
		return func() []Reply { <-ctx.Done(); return []Reply{Ack()} }
	}))
	c := dial(t, s, CBOR)
	f := c.Go(Call{Name: "Ping"})
	<-started
	c.Close()
	if _, err := f.Wait(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("in flight: %v", err)
	}
	if _, err := c.Do(context.Background(), Call{Name: "Ping"}); !errors.Is(err, ErrClosed) || !errors.Is(c.Err(), ErrClosed) {
		t.Errorf("afterwards: %v, %v", err, c.Err())
	}
	c.Close()
}

func TestDialNobodyThere(t *testing.T) {
	if _, err := Dial(context.Background(), filepath.Join(t.TempDir(), "bus"), DialOptions{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

// mute is a server that accepts and then does as it is told.
func mute(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := Listen(path, ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if nc, err := l.Accept(); err == nil {
			serve(nc)
			nc.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return path
}

func TestDialContext(t *testing.T) {
	gone := make(chan struct{})
	path := mute(t, func(nc net.Conn) { <-gone })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err := Dial(ctx, path, DialOptions{})
	close(gone)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestDialAnotherProtocol(t *testing.T) {
	path := mute(t, func(nc net.Conn) { _, _ = nc.Write([]byte("HTTP/1.1 400")) })
	if _, err := Dial(context.Background(), path, DialOptions{}); !errors.Is(err, errFrame) {
		t.Errorf("got %v", err)
	}
}

// An answer to nothing, or one that is none, does not hang the client.
func TestClientBadServers(t *testing.T) {
	for want, answer := range map[string][]byte{
		"which was not asked":        appendFrame(nil, 77, []byte(ackDoc)),
		"want a map, got an integer": appendFrame(nil, 0, []byte("\x00")),
		"0 replies to 1":             appendFrame(nil, 0, []byte(`{"responses":[]}`)),
		"protocol violation":         unhex("0000000000000000 ffffffffffffffff"),
		"unexpected EOF":             unhex("00000000"),
		"by the server":              {},
	} {
		path := mute(t, func(nc net.Conn) {
			_, _ = io.ReadFull(nc, make([]byte, 4))
			_, _ = nc.Write([]byte(helloServer))
			_, _ = io.ReadFull(nc, make([]byte, frameSize(len(pingDoc))))
			_, _ = nc.Write(answer)
		})
		c, err := Dial(context.Background(), path, DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(context.Background(), Call{Name: "Ping"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
		c.Close()
	}
}

// relay passes the first connection on to a server. It vanishes like a killed process once so many bytes have gone up, or
// down.
func relay(t *testing.T, s *served, up, down int64) string {
	return mute(t, func(nc net.Conn) {
		server, err := net.Dial("unix", s.path)
		if err != nil {
			t.Error(err)
			return
		}
		var wg sync.WaitGroup
		pass := func(dst, src net.Conn, n int64) {
			_, _ = io.CopyN(dst, src, n)
			nc.Close()
			server.Close()
		}
		wg.Go(func() { pass(server, nc, up) })
		wg.Go(func() { pass(nc, server, down) })
		wg.Wait()
	})
}

// Wherever the server vanishes, every session that was sent comes to an end, and so does sending more.
func TestClientServerVanishes(t *testing.T) {
	const sessions, ahead = 200, 64
	s := serve(t, accepting(ackAll))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	rounds := 1000
	if testing.Short() {
		rounds = 100
	}
	frame := int64(frameSize(len(pingDoc)))
	for round := range rounds {
		most := sessions * frame
		path := relay(t, s, 4+rnd.Int64N(most), 4+rnd.Int64N(most))
		c, err := Dial(context.Background(), path, DialOptions{})
		if errors.Is(err, ErrClosed) {
			continue // it vanished during the handshake
		}
		if err != nil {
			t.Fatal(err)
		}
		futures := make(chan *Future, ahead)
		go func() {
			defer close(futures)
			for range sessions {
				futures <- c.Go(Call{Name: "Ping"})
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		lost := false
		for f := range futures {
			_, err := f.Wait(ctx)
			switch {
			case err == nil && lost:
				t.Fatalf("round %d: an answer after the end", round)
			case err != nil && !errors.Is(err, ErrClosed):
				t.Fatalf("round %d: %v", round, err)
			}
			lost = err != nil
		}
		cancel()
		c.Close()
	}
}

// deaf is a connection to a server that has ended its receiving side, and nothing else.
type deaf struct{ net.Conn }

func (deaf) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A server that stopped reading and keeps the connection open does not keep the client waiting.
func TestClientServerStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := newClient(deaf{near}, newFrameReader(near, func(bool) {}), CBOR)
		defer c.Close()
		for range 2 {
			f := c.Go(Call{Name: "Ping"})
			if _, err := f.Wait(context.Background()); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}
