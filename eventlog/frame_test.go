package eventlog

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// encodeTx encodes one transaction as a group at seq 1.
func encodeTx(tx Tx) *group {
	p := &Pending{key: tx.Key, records: tx.Records, size: tx.size(), res: Result{First: 1, Last: Seq(len(tx.Records))}}
	return newGroupEncoder().encode([]*Pending{p}, stamp{epoch: 7, time: 1_700_000_000_123_456_789}, chain{1, 2, 3})
}

// documentedHex returns the bytes of the code block of docs/format.md that follows a line with the title.
func documentedHex(t *testing.T, title string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "docs", "format.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), title)
	if !ok {
		t.Fatalf("docs/format.md has no %q", title)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindStringSubmatch(rest)
	if block == nil {
		t.Fatalf("docs/format.md has no hex after %q", title)
	}
	var digits strings.Builder
	for line := range strings.Lines(block[1]) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameIsAsDocumented(t *testing.T) {
	g := encodeTx(textTx("job-1", "hello", "", "world"))
	if diff := cmp.Diff(hex.Dump(documentedHex(t, "A frame, byte by byte")), hex.Dump(g.encoded[0])); diff != "" {
		t.Errorf("docs/format.md (-) and the code (+) differ:\n%s", diff)
	}
}

func TestEditedFrameIsFound(t *testing.T) {
	g := encodeTx(textTx("key", "hello", "world"))
	good := g.encoded[0]
	if _, err := decodeFrame(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		_, err := decodeFrame(bad)
		inChain := i >= offChain && i < headerSize
		if inChain != (err == nil) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if newChainer().next(chain{1, 2, 3}, bad) == chain(bad[offChain:headerSize]) {
			t.Errorf("byte %d changed: chain does not notice", i)
		}
	}
	for n := range good {
		if _, err := decodeFrame(good[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("first %d bytes: %v", n, err)
		}
	}
}

// resealed changes header fields of a good frame and gives it a CRC that fits.
func resealed(change func(b []byte)) []byte {
	b := append([]byte(nil), encodeTx(textTx("", "hello", "world")).encoded[0]...)
	change(b)
	binary.BigEndian.PutUint32(b[offCRC:], frameCRC(b))
	return b
}

func TestNewerFrameIsNotCorrupt(t *testing.T) {
	for name, off := range map[string]int{"version": offVersion, "flags": offFlags, "codec": offCodec, "reserved": offZero} {
		_, err := decodeFrame(resealed(func(b []byte) { b[off] = 9 }))
		if !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrCorrupt) {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
}

func TestFrameThatContradictsItselfIsCorrupt(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"no records":      func(b []byte) { binary.BigEndian.PutUint32(b[offCount:], 0) },
		"seq 0":           func(b []byte) { binary.BigEndian.PutUint64(b[offFirst:], 0) },
		"seq overflow":    func(b []byte) { binary.BigEndian.PutUint64(b[offFirst:], ^uint64(0)) },
		"stored size":     func(b []byte) { binary.BigEndian.PutUint32(b[offStored:], 5) },
		"raw size":        func(b []byte) { binary.BigEndian.PutUint32(b[offRaw:], 5) },
		"huge raw size":   func(b []byte) { b[offCodec] = byte(codecZstd); binary.BigEndian.PutUint32(b[offRaw:], ^uint32(0)) },
		"zstd is not":     func(b []byte) { b[offCodec] = byte(codecZstd) },
		"snappy is not":   func(b []byte) { b[offCodec] = byte(codecSnappy) },
		"snappy of 4 GiB": func(b []byte) { b[offCodec] = byte(codecSnappy); copy(b[headerSize:], "\xff\xff\xff\xff\x0f") },
		"fewer records":   func(b []byte) { binary.BigEndian.PutUint32(b[offCount:], 1) },
		"more records":    func(b []byte) { binary.BigEndian.PutUint32(b[offCount:], 3) },
		"record too long": func(b []byte) { b[headerSize] = 0x7c },
	} {
		f, err := decodeFrame(resealed(change))
		if err == nil {
			_, err = f.each(0, func(Record) bool { return true })
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzFrame: whatever the bytes, decoding ends with records that encode again, or with an error of ours.
func FuzzFrame(f *testing.F) {
	f.Add(encodeTx(textTx("key", "hello", "", "world")).encoded[0])
	f.Add(encodeTx(textTx("", strings.Repeat("0123456789", 2000))).encoded[0])
	f.Add(zstdFrame(f, encodeTx(textTx("", strings.Repeat("0123456789", 2000))), chain{1, 2, 3}))
	f.Add([]byte(frameMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fixCRC := range []bool{false, true} {
			if fixCRC && len(b) >= headerSize {
				b = append([]byte(nil), b...)
				binary.BigEndian.PutUint32(b[offCRC:], frameCRC(b))
			}
			fuzzFrame(t, b)
		}
	})
}

func fuzzFrame(t *testing.T, b []byte) {
	fr, err := decodeFrame(b)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
			t.Errorf("error of no known kind: %v", err)
		}
		return
	}
	n := Seq(0)
	_, err = fr.each(0, func(r Record) bool {
		if r.Seq != fr.first+n || len(r.Key) > MaxKey || len(r.Data) > len(fr.payload) {
			t.Errorf("record %d: %+v", n, r)
		}
		n++
		return true
	})
	if err == nil && n != Seq(fr.count) || err != nil && !errors.Is(err, ErrCorrupt) {
		t.Errorf("%d of %d records, %v", n, fr.count, err)
	}
}
