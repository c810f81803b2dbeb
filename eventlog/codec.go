package eventlog

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// codec says how stored bytes are compressed.
type codec uint8

const (
	codecNone   codec = 0
	codecZstd   codec = 1 // one zstd frame (RFC 8878) with its content size: blobs, and the frames of older logs
	codecSnappy codec = 2 // one Snappy block: frames
)

// maxRaw is the largest payload of a frame before compression: one record of the largest size.
const maxRaw = MaxRecord + recordOverhead

// zstdWindow bounds what a reader needs to keep, and what writers reset per frame.
const zstdWindow = 1 << 20

func newCompressor() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false),   // the frame has its own
		zstd.WithSingleSegment(true), // which makes it write the content size, however small
		zstd.WithWindowSize(zstdWindow))
	if err != nil {
		panic("eventlog: zstd options: " + err.Error())
	}
	return enc
}

// decompressor is safe for concurrent use by DecodeAll and runs no goroutine. It has channels, which all may use only if it isn't made
// where it is first needed: that may be in a test's bubble of time.
var decompressor = newDecompressor()

func newDecompressor() *zstd.Decoder {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxRaw))
	if err != nil {
		panic("eventlog: zstd options: " + err.Error())
	}
	return dec
}

// snap appends raw to dst as a Snappy block.
func snap(dst, raw []byte) []byte {
	n, most := len(dst), s2.MaxEncodedLen(len(raw))
	dst = slices.Grow(dst, most)
	return dst[:n+len(s2.EncodeSnappy(dst[n:n+most], raw))]
}

// pays tells whether a compressed form is small enough to be worth unpacking on every read.
func pays(stored, raw int) bool { return stored < raw-raw/8 }

// decompress returns stored as it was before compression, in memory of its own. raw is its known size.
func (c codec) decompress(stored []byte, raw int) ([]byte, error) {
	switch c {
	case codecNone:
		if len(stored) != raw {
			return nil, fmt.Errorf("%d bytes stored, %d expected: %w", len(stored), raw, ErrCorrupt)
		}
		return append([]byte(nil), stored...), nil
	case codecZstd:
		return unzstd(stored, raw)
	case codecSnappy:
		return unsnap(stored, raw)
	}
	return nil, fmt.Errorf("codec %d: %w", c, ErrNewerFormat)
}

func unzstd(stored []byte, raw int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(stored); err != nil {
		return nil, fmt.Errorf("reading zstd header: %w: %w", ErrCorrupt, err)
	}
	// The size is checked before memory is taken for it.
	if !h.HasFCS || h.FrameContentSize != uint64(raw) || raw > maxRaw {
		return nil, fmt.Errorf("zstd frame of another size than %d: %w", raw, ErrCorrupt)
	}
	out, err := decompressor.DecodeAll(stored, make([]byte, 0, raw))
	if err != nil {
		return nil, fmt.Errorf("unpacking zstd: %w: %w", ErrCorrupt, err)
	}
	if len(out) != raw {
		return nil, fmt.Errorf("zstd frame unpacked to %d bytes instead of %d: %w", len(out), raw, ErrCorrupt)
	}
	return out, nil
}

func unsnap(stored []byte, raw int) ([]byte, error) {
	// The size is checked before memory is taken for it.
	if n, err := s2.DecodedLen(stored); err != nil || n != raw || raw > maxRaw {
		return nil, fmt.Errorf("snappy block of another size than %d: %w", raw, ErrCorrupt)
	}
	out, err := s2.Decode(make([]byte, raw), stored)
	if err != nil {
		return nil, fmt.Errorf("unpacking snappy: %w: %w", ErrCorrupt, err)
	}
	return out, nil
}
