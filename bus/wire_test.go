package bus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
)

func send(t testing.TB, nc net.Conn, b []byte) {
	t.Helper()
	if _, err := nc.Write(b); err != nil {
		t.Fatalf("writing %d bytes: %v", len(b), err)
	}
}

func receive(t testing.TB, nc net.Conn, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(nc, b); err != nil {
		t.Fatalf("reading %d bytes: %v", n, err)
	}
	return b
}

// receiveFrame reads one frame.
func receiveFrame(t testing.TB, nc io.Reader) (id uint64, payload []byte) {
	t.Helper()
	// A reader of its own for every frame may not read ahead.
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(nc, head); err != nil {
		t.Fatalf("reading a frame: %v", err)
	}
	size := int(binary.LittleEndian.Uint64(head[8:]))
	rest := make([]byte, frameSize(size)-frameHead)
	if _, err := io.ReadFull(nc, rest); err != nil {
		t.Fatalf("reading a frame of %d bytes: %v", size, err)
	}
	id, payload, err := newFrameReader(bytes.NewReader(append(head, rest...)), func(bool) {}).next()
	if err != nil {
		t.Fatal(err)
	}
	return id, payload
}

// ask sends one document and returns the answer to it.
func ask(t testing.TB, nc net.Conn, payload string) string {
	t.Helper()
	const id = 0xfedcba9876543210
	send(t, nc, appendFrame(nil, id, []byte(payload)))
	got, answer := receiveFrame(t, nc)
	if got != id {
		t.Fatalf("request_id: got %#x, want %#x", got, uint64(id))
	}
	return string(answer)
}

// wantClosed fails unless the server ends the connection without another byte.
func wantClosed(t testing.TB, nc net.Conn) {
	t.Helper()
	got, err := io.ReadAll(nc)
	if len(got) > 0 {
		t.Fatalf("got % x, want the connection closed", got)
	}
	_ = err // EOF, or a reset when something was left unread: both are closed
}

// unhex decodes hex with white space in it.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

// document is the document of some calls.
func document(t testing.TB, codec Codec, calls ...Call) []byte {
	t.Helper()
	b, err := marshalSession(new(bytes.Buffer), codec, "", calls)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// closeWrite ends the client's direction.
func closeWrite(t testing.TB, nc *net.UnixConn) {
	t.Helper()
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}
