package main

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/eventlog"
)

// wire is a connection to the bus without a client's manners.
type wire struct {
	t testing.TB
	net.Conn
}

// dialWireRaw connects, and says nothing.
func dialWireRaw(t testing.TB, p place) wire {
	t.Helper()
	c, err := net.Dial("unix", p.socket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return wire{t, c}
}

// dialWire connects and shakes hands.
func dialWire(t testing.TB, p place) wire {
	t.Helper()
	w := dialWireRaw(t, p)
	w.send([]byte("LREQ"))
	hello := make([]byte, 4)
	if _, err := io.ReadFull(w, hello); err != nil || string(hello) != "LREP" {
		t.Fatalf("handshake: %q %v", hello, err)
	}
	return w
}

func (w wire) send(b []byte) {
	w.t.Helper()
	if _, err := w.Write(b); err != nil {
		w.t.Fatal(err)
	}
}

// frame is a payload as it travels.
func frame(id uint64, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, id)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(payload)))
	for len(payload) > 0 {
		n := min(len(payload), 8192)
		b = append(binary.LittleEndian.AppendUint32(b, uint32(n)), payload[:n]...)
		payload = payload[n:]
	}
	return b
}

// answer reads a frame; io.EOF when the server has closed the connection.
func (w wire) answer() (id uint64, payload []byte, err error) {
	var head [16]byte
	if _, err := io.ReadFull(w, head[:]); err != nil {
		return 0, nil, err
	}
	for left := binary.LittleEndian.Uint64(head[8:]); left > 0; {
		var size [4]byte
		if _, err := io.ReadFull(w, size[:]); err != nil {
			return 0, nil, err
		}
		n := binary.LittleEndian.Uint32(size[:])
		chunk := make([]byte, n)
		if _, err := io.ReadFull(w, chunk); err != nil {
			return 0, nil, err
		}
		payload, left = append(payload, chunk...), left-uint64(n)
	}
	return binary.LittleEndian.Uint64(head[:]), payload, nil
}

// TestAllFirst writes 5,000 sessions of one request before it reads the first answer.
func TestAllFirst(t *testing.T) {
	p := newPlace(t, "n1000")
	end := p.serveHere(t)
	requests := trace(t, "n1000", "trace.jsonl")
	const n = 5000
	w := dialWire(t, p)
	for i := range n {
		w.send(frame(uint64(i), []byte(`{"requests":[`+requests[i%len(requests)].JSON()+`]}`)))
	}
	for i := range n {
		id, payload, err := w.answer()
		if err != nil || id != uint64(i) || string(payload) != `{"responses":["Ack"]}` {
			t.Fatalf("answer %d: id %d, %q, %v", i, id, payload, err)
		}
	}
	end()
	if got := len(p.records(t, 1)); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
}

// TestOneByOne sends a whole network request by request, each after the answer to the one before.
func TestOneByOne(t *testing.T) {
	p := newPlace(t, "n1000")
	end := p.serveHere(t)
	requests := trace(t, "n1000", "trace.jsonl")
	c := connect(t, p, bus.CBOR)
	for i, call := range calls(requests) {
		replies, err := c.Do(t.Context(), call)
		if err != nil || !replies[0].IsAck() {
			t.Fatalf("request %d: %v %v", i+1, replies, err)
		}
	}
	end()
	if got, want := p.tree(t).Seq, eventlog.Seq(len(requests)); got != want {
		t.Errorf("%d records, want %d", got, want)
	}
	if err := recorded("n1000").Check(p.tcFile(t)); err != nil {
		t.Error(err)
	}
}
