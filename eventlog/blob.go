package eventlog

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"
)

// blobChunk is how much of a blob goes into one value, in bytes before compression.
const blobChunk = 256 << 10

// A blob is a long value in the bucket "snap": an entry NAME with its size and hash, and chunks NAME:00000000,
// NAME:00000001, …, each one byte of codec and up to blobChunk bytes, compressed or not.
type blob struct {
	At     Seq    `json:"at"` // the seq through which it holds
	Bytes  int64  `json:"bytes"`
	Chunks int    `json:"chunks"`
	BLAKE3 string `json:"blake3"` // of the bytes before compression
}

const (
	blobSnapshot = "snapshot" // what Snapshot.Write wrote
	blobKeys     = "keys"     // the idempotency keys known through At
)

func chunkKey(name string, i int) []byte { return fmt.Appendf(nil, "%s:%08x", name, i) }

// blobWriter is an io.Writer that stores what it is given; finish must be called.
type blobWriter struct {
	bucket *bolt.Bucket
	name   string
	zstd   *zstd.Encoder
	hash   *blake3.Hasher
	head   blob
	buf    []byte
}

func newBlobWriter(b *bolt.Bucket, name string, at Seq, enc *zstd.Encoder) *blobWriter {
	b.FillPercent = 1
	return &blobWriter{bucket: b, name: name, zstd: enc, hash: blake3.New(), head: blob{At: at}}
}

func (w *blobWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.buf == nil {
			w.buf = make([]byte, 0, blobChunk)
		}
		k := min(len(p), blobChunk-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		if len(w.buf) == blobChunk {
			if err := w.flush(); err != nil {
				return n - len(p), err
			}
		}
	}
	return n, nil
}

func (w *blobWriter) flush() error {
	_, _ = w.hash.Write(w.buf)
	value := w.zstd.EncodeAll(w.buf, []byte{byte(codecZstd)})
	if !pays(len(value)-1, len(w.buf)) {
		value = append([]byte{byte(codecNone)}, w.buf...)
	}
	if err := w.bucket.Put(chunkKey(w.name, w.head.Chunks), value); err != nil {
		return fmt.Errorf("storing chunk %d of %s: %w", w.head.Chunks, w.name, err)
	}
	w.head.Chunks++
	w.head.Bytes += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

func (w *blobWriter) finish() error {
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.head.BLAKE3 = hex.EncodeToString(w.hash.Sum(nil))
	return putJSON(w.bucket, w.name, w.head)
}

var _ io.Writer = (*blobWriter)(nil)

// readBlob returns the blob of that name, nil if there is none. Every byte is checked against the hash.
func readBlob(b getter, name string) (data []byte, at Seq, err error) {
	var head blob
	if ok, err := getJSON(b, name, &head); err != nil || !ok {
		return nil, 0, err
	}
	data = []byte{}
	for i := range head.Chunks {
		if data, err = appendChunk(data, b.Get(chunkKey(name, i)), head.Bytes); err != nil {
			return nil, 0, fmt.Errorf("chunk %d of %s: %w", i, name, err)
		}
	}
	sum := blake3.Sum256(data)
	if int64(len(data)) != head.Bytes || hex.EncodeToString(sum[:]) != head.BLAKE3 {
		return nil, 0, fmt.Errorf("%s at seq %d: hash does not match: %w", name, head.At, ErrCorrupt)
	}
	return data, head.At, nil
}

func appendChunk(data, value []byte, total int64) ([]byte, error) {
	if len(value) == 0 {
		return nil, fmt.Errorf("missing: %w", ErrCorrupt)
	}
	raw := min(blobChunk, total-int64(len(data)))
	if raw <= 0 {
		return nil, fmt.Errorf("more than the %d bytes expected: %w", total, ErrCorrupt)
	}
	chunk, err := codec(value[0]).decompress(value[1:], int(raw))
	if err != nil {
		return nil, err
	}
	return append(data, chunk...), nil
}
