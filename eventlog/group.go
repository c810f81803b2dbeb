package eventlog

import (
	"bytes"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const (
	// smallGroup is the payload up to which a group is one frame directly in the bucket "log".
	smallGroup = 8 << 10
	// frameTarget is the payload after which a frame of a bigger group ends; a bigger record has a frame of its own.
	frameTarget = 64 << 10
	// maxScratch is how much memory for packed frames is kept from one group to the next.
	maxScratch = 16 << 20
	// maxSpare is the same for one frame before it is packed.
	maxSpare = 2 * frameTarget
)

// stamp is what all frames of a group share.
type stamp struct {
	epoch uint32
	time  int64
}

// group is a commit's worth of transactions as frames: encoded for the disk, and for the ring, packed if they are.
type group struct {
	encoded [][]byte
	frames  []*frame
	small   bool
	chain   chain // of its last frame
}

func (g *group) first() Seq { return g.frames[0].first }
func (g *group) last() Seq  { return g.frames[len(g.frames)-1].last() }

// groupEncoder turns transactions into groups. It belongs to the committer.
type groupEncoder struct {
	chainer
	scratch []byte // packed frames of the group being committed; free again after the commit
	raw     []byte // of the last frame that was packed; free again
}

func newGroupEncoder() *groupEncoder {
	return &groupEncoder{chainer: newChainer()}
}

// encode packs txs, whose first record has seq first, into frames that continue the chain prev.
func (e *groupEncoder) encode(txs []*Pending, s stamp, prev chain) *group {
	size := 0
	for _, p := range txs {
		size += p.size
	}
	if e.scratch = e.scratch[:0]; cap(e.scratch) > maxScratch {
		e.scratch = nil
	}
	g := &group{small: size < smallGroup, chain: prev}
	b := frameBuilder{room: min(size, frameTarget+recordOverhead), next: txs[0].res.First, spare: e.raw}
	for _, p := range txs {
		for i, data := range p.records {
			r := rawRecord{data: data, end: i == len(p.records)-1}
			if r.end {
				r.key = p.key
			}
			if b.full(len(data)) {
				e.finish(g, &b, s)
			}
			b.add(r)
		}
	}
	e.finish(g, &b, s)
	return g
}

// finish closes the frame in b and adds it to g.
func (e *groupEncoder) finish(g *group, b *frameBuilder, s stamp) {
	raw := b.buf[headerSize:]
	f := &frame{payload: raw}
	h := header{first: b.first, count: b.count, stored: uint32(len(raw)), raw: uint32(len(raw)), epoch: s.epoch, time: s.time}
	encoded := b.buf
	b.spare = nil
	if !g.small {
		if packed := e.pack(raw); packed != nil {
			h.codec, h.stored, encoded = codecSnappy, uint32(len(packed)-headerSize), packed
			f.payload, f.packed = nil, bytes.Clone(packed[headerSize:])
			if cap(b.buf) <= maxSpare {
				b.spare = b.buf
			}
		}
	}
	g.chain = h.seal(encoded, g.chain, e.chainer)
	h.chain = g.chain
	f.header = h
	g.encoded = append(g.encoded, encoded)
	g.frames = append(g.frames, f)
	e.raw, b.buf, b.count = b.spare, nil, 0
}

// pack compresses raw behind room for a header, in the scratch space. It returns nil if that doesn't pay.
func (e *groupEncoder) pack(raw []byte) []byte {
	start := len(e.scratch)
	e.scratch = append(e.scratch, make([]byte, headerSize)...)
	e.scratch = snap(e.scratch, raw)
	packed := e.scratch[start:len(e.scratch):len(e.scratch)]
	if !pays(len(packed)-headerSize, len(raw)) {
		e.scratch = e.scratch[:start]
		return nil
	}
	return packed
}

// frameBuilder collects the records of one frame behind room for its header.
type frameBuilder struct {
	buf   []byte
	spare []byte // memory that the next frame may have
	room  int    // expected payload of a frame
	first Seq
	next  Seq
	count uint32
}

// full tells that the frame must end before a record with n bytes of data.
func (b *frameBuilder) full(n int) bool {
	return b.count > 0 && len(b.buf)-headerSize+n > frameTarget
}

func (b *frameBuilder) add(r rawRecord) {
	if b.count == 0 {
		b.first = b.next
		if need := headerSize + max(b.room, len(r.data)+recordOverhead); cap(b.spare) >= need {
			b.buf = b.spare[:headerSize]
		} else {
			b.buf = make([]byte, headerSize, need)
		}
	}
	b.buf = r.append(b.buf)
	b.count++
	b.next++
}

func seqKey(s Seq) []byte { return binary.BigEndian.AppendUint64(nil, uint64(s)) }

// put writes g into the bucket "log" and notes its last seq as the bucket's sequence.
func (g *group) put(tx *bolt.Tx) error {
	log := tx.Bucket(bucketLog)
	log.FillPercent = 1 // appended in order; bbolt resets it at every Bucket call
	if err := g.putFrames(log); err != nil {
		return fmt.Errorf("storing frames of seq %d to %d: %w", g.first(), g.last(), err)
	}
	return log.SetSequence(uint64(g.last()))
}

func (g *group) putFrames(log *bolt.Bucket) error {
	if g.small {
		return log.Put(seqKey(g.first()), g.encoded[0])
	}
	nested, err := log.CreateBucket(seqKey(g.first()))
	if err != nil {
		return err
	}
	nested.FillPercent = 1
	for i, b := range g.encoded {
		if err := nested.Put(seqKey(g.frames[i].first), b); err != nil {
			return err
		}
	}
	return nil
}
