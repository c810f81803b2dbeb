package bus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The framing. A frame is request_id (u64), payload length (u64), then chunks until the payload is complete, each a length
// (u32, 1..MaxChunk) and so many bytes. All integers are little-endian.
const (
	MaxPayload = 64 << 20 // bytes of payload in a frame
	MaxChunk   = 8192     // bytes of payload in a chunk

	frameHead = 16 // bytes before the first chunk
	chunkHead = 4  // bytes before the content of a chunk

	helloClient = "LREQ" // what a client says first
	helloServer = "LREP" // what the server says first
)

// errFrame is wrapped by every error that means that the peer does not speak the protocol.
var errFrame = errors.New("protocol violation")

// frameReader takes frames off a stream. Before each of them it calls idle(true), and idle(false) once it has begun.
type frameReader struct {
	src   io.Reader
	in    *bufio.Reader // small, or a large one
	small *bufio.Reader
	idle  func(bool)
	hold  func(int64) // counts the bytes of the payload that is arriving; they stay counted
	spare []byte      // memory for the next payload
}

// Enough for many small frames in one read, and for a large part of a large one. Most connections are idle: only while a
// large frame arrives, or more small ones than one read takes, does one have a large buffer.
const (
	readBuffer      = 4 << 10
	largeReadBuffer = 64 << 10
)

// largeReaders are the *bufio.Reader of connections that have none now.
var largeReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, largeReadBuffer) }}

func newFrameReader(in io.Reader, idle func(bool)) *frameReader {
	small := bufio.NewReaderSize(in, readBuffer)
	return &frameReader{src: in, in: small, small: small, idle: idle, hold: func(int64) {}}
}

// enlarge takes a large buffer, until shrink.
func (r *frameReader) enlarge() {
	if r.in.Size() >= largeReadBuffer {
		return
	}
	begun, _ := r.in.Peek(r.in.Buffered())
	large := largeReaders.Get().(*bufio.Reader)
	large.Reset(&splice{begun, r.src})
	r.in = large
}

// shrink gives the large buffer back, once nothing is left in it.
func (r *frameReader) shrink() {
	if r.in.Size() < largeReadBuffer || r.in.Buffered() > 0 {
		return
	}
	r.in.Reset(nil)
	largeReaders.Put(r.in)
	r.small.Reset(r.src)
	r.in = r.small
}

// splice reads what was read before, then the source.
type splice struct {
	begun []byte
	src   io.Reader
}

func (s *splice) Read(p []byte) (int, error) {
	if len(s.begun) == 0 {
		return s.src.Read(p)
	}
	n := copy(p, s.begun)
	s.begun = s.begun[n:]
	return n, nil
}

// hello reads the four bytes that open a connection.
func (r *frameReader) hello(want string) error {
	got, err := r.in.Peek(len(want))
	if err != nil && (len(got) == 0 || string(got) == want[:len(got)]) {
		return fmt.Errorf("reading the handshake: %w", err)
	}
	if string(got) != want {
		return fmt.Errorf("reading the handshake: %w: got % x, want %s", errFrame, got, want)
	}
	r.skip(len(want))
	return nil
}

// next reads one frame. The payload is the caller's. io.EOF means that the stream ended between two frames.
func (r *frameReader) next() (id uint64, payload []byte, err error) {
	r.shrink()
	r.idle(true)
	_, err = r.in.Peek(1)
	r.idle(false)
	if err != nil {
		return 0, nil, err
	}
	if r.in.Buffered() == readBuffer { // as much as there was room for: more is there
		r.enlarge()
	}
	head, err := r.in.Peek(frameHead)
	if err != nil {
		return 0, nil, fmt.Errorf("reading a frame: %w", noEOF(err))
	}
	id, size := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
	if size > MaxPayload {
		return id, nil, fmt.Errorf("reading frame %d: %w: a payload of %d bytes, at most %d", id, errFrame, size, MaxPayload)
	}
	r.skip(frameHead)
	if payload, err = r.payload(int(size)); err != nil {
		return id, nil, fmt.Errorf("reading frame %d: %w", id, noEOF(err))
	}
	return id, payload, nil
}

// arrived reports that the next frame is here as a whole, as far as that can be told of its head: next doesn't block then, and
// finds nothing wrong.
func (r *frameReader) arrived() bool {
	if r.in.Buffered() < frameHead+chunkHead {
		return false
	}
	head, err := r.in.Peek(frameHead + chunkHead)
	if err != nil {
		return false
	}
	size, chunk := binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint32(head[frameHead:])
	return size > 0 && size == uint64(chunk) && size <= MaxChunk && r.in.Buffered() >= frameHead+chunkHead+int(size)
}

// skip drops what was peeked at, which can't fail.
func (r *frameReader) skip(n int) { _, _ = r.in.Discard(n) }

// payload reads chunks until there are size bytes. The buffer grows as they arrive: at no time is it larger than twice
// what has arrived, or one chunk.
func (r *frameReader) payload(size int) ([]byte, error) {
	buf := r.spare[:0]
	if r.spare = nil; cap(buf) < size {
		buf = make([]byte, 0, min(size, MaxChunk))
	}
	r.hold(int64(cap(buf)))
	if size > readBuffer {
		r.enlarge()
	}
	for len(buf) < size {
		n, err := r.chunkSize(size - len(buf))
		if err == nil {
			buf, err = r.chunk(buf, n, size)
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// chunkSize reads the head of a chunk, with so many bytes to come.
func (r *frameReader) chunkSize(left int) (int, error) {
	head, err := r.in.Peek(chunkHead)
	if err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n == 0 || n > MaxChunk || int(n) > left {
		return 0, fmt.Errorf("%w: a chunk of %d bytes with %d to come, at most %d", errFrame, n, left, MaxChunk)
	}
	r.skip(chunkHead)
	return int(n), nil
}

func (r *frameReader) chunk(buf []byte, n, size int) ([]byte, error) {
	have := len(buf)
	if have+n > cap(buf) {
		grown := make([]byte, have, min(size, 2*(have+n)))
		r.hold(int64(cap(grown) - cap(buf)))
		copy(grown, buf)
		buf = grown
	}
	buf = buf[:have+n]
	_, err := io.ReadFull(r.in, buf[have:])
	return buf, err
}

// noEOF makes an end within a frame look different from one between two.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameSize is the number of bytes a frame takes on the wire.
func frameSize(payload int) int {
	return frameHead + payload + chunkHead*((payload+MaxChunk-1)/MaxChunk)
}

// appendFrame appends a frame with full chunks.
func appendFrame(dst []byte, id uint64, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, id)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(payload)))
	for len(payload) > 0 {
		n := min(len(payload), MaxChunk)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
		dst = append(dst, payload[:n]...)
		payload = payload[n:]
	}
	return dst
}
