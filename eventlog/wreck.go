package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// wreck is what can be read of the file of a segment, whatever state it is in. bbolt is not let near it.
type wreck struct {
	name   string
	meta   segmentMeta
	frames []wreckedFrame // from the first on, each one checked, as far as that goes
	end    tally          // of frames
	// complete: there are as many as the file says.
	complete bool
	state    error // why the snapshot or the list of keys can't be read; nil for the first segment
	snap     wreckBucket
	epochs   wreckBucket // the good entries
	cursors  wreckBucket // the good entries
	summed   bool        // the sum of the commit is right
	faults   []error     // what is damaged, in the order of reading
	spoilt   int         // faults of values in sound pages
}

// wreckedFrame is a good frame. end is the last seq in it that ends a transaction, 0 if none does.
type wreckedFrame struct {
	header
	bytes []byte
	end   Seq
}

// wreckBucket holds the entries of a bucket.
type wreckBucket map[string][]byte

// Get is as that of a bbolt bucket.
func (b wreckBucket) Get(key []byte) []byte { return b[string(key)] }

// readWreck reads the segment at path. Damage is no error, but stands in the wreck; meta is the zero one if nothing is left. Only the newest
// commit of the last segment may have been cut off: another is made after all in this one is durable.
func readWreck(path string, last bool) (*wreck, error) {
	f, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, heldBy(filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", filepath.Base(path), err)
	}
	best := &wreck{name: filepath.Base(path)}
	metas := boltMetas(f)
	if len(metas) < 2 {
		best.faults = append(best.faults, fmt.Errorf("%d of two meta pages are valid: %w", len(metas), ErrCorrupt))
	} else if d, _, _ := doubtOf(f, best.name); last && d == cutOff {
		metas = metas[1:]
	}
	// The tree of the commit before the last is whole even if that of the last is not.
	for i, m := range metas {
		w := &wreck{name: best.name, faults: best.faults}
		if err := w.read(&pageWalk{f: f, meta: m, used: make([]bool, m.high)}); err != nil {
			return nil, err
		}
		if i == 0 || w.meta.First > 0 && w.end.Last > best.end.Last {
			best = w
		}
		if best.complete && len(best.faults) == 0 {
			break
		}
	}
	return best, nil
}

// boltMetas returns the valid meta pages, the newest first, none of which says that the file is longer than it is.
func boltMetas(f *os.File) (all []boltMeta) {
	info, statErr := f.Stat()
	newest, both, err := readBoltMetas(f)
	if err != nil || statErr != nil {
		return nil
	}
	all = append(all, newest)
	if both {
		for _, at := range []int64{0, newest.pageSize} {
			if m, ok := readBoltMeta(f, at); ok && m.txid != newest.txid {
				all = append(all, m)
			}
		}
	}
	for i, m := range all {
		all[i].high = min(m.high, uint64(info.Size()/m.pageSize))
	}
	return all
}

// fault notes damage.
func (w *wreck) fault(err error) {
	if err != nil {
		w.faults = append(w.faults, err)
	}
}

// spoil notes damage to a value that the log can do without.
func (w *wreck) spoil(err error) {
	if err != nil {
		w.spoilt++
		w.fault(err)
	}
}

// sound: no page is damaged, and nothing that is needed.
func (w *wreck) sound() bool { return len(w.faults) == w.spoilt }

// read fills w from the pages. An error means that the file is newer than this program.
func (w *wreck) read(p *pageWalk) error {
	buckets := wreckBucket{}
	w.fault(p.each(p.meta.root, span{}, 0, func(_ bool, k, v []byte) error {
		buckets[string(k)] = bytes.Clone(v)
		return nil
	}))
	entries := func(name []byte) wreckBucket {
		b := wreckBucket{}
		w.fault(p.eachIn(buckets[string(name)], func(isBucket bool, k, v []byte) error {
			if !isBucket {
				b[string(k)] = bytes.Clone(v)
			}
			return nil
		}))
		return b
	}
	meta := entries(bucketMeta)
	m, _, err := parseMeta(meta)
	if errors.Is(err, ErrNewerFormat) {
		return err
	}
	if err == nil && segmentName(m.First) != w.name {
		err = fmt.Errorf("file name and first seq %d differ: %w", m.First, ErrCorrupt)
	}
	if m.First == 0 || segmentName(m.First) != w.name {
		w.fault(err)
		return nil
	}
	w.fault(err) // of the seal
	w.meta = m
	w.epochs = w.good(meta, func(k string) bool { return strings.HasPrefix(k, keyEpoch) })
	cursors := entries(bucketCursor)
	w.cursors = w.good(cursors, func(string) bool { return true })
	w.snap = entries(bucketSnap)
	if m.First > 1 {
		w.state = w.checkState()
		w.spoil(w.state)
	}
	w.readFrames(p, buckets[string(bucketLog)])
	w.checkSum(p.meta.txid, buckets[string(bucketSum)], meta, cursors)
	if buckets[string(bucketRoom)] != nil {
		entries(bucketRoom) // whose pages are in use
	}
	if w.sound() { // or some pages weren't reached
		w.fault(p.freelist())
	}
	return nil
}

// checkSum looks whether the sum is that of commit txid. No fault comes of it: programs of format 1.1 left it as it was.
func (w *wreck) checkSum(txid uint64, bucket []byte, meta, cursors wreckBucket) {
	if len(bucket) < 16 {
		return
	}
	var s sums
	s.meta, _ = sumEntries(meta.each)
	s.cursors, _ = sumEntries(cursors.each)
	sum := le.Uint64(bucket[8:])
	w.summed = sum == commitSum(txid, w.end.Chain, s, sum&announces != 0)
}

// each calls fn with the entries in the order of their keys.
func (b wreckBucket) each(fn func(k, v []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if err := fn([]byte(k), b[k]); err != nil {
			return err
		}
	}
	return nil
}

// good gives the entries of b that which chooses and whose CRC is right.
func (w *wreck) good(b wreckBucket, which func(key string) bool) wreckBucket {
	good := wreckBucket{}
	for k, v := range b {
		if !which(k) {
			continue
		}
		if _, err := uncheck(k, v); err != nil {
			w.spoil(err)
			continue
		}
		good[k] = v
	}
	return good
}

// checkState reads the snapshot and the list of keys.
func (w *wreck) checkState() error {
	for _, name := range []string{blobSnapshot, blobKeys} {
		data, at, err := readBlob(w.snap, name)
		if err == nil && (data == nil || at != w.meta.First-1) {
			err = missing(name, nil)
		}
		if err == nil && name == blobKeys {
			err = newKeyTable().decode(data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readFrames takes frames as long as they are good, and drops a transaction without its end.
func (w *wreck) readFrames(p *pageWalk, log []byte) {
	w.end = tally{Last: w.meta.First - 1, Chain: w.meta.Prev}
	hash := newChainer()
	err := p.eachIn(log, func(isBucket bool, k, v []byte) error {
		if !isBucket {
			return w.addFrame(hash, k, v)
		}
		return p.eachIn(v, func(_ bool, k, v []byte) error { return w.addFrame(hash, k, v) })
	})
	w.fault(err)
	said := Seq(0)
	if len(log) >= 16 {
		said = Seq(le.Uint64(log[8:]))
	}
	if w.complete = err == nil && said == w.end.Last; !w.complete && err == nil {
		w.fault(fmt.Errorf("frames end at seq %d, the log went to %d: %w", w.end.Last, said, ErrCorrupt))
	}
	if was := w.end.Last; w.dropOpenEnd(hash) {
		w.complete = false
		w.fault(fmt.Errorf("transaction at seq %d has no end: %w", was, ErrCorrupt))
	}
}

// addFrame adds the frame in v if it is the next one.
func (w *wreck) addFrame(hash chainer, k, v []byte) error {
	f, err := decodeAt(w.end.Last+1, k, v)
	if err != nil {
		return err
	}
	if hash.next(w.end.Chain, v) != f.chain {
		return fmt.Errorf("frame at seq %d: chain is broken: %w", f.first, ErrCorrupt)
	}
	end := Seq(0)
	if _, err := f.each(0, func(r Record) bool {
		if r.TxEnd {
			end = r.Seq
		}
		return true
	}); err != nil {
		return err
	}
	w.frames = append(w.frames, wreckedFrame{f.header, bytes.Clone(v), end})
	w.end.add(f.header)
	return nil
}

// dropOpenEnd takes away the records after the last end of a transaction, and tells whether there were any.
func (w *wreck) dropOpenEnd(hash chainer) bool {
	n := len(w.frames)
	for n > 0 && w.frames[n-1].end == 0 {
		n--
	}
	if n == len(w.frames) && (n == 0 || w.frames[n-1].end == w.frames[n-1].last()) {
		return false
	}
	frames := w.frames[:n]
	w.frames, w.end = nil, tally{Last: w.meta.First - 1, Chain: w.meta.Prev}
	for _, f := range frames {
		if f.end < f.last() && f.first == frames[n-1].first {
			f = f.cut(w.end.Chain, hash)
		}
		w.frames = append(w.frames, f)
		w.end.add(f.header)
	}
	return true
}

// cut is f without what comes after its last end of a transaction. It is the last frame of a log.
func (f wreckedFrame) cut(prev chain, hash chainer) wreckedFrame {
	whole, err := decodeFrame(f.bytes)
	if err != nil {
		panic(err) // it was decoded before
	}
	rest, count := whole.payload, uint32(0)
	for ; f.first+Seq(count) <= f.end; count++ {
		if _, rest, err = cutRecord(rest); err != nil {
			panic(err)
		}
	}
	payload := whole.payload[:len(whole.payload)-len(rest)]
	h := f.header
	h.codec, h.count, h.raw, h.stored = codecNone, count, uint32(len(payload)), uint32(len(payload))
	b := append(make([]byte, headerSize), payload...)
	h.chain = h.seal(b, prev, hash)
	return wreckedFrame{h, b, f.end}
}

// each calls fn with the entries of the tree under page id, in order, until fn fails or a page is damaged.
func (w *pageWalk) each(id uint64, s span, depth int, fn func(isBucket bool, key, value []byte) error) error {
	if depth > maxDepth {
		return pageErr(id, "more than %d levels deep", maxDepth)
	}
	shared, err := w.page(id, depth)
	if err != nil {
		return err
	}
	b := bytes.Clone(shared) // fn may walk through other trees
	switch kind := le.Uint16(b[8:]); kind {
	case boltBranch:
		return w.branch(id, b, s, func(child uint64, s span) error { return w.each(child, s, depth+1, fn) })
	case boltLeaf:
		_, err := w.leaf(id, b, s, fn)
		return err
	default:
		return pageErr(id, "kind %#x in a tree", kind)
	}
}

// eachIn is each for the value of a bucket.
func (w *pageWalk) eachIn(bucket []byte, fn func(isBucket bool, key, value []byte) error) error {
	if len(bucket) < 16 {
		return fmt.Errorf("bucket of %d bytes: %w", len(bucket), ErrCorrupt)
	}
	if root := le.Uint64(bucket); root != 0 {
		return w.each(root, span{}, 0, fn)
	}
	inline := bucket[16:]
	if len(inline) < boltHeader || le.Uint16(inline[8:]) != boltLeaf {
		return fmt.Errorf("bucket in line without a leaf: %w", ErrCorrupt)
	}
	_, err := w.leaf(0, inline, span{}, fn)
	return err
}
