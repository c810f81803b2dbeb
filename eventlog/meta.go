package eventlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets of a segment.
var (
	bucketMeta   = []byte("meta")
	bucketLog    = []byte("log")
	bucketSnap   = []byte("snap")
	bucketCursor = []byte("cursor")
)

// Keys of the bucket "meta"; an epoch's key is keyEpoch and its number in ten digits.
const (
	keyFormat  = "format"
	keySegment = "segment"
	keySeal    = "seal"
	keyEpoch   = "epoch:"
)

// format is the entry "format". A program reads a segment if it knows MinReader.
type format struct {
	Major     int `json:"major"`
	Minor     int `json:"minor"`
	MinReader int `json:"min_reader"`
}

var currentFormat = format{Major: 1, Minor: 2, MinReader: 1}

// segmentMeta is the entry "segment", written once.
type segmentMeta struct {
	LogID   chain     `json:"log_id"` // random, the same in all segments
	First   Seq       `json:"first"`
	Prev    chain     `json:"prev_chain"` // of the last frame before, or genesis of the log
	Mark    uint64    `json:"mark"`       // Snapshot.Mark
	Created time.Time `json:"created"`

	minor int // of the format
}

// sumsFrom is the minor version of the format since which segments have the bucket "sum".
const sumsFrom = 2

// seal is the entry "seal", written when a segment ends. Its totals make stats cheap.
type seal struct {
	tally
	Sealed time.Time `json:"sealed"`
}

// tally is what was counted over the frames of one segment.
type tally struct {
	Last    Seq    `json:"last"` // first-1 when the segment has no record
	Chain   chain  `json:"chain"`
	Records uint64 `json:"records"`
	Frames  uint64 `json:"frames"`
	Raw     int64  `json:"raw_bytes"`    // payload before compression
	Stored  int64  `json:"stored_bytes"` // frames on disk, with headers
	Time    int64  `json:"last_time"`    // of the last frame, nanoseconds since 1970 UTC
	Epoch   uint32 `json:"last_epoch"`
}

func (t *tally) add(h header) {
	t.Last, t.Chain, t.Time, t.Epoch = h.last(), h.chain, h.time, h.epoch
	t.Records += uint64(h.count)
	t.Frames++
	t.Raw += int64(h.raw)
	t.Stored += int64(h.stored) + headerSize
}

// epochMeta is an entry "epoch:N": who wrote the frames of that epoch.
type epochMeta struct {
	Epoch   uint32    `json:"epoch"`
	BootID  string    `json:"boot_id"`
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Bus     string    `json:"bus"`
	Start   time.Time `json:"start"`
}

// checked is how small values are stored outside of frames: CRC-32C of key and value, then the value.
func checked(key string, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, checkedCRC(key, v)), v...)
}

func checkedCRC(key string, v []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, v)
}

// uncheck returns the value in b, sharing memory.
func uncheck(key string, b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != checkedCRC(key, b[4:]) {
		return nil, fmt.Errorf("entry %q: CRC does not match: %w", key, ErrCorrupt)
	}
	return b[4:], nil
}

func putJSON(b *bolt.Bucket, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding entry %q: %w", key, err)
	}
	return b.Put([]byte(key), checked(key, data))
}

// getter is a bucket that is only read.
type getter interface{ Get(key []byte) []byte }

// getJSON fills v and tells whether the entry is there.
func getJSON(b getter, key string, v any) (bool, error) {
	stored := b.Get([]byte(key))
	if stored == nil {
		return false, nil
	}
	data, err := uncheck(key, stored)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("entry %q: %w: %w", key, ErrCorrupt, err)
	}
	return true, nil
}

func epochKey(n uint32) string { return fmt.Sprintf("%s%010d", keyEpoch, n) }

// readMeta reads the entries that every segment has, and the seal if there is one.
func readMeta(tx *bolt.Tx) (m segmentMeta, s *seal, err error) {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return m, nil, fmt.Errorf("no bucket %q: %w", bucketMeta, ErrCorrupt)
	}
	if m, s, err = parseMeta(meta); err != nil {
		return m, s, err
	}
	names := [][]byte{bucketLog, bucketSnap, bucketCursor}
	if m.minor >= sumsFrom {
		names = append(names, bucketSum)
	}
	for _, name := range names {
		if tx.Bucket(name) == nil {
			return m, nil, fmt.Errorf("no bucket %q: %w", name, ErrCorrupt)
		}
	}
	return m, s, nil
}

// parseMeta reads the entries of the bucket "meta". m is good if its First is not 0, whatever err says.
func parseMeta(meta getter) (m segmentMeta, s *seal, err error) {
	var f format
	if ok, err := getJSON(meta, keyFormat, &f); err != nil || !ok {
		return m, nil, missing(keyFormat, err)
	}
	if f.MinReader > currentFormat.Major {
		return m, nil, fmt.Errorf("format %d.%d needs a reader of format %d, this one reads %d: %w",
			f.Major, f.Minor, f.MinReader, currentFormat.Major, ErrNewerFormat)
	}
	if ok, err := getJSON(meta, keySegment, &m); err != nil || !ok {
		return segmentMeta{}, nil, missing(keySegment, err)
	}
	m.minor = f.Minor
	var sealed seal
	ok, err := getJSON(meta, keySeal, &sealed)
	if err != nil || !ok {
		return m, nil, err
	}
	return m, &sealed, nil
}

func missing(key string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("no entry %q: %w", key, ErrCorrupt)
}
