package eventlog

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func incompressible(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestSmallGroupIsOneFrame(t *testing.T) {
	g := encodeTx(Tx{Records: [][]byte{make([]byte, 4000), make([]byte, 4000)}})
	if !g.small || len(g.encoded) != 1 || codec(g.encoded[0][offCodec]) != codecNone {
		t.Errorf("small %t, %d frames, codec %d", g.small, len(g.encoded), g.encoded[0][offCodec])
	}
}

func TestBigGroupIsFramesOf64KiB(t *testing.T) {
	g := encodeTx(Tx{Key: "k", Records: commandLike(5000)})
	if g.small || g.first() != 1 || g.last() != 5000 {
		t.Fatalf("small %t, seq %d to %d", g.small, g.first(), g.last())
	}
	next, ends := Seq(1), 0
	for i, b := range g.encoded {
		f, err := decodeFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		if f.first != next || len(f.payload) > frameTarget+recordOverhead || !bytes.Equal(f.payload, mustUnpack(t, g.frames[i])) {
			t.Errorf("frame %d: first seq %d, payload %d", i, f.first, len(f.payload))
		}
		if f.codec != codecSnappy || f.stored > f.raw*3/4 {
			t.Errorf("frame %d: codec %d, %d of %d bytes", i, f.codec, f.stored, f.raw)
		}
		next = f.last() + 1
		_, _ = f.each(0, func(r Record) bool {
			if r.TxEnd {
				ends++
			}
			return true
		})
	}
	if next != 5001 || ends != 1 || len(g.encoded) < 9 {
		t.Errorf("%d frames through seq %d with %d ends", len(g.encoded), next-1, ends)
	}
}

func TestBigRecordHasItsOwnFrame(t *testing.T) {
	g := encodeTx(Tx{Records: [][]byte{{1}, incompressible(200 << 10), {2}}})
	var counts []uint32
	for _, f := range g.frames {
		counts = append(counts, f.count)
	}
	if len(counts) != 3 || g.frames[1].codec != codecNone {
		t.Errorf("records per frame: %v; codec %d", counts, g.frames[1].codec)
	}
}

func TestChainGoesThroughAllFrames(t *testing.T) {
	g := encodeTx(Tx{Records: [][]byte{[]byte(strings.Repeat("a", 70000)), []byte(strings.Repeat("b", 70000))}})
	c, prev := newChainer(), chain{1, 2, 3}
	for i, b := range g.encoded {
		if prev = c.next(prev, b); prev != g.frames[i].chain {
			t.Errorf("frame %d: chain differs", i)
		}
	}
	if prev != g.chain {
		t.Error("chain of the group is not that of its last frame")
	}
}

// mustUnpack gives the payload of a frame for the ring.
func mustUnpack(t testing.TB, f *frame) []byte {
	t.Helper()
	raw, err := f.unpacked()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
