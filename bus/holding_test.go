package bus

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// A queue that is never empty takes no more room than what is in it.
func TestQueueThatIsNeverEmpty(t *testing.T) {
	q := newQueue(10, 1<<20)
	for i := range uint64(100_000) {
		if !q.reserve(1) {
			t.Fatal("closed")
		}
		q.put(pending{id: i})
		if i == 0 {
			continue
		}
		if p, ok := q.take(); !ok || p.id != i-1 {
			t.Fatalf("took %d, %t; want %d", p.id, ok, i-1)
		}
		q.done(1)
	}
	if n := cap(q.entries); n > 8*keptEntries {
		t.Errorf("room for %d entries", n)
	}
}

// A connection that has gone quiet keeps no large buffers.
func TestOutboxIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(8<<20, idleBuffer)
		done := make(chan error, 1)
		go func() { done <- o.run(func([]byte) error { return nil }) }()
		for range 3 {
			o.put(1, make([]byte, 900<<10))
			synctest.Wait()
		}
		o.mu.Lock()
		kept := cap(o.buf)
		o.mu.Unlock()
		if kept > 64<<10 {
			t.Errorf("%d bytes are kept", kept)
		}
		o.finish()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Most connections do nothing, and take next to nothing.
func TestIdleConnectionsAreSmall(t *testing.T) {
	s := serve(t, accepting(ackAll))
	const n = 200
	perConn := func(busy bool) int {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			nc := dialRaw(t, s)
			if busy { // once, with a frame that takes the large buffer
				send(t, nc, appendFrame(nil, 1, append([]byte(`{"requests":["Ping"],"x":"`), append(make20k(), `"}`...)...)))
				receive(t, nc, frameSize(len(`{"responses":["Ack"]}`)))
			}
		}
		runtime.GC()
		runtime.GC() // what pools keep goes with the second
		runtime.ReadMemStats(&after)
		return int(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse) / n
	}
	for _, busy := range []bool{false, true} {
		if got := perConn(busy); got > 48<<10 {
			t.Errorf("busy before: %t; %d bytes for a connection", busy, got)
		} else {
			t.Logf("busy before: %t; %d bytes for a connection", busy, got)
		}
	}
}

func make20k() []byte {
	b := make([]byte, 20<<10)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// Over the limit, the connection that holds much for long is closed, and one that sends much at once is served.
func TestMaxMemory(t *testing.T) {
	o := accepting(ackAll)
	o.MaxMemory = 8 << 20
	s := serve(t, o)
	stalled := dialRaw(t, s)
	half := appendFrame(nil, 1, make([]byte, 6<<20))
	send(t, stalled, half[:len(half)-100]) // returns when the server has all but what the socket holds
	c := dial(t, s, JSON)
	big := Call{Name: "Ping", Args: map[string]string{"a": string(make20k())}}
	calls := make([]Call, 350) // 7 MiB
	for i := range calls {
		calls[i] = big
	}
	if replies, err := c.Do(t.Context(), calls...); err != nil || len(replies) != len(calls) {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	if _, err := stalled.Read(make([]byte, 1)); err == nil {
		t.Error("the stalled connection got an answer")
	}
	if n := s.Stats().Stalled; n != 1 {
		t.Errorf("%d connections were closed, want 1", n)
	}
}

// What was held is given back: when it is answered and read, and when the connection ends within a frame.
func TestHeldGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, stop := servePipe(t, accepting(ackAll))
		defer stop()
		nc := l.dial()
		write := func(b []byte) {
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		read := func(n int) {
			if _, err := io.ReadFull(nc, make([]byte, n)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		wantHeld := func(when string, want bool) {
			t.Helper()
			if n := s.held.Load(); n < 0 || n > 0 != want {
				t.Errorf("%s: %d bytes are held", when, n)
			}
		}
		write([]byte(helloClient))
		read(4)
		for range 3 {
			question := appendFrame(nil, 1, document(t, CBOR, Call{Name: "Ping", Args: strings.Repeat("x", 20_000)}))
			write(question[:10_000])
			wantHeld("within a frame", true)
			write(question[10_000:])
			wantHeld("before the answer is read", true)
			read(frameSize(len(marshalAnswer(CBOR, []Reply{Ack()}))))
			wantHeld("after it", false)
		}
		write(appendFrame(nil, 1, make([]byte, 100_000))[:50_000])
		wantHeld("within a frame", true)
		nc.Close()
		synctest.Wait()
		wantHeld("after the end", false)
	})
}

// A Later is asked for when its turn comes, and not at all when there is no room for it.
func TestLater(t *testing.T) {
	const n, size = 200, 1 << 20
	asked := 0
	replies := make([]Reply, n)
	for i := range replies {
		replies[i].Value = Later(func() Reply { asked++; return Reply{Name: "Big", Value: make([]byte, size)} })
	}
	got, err := parseAnswer(marshalAnswer(CBOR, replies))
	if err != nil || len(got) != n {
		t.Fatalf("%d replies, %v", len(got), err)
	}
	if asked > MaxPayload/size+maxMisfits {
		t.Errorf("%d were asked for", asked)
	}
	if got[0].Name != "Big" || got[n-1].Err() == nil {
		t.Errorf("the first is %s, the last %v", got[0].Name, got[n-1])
	}
}

// One user that is neither root nor this process's can't take all connections.
func TestMaxUserConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := accepting(ackAll)
		o.MaxConns = 8
		s, l, stop := servePipe(t, o)
		defer stop()
		user := uint32(70000)
		s.peer = func(net.Conn) (Peer, error) { return Peer{PID: 1, UID: user}, nil }
		var open []net.Conn
		defer func() {
			for _, nc := range open {
				nc.Close()
			}
		}()
		let := func() int64 {
			before := s.Stats().Open
			for range 8 {
				open = append(open, l.dial())
				synctest.Wait()
			}
			return s.Stats().Open - before
		}
		if n := let(); n != 6 {
			t.Errorf("a user got %d of 8 connections", n)
		}
		user = 0
		if n := let(); n != 2 {
			t.Errorf("root got %d of the 2 that are left", n)
		}
	})
}
