package eventlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/zeebo/blake3"
)

// Layout of a frame; integers are big-endian. docs/format.md has the same table for people.
const (
	frameMagic   = "LQEF"
	frameVersion = 1

	offVersion = 4
	offFlags   = 5
	offCodec   = 6
	offZero    = 7
	offFirst   = 8
	offCount   = 16
	offStored  = 20
	offRaw     = 24
	offEpoch   = 28
	offTime    = 32
	offCRC     = 40 // CRC-32C of bytes 0..39 and the payload
	offChain   = 44 // BLAKE3 of the previous chain, bytes 0..43 and the payload
	headerSize = 76
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chain is the running hash over all frames of a log; see chainer.next.
type chain [32]byte

func (c chain) String() string { return hex.EncodeToString(c[:]) }

// MarshalText writes the chain as hex, for meta entries.
func (c chain) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, c[:]), nil }

// UnmarshalText reads 64 hex digits.
func (c *chain) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(c)) {
		return fmt.Errorf("chain of %d digits", len(b))
	}
	_, err := hex.Decode(c[:], b)
	return err
}

// chainer computes chains; it only exists to use one hasher again and again.
type chainer struct{ h *blake3.Hasher }

func newChainer() chainer { return chainer{blake3.New()} }

// next is the chain of the encoded frame that follows a frame with chain prev.
func (c chainer) next(prev chain, encoded []byte) (out chain) {
	c.h.Reset()
	_, _ = c.h.Write(prev[:])
	_, _ = c.h.Write(encoded[:offChain])
	_, _ = c.h.Write(encoded[headerSize:])
	c.h.Sum(out[:0])
	return out
}

// header is what a frame says about its payload.
type header struct {
	codec  codec
	first  Seq
	count  uint32
	stored uint32 // bytes of payload on disk
	raw    uint32 // bytes of payload unpacked
	epoch  uint32
	time   int64 // nanoseconds since 1970 UTC
	chain  chain
}

func (h header) last() Seq { return h.first + Seq(h.count) - 1 }

// seal writes h in front of the payload that already stands in b[headerSize:], with CRC and chain, and returns the chain.
func (h header) seal(b []byte, prev chain, c chainer) chain {
	copy(b, frameMagic)
	b[offVersion], b[offFlags], b[offCodec], b[offZero] = frameVersion, 0, byte(h.codec), 0
	binary.BigEndian.PutUint64(b[offFirst:], uint64(h.first))
	binary.BigEndian.PutUint32(b[offCount:], h.count)
	binary.BigEndian.PutUint32(b[offStored:], h.stored)
	binary.BigEndian.PutUint32(b[offRaw:], h.raw)
	binary.BigEndian.PutUint32(b[offEpoch:], h.epoch)
	binary.BigEndian.PutUint64(b[offTime:], uint64(h.time))
	binary.BigEndian.PutUint32(b[offCRC:], frameCRC(b))
	next := c.next(prev, b)
	copy(b[offChain:], next[:])
	return next
}

func frameCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:offCRC], castagnoli), castagnoli, b[headerSize:])
}

// parseHeader checks everything about an encoded frame but its chain, which needs the frame before, and its records.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("frame of %d bytes, shorter than its header: %w", len(b), ErrCorrupt)
	}
	if string(b[:len(frameMagic)]) != frameMagic {
		return header{}, fmt.Errorf("frame without magic: %w", ErrCorrupt)
	}
	h := header{
		codec:  codec(b[offCodec]),
		first:  Seq(binary.BigEndian.Uint64(b[offFirst:])),
		count:  binary.BigEndian.Uint32(b[offCount:]),
		stored: binary.BigEndian.Uint32(b[offStored:]),
		raw:    binary.BigEndian.Uint32(b[offRaw:]),
		epoch:  binary.BigEndian.Uint32(b[offEpoch:]),
		time:   int64(binary.BigEndian.Uint64(b[offTime:])),
		chain:  chain(b[offChain:headerSize]),
	}
	if want, got := binary.BigEndian.Uint32(b[offCRC:]), frameCRC(b); got != want {
		return header{}, fmt.Errorf("frame at seq %d: CRC is %08x, bytes give %08x: %w", h.first, want, got, ErrCorrupt)
	}
	// From here on the bytes are as written: what is not understood is newer, not damaged.
	if b[offVersion] != frameVersion || b[offFlags] != 0 || b[offZero] != 0 {
		return header{}, fmt.Errorf("frame at seq %d: version %d, flags %02x: %w", h.first, b[offVersion], b[offFlags], ErrNewerFormat)
	}
	if int(h.stored) != len(b)-headerSize || h.raw > maxRaw || h.count == 0 || h.first == 0 || h.last() < h.first {
		return header{}, fmt.Errorf("frame at seq %d: %d records, %d bytes, %d on disk, %d found: %w",
			h.first, h.count, h.raw, h.stored, len(b)-headerSize, ErrCorrupt)
	}
	return h, nil
}

// frame is a checked frame. Frames are never changed once made, so readers share them.
type frame struct {
	header
	payload []byte
	packed  []byte // in place of payload: as it is stored
}

// memory is what f takes, in bytes.
func (f *frame) memory() int { return len(f.payload) + len(f.packed) }

// unpacked is the payload.
func (f *frame) unpacked() ([]byte, error) {
	if f.packed == nil {
		return f.payload, nil
	}
	raw, err := f.codec.decompress(f.packed, int(f.raw))
	if err != nil {
		return nil, fmt.Errorf("frame at seq %d: %w", f.first, err)
	}
	return raw, nil
}

// decodeFrame checks and unpacks b; the result shares no memory with it.
func decodeFrame(b []byte) (*frame, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	f := &frame{header: h, packed: b[headerSize:]}
	raw, err := f.unpacked()
	if err != nil {
		return nil, err
	}
	return &frame{header: h, payload: raw}, nil
}

// each calls fn with the records of f from seq from on, until fn returns false. more is false if fn ended it.
func (f *frame) each(from Seq, fn func(Record) bool) (more bool, err error) {
	when := time.Unix(0, f.time)
	rest, err := f.unpacked()
	if err != nil {
		return false, err
	}
	for seq := f.first; seq <= f.last(); seq++ {
		var r rawRecord
		if r, rest, err = cutRecord(rest); err != nil {
			return false, fmt.Errorf("frame at seq %d: seq %d: %w", f.first, seq, err)
		}
		if seq < from {
			continue
		}
		if !fn(Record{Seq: seq, Time: when, Epoch: f.epoch, TxEnd: r.end, Key: r.key, Data: r.data}) {
			return false, nil
		}
	}
	if len(rest) != 0 {
		return false, fmt.Errorf("frame at seq %d: %d bytes after the last record: %w", f.first, len(rest), ErrCorrupt)
	}
	return true, nil
}
