package eventlog

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// zstdFrame is the frame of a group in a log of format 1.0: the group's only one, packed with zstd.
func zstdFrame(t testing.TB, g *group, prev chain) []byte {
	t.Helper()
	if len(g.frames) != 1 {
		t.Fatalf("%d frames", len(g.frames))
	}
	f := g.frames[0]
	b := newCompressor().EncodeAll(mustUnpack(t, f), make([]byte, headerSize))
	h := f.header
	h.codec, h.stored = codecZstd, uint32(len(b)-headerSize)
	h.seal(b, prev, newChainer())
	return b
}

// TestOlderLog: a log of format 1.0, whose frames are packed with zstd, is read, written and verified.
func TestOlderLog(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	records := numbered(strings.Repeat("old ", 20), 300)
	tx := textTx("key", records...)
	p := &Pending{key: tx.Key, records: tx.Records, size: tx.size(), res: Result{First: 1, Last: 300}}
	genesis := l.tally.Chain
	g := newGroupEncoder().encode([]*Pending{p}, stamp{epoch: 1, time: 5}, genesis)
	mustClose(t, l)
	db, err := bolt.Open(filepath.Join(dir, segmentName(1)), modeLive, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.encoded[0] = zstdFrame(t, g, genesis)
	if err := db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			putJSON(meta, keyFormat, format{Major: 1, Minor: 0, MinReader: 1}),
			putJSON(meta, epochKey(1), epochMeta{Epoch: 1}), g.put(tx))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	l = mustOpen(t, dir, Options{})
	if r := mustAppend(t, l, "key", "a retry"); !r.Duplicate || r.Last != 300 {
		t.Errorf("the key of an older frame: %+v", r)
	}
	mustAppend(t, l, "", numbered(strings.Repeat("new ", 20), 300)...)
	mustClose(t, l)
	all := readAll(t, dir)
	if len(all) != 600 || string(all[299].Data) != records[299] {
		t.Fatalf("%d records", len(all))
	}
	verifyClean(t, dir)
}
