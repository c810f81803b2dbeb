package bus

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
)

func readFrames(in []byte) (payloads [][]byte, err error) {
	r := newFrameReader(bytes.NewReader(in), func(bool) {})
	for {
		_, p, err := r.next()
		if err != nil {
			return payloads, err
		}
		payloads = append(payloads, p)
	}
}

func TestFrameRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var wire []byte
	var want [][]byte
	for _, size := range []int{0, 1, 16, MaxChunk - 1, MaxChunk, MaxChunk + 1, 3 * MaxChunk, 1<<20 + 17} {
		p := make([]byte, size)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		before := len(wire)
		wire = appendFrame(wire, uint64(size), p)
		if got := len(wire) - before; got != frameSize(size) {
			t.Errorf("frameSize(%d) = %d, the frame has %d bytes", size, frameSize(size), got)
		}
		want = append(want, p)
	}
	got, err := readFrames(wire)
	if err != io.EOF {
		t.Fatalf("reading to the end: %v", err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame of %d bytes came back different", len(want[i]))
		}
	}
}

func TestFrameTakesAnyChunkSizes(t *testing.T) {
	wire := unhex("0700000000000000 0600000000000000 01000000 61 02000000 6263 03000000 646566")
	got, err := readFrames(wire)
	if err != io.EOF || len(got) != 1 || string(got[0]) != "abcdef" {
		t.Fatalf("got %q, %v; want one frame abcdef", got, err)
	}
}

func TestFrameRefuses(t *testing.T) {
	const head = "0000000000000000 1000000000000000 "
	tests := []struct{ name, wire, want string }{
		{"64 MiB + 1", "0000000000000000 0100000400000000", "67108865 bytes"},
		{"2^64-1 bytes", "0000000000000000 ffffffffffffffff", "18446744073709551615 bytes"},
		{"chunk of 0", head + "00000000", "chunk of 0 bytes"},
		{"chunk of 8193", "0000000000000000 0000010000000000 01200000", "chunk of 8193 bytes"},
		{"chunk of 2^32-1", head + "ffffffff", "chunk of 4294967295"},
		{"chunk over what remains", head + "11000000", "chunk of 17 bytes with 16 to come"},
		{"second chunk over what remains", head + "01000000 61 10000000", "chunk of 16 bytes with 15 to come"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readFrames(unhex(tt.wire))
			if !errors.Is(err, errFrame) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want a protocol violation with %q", err, tt.want)
			}
		})
	}
}

func TestFrameTruncated(t *testing.T) {
	wire := appendFrame(nil, 1, make([]byte, MaxChunk+10))
	for _, n := range []int{1, 15, 16, 18, 20, 21, frameHead + chunkHead + MaxChunk, len(wire) - 1} {
		if _, err := readFrames(wire[:n]); err == io.EOF || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d of %d bytes: got %v, want an unexpected end", n, len(wire), err)
		}
	}
}

// allocated is how many bytes f allocates, garbage included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFrameMemoryFollowsWhatArrived(t *testing.T) {
	declared := unhex("0000000000000000 0000000400000000") // 64 MiB
	ten := append(declared, unhex("0a000000 30313233343536373839")...)
	if got := allocated(func() { _, _ = readFrames(ten) }); got > 256<<10 {
		t.Errorf("64 MiB declared, 10 bytes sent: %d bytes allocated", got)
	}
	full := appendFrame(nil, 1, make([]byte, 8<<20))
	copy(full[8:], declared[8:])
	if got := allocated(func() { _, _ = readFrames(full) }); got > 5*8<<20 {
		t.Errorf("64 MiB declared, 8 MiB sent: %d bytes allocated", got)
	}
}

func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, wire []byte) {
		payloads, err := readFrames(wire)
		if err == nil {
			t.Fatal("no end")
		}
		// What was read, written again, reads the same.
		var again []byte
		for _, p := range payloads {
			again = appendFrame(again, 1, p)
		}
		got, err := readFrames(again)
		if err != io.EOF || len(got) != len(payloads) {
			t.Fatalf("again: %d frames, %v; want %d", len(got), err, len(payloads))
		}
		for i := range got {
			if !bytes.Equal(got[i], payloads[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
	})
}
