package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	pingDoc = "\xa1\x68requests\x81\x64Ping"
	ackDoc  = "\xa1\x69responses\x81\x63Ack"
)

func TestServerVectors(t *testing.T) {
	s := serve(t, accepting(ackAll))
	nc := connect(t, s)
	send(t, nc, unhex("4c524551 0000000000000000 1000000000000000 10000000 a1687265717565737473816450696e67"))
	want := unhex("4c524550 0000000000000000 1000000000000000 10000000 a169726573706f6e736573816341636b")
	if got := receive(t, nc, len(want)); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestServerAnswersInTheCodecOfTheQuestion(t *testing.T) {
	nc := dialRaw(t, serve(t, accepting(ackAll)))
	if got := ask(t, nc, `{"requests":["Ping",7]}`); got != `{"responses":["Ack",{"Fail":"malformed request: want text or a map of one entry"}]}` {
		t.Errorf("json: %s", got)
	}
	if got := ask(t, nc, pingDoc); got != ackDoc {
		t.Errorf("cbor: %q", got)
	}
	if got := ask(t, nc, `{"requests":[]}`); got != `{"responses":[]}` {
		t.Errorf("no requests: %s", got)
	}
}

// Documents that don't decode are answered, and the connection goes on.
func TestServerAnswersBadDocuments(t *testing.T) {
	s := serve(t, accepting(ackAll))
	nc := dialRaw(t, s)
	for _, tt := range badDocuments {
		answer := ask(t, nc, tt.payload)
		if strings.HasPrefix(answer, "{") != strings.HasPrefix(tt.payload, "{") {
			t.Errorf("%s: answered in the other codec: %q", tt.name, answer)
		}
		replies, err := parseAnswer([]byte(answer))
		if err != nil || len(replies) != 1 || replies[0].Err() == nil || !strings.Contains(replies[0].Err().Error(), tt.want) {
			t.Errorf("%s: got %q, want one Fail with %q", tt.name, answer, tt.want)
		}
	}
	if got := ask(t, nc, pingDoc); got != ackDoc {
		t.Errorf("afterwards: %q", got)
	}
	if got := s.Stats(); got.BadDocuments != int64(len(badDocuments)) || got.Sessions != 1 || got.Open != 1 {
		t.Errorf("stats: %+v", got)
	}
}

func TestServerClosesOnViolations(t *testing.T) {
	const hello, head = "4c524551", "0000000000000000 1000000000000000"
	for name, wire := range map[string]string{
		"wrong magic":              "4c524550",
		"wrong first byte":         "47455420 2f20",
		"64 MiB + 1":               hello + "0000000000000000 0100000400000000",
		"chunk of 0":               hello + head + "00000000",
		"chunk of 8193":            hello + "0000000000000000 0000010000000000 01200000",
		"chunk over what remains":  hello + head + "11000000",
		"truncated in the head":    hello + "0000000000",
		"truncated in the chunk":   hello + head + "10000000 a168",
		"truncated between chunks": hello + head + "01000000 a1",
	} {
		s := serve(t, accepting(ackAll))
		nc := connect(t, s)
		send(t, nc, unhex(wire))
		if strings.HasPrefix(wire, hello) {
			receive(t, nc, 4)
		}
		if strings.HasPrefix(name, "truncated") {
			closeWrite(t, nc)
		}
		wantClosed(t, nc)
		s.stop()
		if got := s.Stats(); got.BadFrames != 1 || got.Open != 0 {
			t.Errorf("%s: stats: %+v", name, got)
		}
	}
}

// What was asked before a violation is answered before the connection ends.
func TestServerAnswersWhatCameBeforeAViolation(t *testing.T) {
	nc := dialRaw(t, serve(t, accepting(ackAll)))
	send(t, nc, append(appendFrame(nil, 5, []byte(pingDoc)), unhex("0600000000000000 ffffffffffffffff")...))
	if id, got := receiveFrame(t, nc); id != 5 || string(got) != ackDoc {
		t.Errorf("got %d %q", id, got)
	}
	wantClosed(t, nc)
}

func TestServerRefuses(t *testing.T) {
	var out syncBuffer
	s := serve(t, Options{
		Accept: func(p Peer) (Conn, error) { return nil, fmt.Errorf("uid %d may not", p.UID) },
		Log:    slog.New(slog.NewTextHandler(&out, nil)),
	})
	if _, err := Dial(context.Background(), s.path, DialOptions{}); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "not authorised") {
		t.Errorf("got %v", err)
	}
	s.stop()
	if got := s.Stats(); got.Refused != 1 || got.Accepted != 1 || got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
	if !strings.Contains(out.String(), "may not") {
		t.Errorf("log: %s", out.String())
	}
}

func TestServerWithoutAcceptRefuses(t *testing.T) {
	s := serve(t, Options{})
	if _, err := Dial(context.Background(), s.path, DialOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestServerMaxConns(t *testing.T) {
	o := accepting(ackAll)
	o.MaxConns = 2
	s := serve(t, o)
	first := dial(t, s, CBOR)
	dial(t, s, CBOR)
	if _, err := Dial(context.Background(), s.path, DialOptions{}); !errors.Is(err, ErrClosed) || !strings.Contains(err.Error(), "too many connections") {
		t.Errorf("third: %v", err)
	}
	if replies, err := first.Do(context.Background(), Call{Name: "Ping"}); err != nil || !replies[0].IsAck() {
		t.Errorf("first: %v, %v", replies, err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Whatever the handler does wrong ends its connection, and only that.
func TestServerPanics(t *testing.T) {
	answerWith := func(replies []Reply) func() []Reply { return func() []Reply { return replies } }
	for name, submit := range map[string]func(context.Context, Session) func() []Reply{
		"in Submit":        func(context.Context, Session) func() []Reply { panic("boom") },
		"in wait":          func(context.Context, Session) func() []Reply { return func() []Reply { panic("boom") } },
		"no wait":          func(context.Context, Session) func() []Reply { return nil },
		"too few replies":  func(context.Context, Session) func() []Reply { return answerWith(nil) },
		"too many replies": func(context.Context, Session) func() []Reply { return answerWith(make([]Reply, 2)) },
	} {
		var out syncBuffer
		var handlers []*handler
		var mu sync.Mutex
		s := serve(t, Options{Log: slog.New(slog.NewTextHandler(&out, nil)), Accept: func(Peer) (Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			handlers = append(handlers, newHandler(func(ctx context.Context, s Session) func() []Reply {
				if s.Requests[0].Name == "Bad" {
					return submit(ctx, s)
				}
				return ackAll(ctx, s)
			}))
			return handlers[len(handlers)-1], nil
		}})
		other, bad := dial(t, s, CBOR), dial(t, s, CBOR)
		if _, err := bad.Do(context.Background(), Call{Name: "Bad"}); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
		if replies, err := other.Do(context.Background(), Call{Name: "Ping"}); err != nil || !replies[0].IsAck() {
			t.Errorf("%s: the other connection: %v, %v", name, replies, err)
		}
		<-handlers[1].closed
		if got := s.Stats(); got.Panics != 1 {
			t.Errorf("%s: stats: %+v", name, got)
		}
		if !strings.Contains(out.String(), "stack=") {
			t.Errorf("%s: log: %s", name, out.String())
		}
	}
}

func TestServerPanicInAcceptRefuses(t *testing.T) {
	s := serve(t, Options{Accept: func(Peer) (Conn, error) { panic("boom") }})
	if _, err := Dial(context.Background(), s.path, DialOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A client may send thousands of frames before it reads anything.
func TestServerClientReadsLast(t *testing.T) {
	for _, n := range []int{700, 5000, 100_000} {
		nc := dialRaw(t, serve(t, accepting(ackAll)))
		one := appendFrame(nil, 3, []byte(pingDoc))
		for range n {
			send(t, nc, one)
		}
		closeWrite(t, nc)
		got, err := io.ReadAll(nc)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat(appendFrame(nil, 3, []byte(ackDoc)), n)
		if !bytes.Equal(got, want) {
			t.Errorf("%d sessions: %d bytes of answers, want %d", n, len(got), len(want))
		}
	}
}

// A client that never reads is slowed down at its own socket, costs a bounded amount, and disturbs nobody.
func TestServerClientNeverReads(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	var answered atomic.Int64
	o := accepting(replyAll(func(r Request) Reply {
		if r.Name == "Big" {
			answered.Add(1)
			return Reply{Name: "Big", Value: big}
		}
		return Ack()
	}))
	o.MaxAnswerBytes, o.MaxInflight = 1<<20, 64
	s := serve(t, o)
	nc := dialRaw(t, s)
	frame := appendFrame(nil, 1, document(t, CBOR, Call{Name: "Big"}))
	wrote := make(chan struct{})
	go func() { // until the server stops reading, for which there is no sign but writes that take long, and that it has much to answer
		defer close(wrote)
		rest := frame
		for waited := 0; waited < 1000; {
			_ = nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := nc.Write(rest)
			switch rest = rest[n:]; {
			case err == nil:
				rest = frame
			case n > 0:
			case answered.Load() >= 11:
				return
			default: // the machine has no time for the server
				waited++
			}
		}
	}()
	other := dial(t, s, CBOR)
	for {
		replies, err := other.Do(context.Background(), Call{Name: "Ping"})
		if err != nil || !replies[0].IsAck() {
			t.Fatalf("the other client: %v, %v", replies, err)
		}
		select {
		case <-wrote:
			// 11 answers fill the buffer, 1 waits for room, and 2 are in the socket.
			if got := answered.Load(); got < 11 || got > 16 {
				t.Errorf("%d answers were made", got)
			}
			if got := s.Stats(); got.Sessions-got.Answered > 64+1 { // and the Ping
				t.Errorf("%d sessions in flight", got.Sessions-got.Answered)
			}
			return
		default:
		}
	}
}

// The bytes of sessions in flight are bounded; one that is larger than the bound passes alone.
func TestServerInflightBytes(t *testing.T) {
	release := make(chan struct{})
	var now, most atomic.Int64
	o := accepting(func(_ context.Context, s Session) func() []Reply {
		most.Store(max(most.Load(), now.Add(1)))
		return func() []Reply {
			<-release
			now.Add(-1)
			return []Reply{Ack()}
		}
	})
	o.MaxInflightBytes = 100_000
	s := serve(t, o)
	c := dial(t, s, CBOR)
	var futures []*Future
	for range 20 {
		futures = append(futures, c.Go(Call{"X", strings.Repeat("x", 30_000)}))
	}
	futures = append(futures, c.Go(Call{"X", strings.Repeat("x", 1<<20)}))
	close(release)
	for i, f := range futures {
		if replies, err := f.Wait(context.Background()); err != nil || !replies[0].IsAck() {
			t.Fatalf("%d: %v, %v", i, replies, err)
		}
	}
	if got := most.Load(); got > 4 { // 3 fit; the waiting one lowers the count just before its room is given back
		t.Errorf("%d sessions in flight at a time", got)
	}
}

// An answer that is ready goes out while a later one is still waited for.
func TestServerAnswersEarlyWhileOthersWait(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, accepting(func(_ context.Context, s Session) func() []Reply {
		return func() []Reply {
			if s.Requests[0].Name == "Slow" {
				<-release
			}
			return []Reply{{Name: s.Requests[0].Name}}
		}
	}))
	c := dial(t, s, CBOR)
	quick, slow, last := c.Go(Call{Name: "Quick"}), c.Go(Call{Name: "Slow"}), c.Go(Call{Name: "Last"})
	if replies, err := quick.Wait(context.Background()); err != nil || replies[0].Name != "Quick" {
		t.Fatalf("%v, %v", replies, err)
	}
	select {
	case <-last.Done():
		t.Error("answered out of order")
	default:
	}
	close(release)
	for want, f := range map[string]*Future{"Slow": slow, "Last": last} {
		if replies, err := f.Wait(context.Background()); err != nil || replies[0].Name != want {
			t.Errorf("%v, %v", replies, err)
		}
	}
}

// What a client sent before it vanished is submitted, answers or not, and Close comes last.
func TestServerSubmitsWhatVanishedClientsSent(t *testing.T) {
	const n = 2000
	var got atomic.Int64
	h := newHandler(nil)
	h.submit = func(_ context.Context, s Session) func() []Reply {
		got.Add(1)
		return func() []Reply { return []Reply{Ack()} }
	}
	s := serve(t, Options{Accept: func(Peer) (Conn, error) { return h, nil }})
	nc := dialRaw(t, s)
	send(t, nc, bytes.Repeat(appendFrame(nil, 1, []byte(pingDoc)), n))
	nc.Close()
	<-h.closed
	if got.Load() != n {
		t.Errorf("%d of %d sessions were submitted", got.Load(), n)
	}
}

// A wait that nobody waits for any more is told so.
func TestServerTellsHandlersThatTheClientIsGone(t *testing.T) {
	h := newHandler(func(ctx context.Context, s Session) func() []Reply {
		return func() []Reply { <-ctx.Done(); return []Reply{Ack()} }
	})
	s := serve(t, Options{Accept: func(Peer) (Conn, error) { return h, nil }})
	nc := dialRaw(t, s)
	send(t, nc, appendFrame(nil, 1, []byte(pingDoc)))
	nc.Close()
	<-h.closed
}

// A client that only ended its own direction still gets its answers.
func TestServerHalfClosed(t *testing.T) {
	nc := dialRaw(t, serve(t, accepting(ackAll)))
	send(t, nc, appendFrame(nil, 9, []byte(pingDoc)))
	closeWrite(t, nc)
	if id, got := receiveFrame(t, nc); id != 9 || string(got) != ackDoc {
		t.Errorf("got %d %q", id, got)
	}
	wantClosed(t, nc)
}

// When Serve is told to end, what was submitted is answered first.
func TestServeEndsWithTheAnswers(t *testing.T) {
	submitted, release := make(chan struct{}), make(chan struct{})
	s := serve(t, accepting(func(ctx context.Context, s Session) func() []Reply {
		close(submitted)
		return func() []Reply { <-release; return []Reply{Ack()} }
	}))
	c := dial(t, s, CBOR)
	f := c.Go(Call{Name: "Ping"})
	<-submitted
	stopped := make(chan struct{})
	go func() { s.stop(); close(stopped) }()
	for { // until it stopped accepting
		nc, err := net.Dial("unix", s.path)
		if err != nil {
			break
		}
		nc.Close()
	}
	close(release)
	if replies, err := f.Wait(context.Background()); err != nil || !replies[0].IsAck() {
		t.Errorf("%v, %v", replies, err)
	}
	<-stopped
	if _, err := os.Stat(s.path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := c.Do(context.Background(), Call{Name: "Ping"}); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

// Submit gets sessions in order of arrival, on one goroutine, and may block.
func TestServerOrder(t *testing.T) {
	var last atomic.Int64
	s := serve(t, accepting(func(_ context.Context, s Session) func() []Reply {
		var n int64
		if err := s.Requests[0].Decode(&n); err != nil || !last.CompareAndSwap(n-1, n) {
			panic(fmt.Sprint("out of order: ", n, err))
		}
		return func() []Reply { return []Reply{{Name: "N", Value: n}} }
	}))
	for _, codec := range []Codec{CBOR, JSON} {
		last.Store(0)
		c := dial(t, s, codec)
		var futures []*Future
		for n := 1; n <= 10_000; n++ {
			futures = append(futures, c.Go(Call{"N", n}))
		}
		for i, f := range futures {
			replies, err := f.Wait(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var n int
			if err := replies[0].Decode(&n); err != nil || n != i+1 {
				t.Fatalf("answer %d is %d, %v", i+1, n, err)
			}
		}
		c.Close()
	}
}

// Byte strings of some MiB arrive whole, in both codecs.
func TestServerLargeByteStrings(t *testing.T) {
	type chunk struct {
		Offset int64  `json:"offset"`
		Data   []byte `json:"data"`
	}
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	s := serve(t, accepting(replyAll(func(Request) Reply { return Reply{Name: "Chunk", Value: chunk{7, data}} })))
	for _, codec := range []Codec{CBOR, JSON} {
		c := dial(t, s, codec)
		for range 5 {
			replies, err := c.Do(context.Background(), Call{Name: "Copy"})
			if err != nil {
				t.Fatal(err)
			}
			var got chunk
			if err := replies[0].Decode(&got); err != nil || got.Offset != 7 || !bytes.Equal(got.Data, data) {
				t.Fatalf("%s: %d bytes at %d, %v", codec, len(got.Data), got.Offset, err)
			}
		}
	}
}

func TestServerLargeSession(t *testing.T) {
	var got atomic.Int64
	s := serve(t, accepting(replyAll(func(r Request) Reply {
		var v struct {
			Hash int64 `json:"hash"`
		}
		if err := r.Decode(&v); err != nil {
			return Fail(err.Error())
		}
		got.Add(v.Hash)
		return Ack()
	})))
	calls := make([]Call, 60_000)
	for i := range calls {
		calls[i] = Call{"Add", json.RawMessage(fmt.Sprintf(`{"hash":%d,"name":"subscriber %d"}`, i, i))}
	}
	for _, codec := range []Codec{CBOR, JSON} {
		got.Store(0)
		replies, err := dial(t, s, codec).Do(context.Background(), calls...)
		if err != nil || len(replies) != len(calls) {
			t.Fatalf("%d replies, %v", len(replies), err)
		}
		for _, r := range replies {
			if !r.IsAck() {
				t.Fatal(r.Err())
			}
		}
		if want := int64(len(calls)) * int64(len(calls)-1) / 2; got.Load() != want {
			t.Errorf("%s: sum %d, want %d", codec, got.Load(), want)
		}
	}
}
