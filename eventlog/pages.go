package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its pages: a wrong page number makes it read outside of its mapping, which can't be recovered from in
// the goroutines it starts, and a cycle makes it run for ever. So before bbolt sees a file, pageWalk reads it front to
// back, which also brings a cold file into memory, and follows every page from the root: in bounds, of the right kind, in
// key order, used once, and not in the freelist. The layout is that of bbolt v1 files (version 2, little-endian).
const (
	boltMagic       = 0xED0CDAED
	boltVersion     = 2
	boltMetaSize    = 64 // with its checksum
	boltHeader      = 16
	boltElement     = 16
	boltBranch      = 0x01
	boltLeaf        = 0x02
	boltFreelist    = 0x10
	boltBucketFlag  = 0x01
	boltNoFreelist  = ^uint64(0)
	maxDepth        = 64
	readAheadBuffer = 1 << 20
)

var le = binary.LittleEndian

// boltMeta is what matters of one of the two meta pages of a bbolt file.
type boltMeta struct {
	pageSize             int64
	root, freelist, high uint64 // page numbers; high is the first unused one
	txid                 uint64
}

func parseBoltMeta(b []byte) (boltMeta, bool) {
	if len(b) < boltHeader+boltMetaSize {
		return boltMeta{}, false
	}
	b = b[boltHeader:]
	if le.Uint32(b) != boltMagic || le.Uint32(b[4:]) != boltVersion || le.Uint64(b[56:]) != boltChecksum(b) {
		return boltMeta{}, false
	}
	m := boltMeta{
		pageSize: int64(le.Uint32(b[8:])),
		root:     le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), high: le.Uint64(b[40:]), txid: le.Uint64(b[48:]),
	}
	return m, m.pageSize >= 1024 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0
}

// boltChecksum is what is at the end of the meta page with these contents.
func boltChecksum(b []byte) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56])
	return sum.Sum64()
}

// readBoltMetas returns the newest valid meta page, and whether there are two, of different transactions.
func readBoltMetas(f io.ReaderAt) (newest boltMeta, both bool, err error) {
	m0, ok0 := readBoltMeta(f, 0)
	m1, ok1 := boltMeta{}, false
	if ok0 {
		m1, ok1 = readBoltMeta(f, m0.pageSize)
	}
	for at := int64(1024); !ok0 && !ok1 && at <= 1<<24; at *= 2 {
		m1, ok1 = readBoltMeta(f, at)
		ok1 = ok1 && m1.pageSize == at
	}
	switch {
	case ok0 && ok1 && m1.txid == m0.txid: // one in the place of the other, which may have been newer
		return m0, false, nil
	case ok0 && ok1 && m1.txid > m0.txid, !ok0 && ok1:
		return m1, ok0, nil
	case ok0:
		return m0, ok1, nil
	}
	return boltMeta{}, false, fmt.Errorf("neither meta page is valid: %w", ErrCorrupt)
}

func readBoltMeta(f io.ReaderAt, at int64) (boltMeta, bool) {
	var b [boltHeader + boltMetaSize]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return boltMeta{}, false
	}
	return parseBoltMeta(b[:])
}

// pageWalk is one check of a bbolt file.
type pageWalk struct {
	f    io.ReaderAt
	meta boltMeta
	used []bool
	bufs [][]byte // one per depth, so that a parent's page outlives the visit of its children
}

// checkPages checks the pages of a bbolt file of size bytes. bothMetas is false if one of its two meta pages is damaged,
// in which case the last commit before that may be missing.
func checkPages(f io.ReaderAt, size int64) (bothMetas bool, err error) {
	meta, both, err := readBoltMetas(f)
	if err != nil {
		return false, err
	}
	if meta.high < 2 || meta.high > uint64(size/meta.pageSize) {
		return both, fmt.Errorf("file of %d bytes, cut off before page %d: %w", size, meta.high, ErrCorrupt)
	}
	if err := readAhead(f, int64(meta.high)*meta.pageSize); err != nil {
		return both, err
	}
	w := &pageWalk{f: f, meta: meta, used: make([]bool, meta.high)}
	w.used[0], w.used[1] = true, true
	if err := w.tree(meta.root, span{}, 0); err != nil {
		return both, err
	}
	return both, w.freelist()
}

func readAhead(f io.ReaderAt, n int64) error {
	buf := make([]byte, min(n, readAheadBuffer))
	for at := int64(0); at < n; at += int64(len(buf)) {
		if _, err := f.ReadAt(buf[:min(int64(len(buf)), n-at)], at); err != nil {
			return fmt.Errorf("reading ahead at %d: %w", at, err)
		}
	}
	return nil
}

// span is the half-open interval of keys that a page may hold; nil means no bound.
type span struct{ from, to []byte }

func (s span) has(key []byte) bool {
	return (s.from == nil || bytes.Compare(key, s.from) >= 0) && (s.to == nil || bytes.Compare(key, s.to) < 0)
}

var errPage = errors.New("damaged page")

func pageErr(id uint64, format string, args ...any) error {
	return fmt.Errorf("page %d: %s: %w: %w", id, fmt.Sprintf(format, args...), errPage, ErrCorrupt)
}

// page reads page id with its overflow and marks it used.
func (w *pageWalk) page(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= w.meta.high {
		return nil, pageErr(id, "outside of the file's %d pages", w.meta.high)
	}
	var head [boltHeader]byte
	if _, err := w.f.ReadAt(head[:], int64(id)*w.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	pages := uint64(le.Uint32(head[12:])) + 1
	if le.Uint64(head[:]) != id || pages > w.meta.high-id {
		return nil, pageErr(id, "calls itself %d, with %d pages", le.Uint64(head[:]), pages)
	}
	for i := id; i < id+pages; i++ {
		if w.used[i] {
			return nil, pageErr(i, "used twice")
		}
		w.used[i] = true
	}
	for len(w.bufs) <= depth {
		w.bufs = append(w.bufs, nil)
	}
	size := int64(pages) * w.meta.pageSize
	if int64(cap(w.bufs[depth])) < size {
		w.bufs[depth] = make([]byte, size)
	}
	b := w.bufs[depth][:size]
	if _, err := w.f.ReadAt(b, int64(id)*w.meta.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// tree checks the page id and everything under it. Keys must lie in s.
func (w *pageWalk) tree(id uint64, s span, depth int) error {
	if depth > maxDepth {
		return pageErr(id, "more than %d levels deep", maxDepth)
	}
	b, err := w.page(id, depth)
	if err != nil {
		return err
	}
	switch kind := le.Uint16(b[8:]); kind {
	case boltBranch:
		return w.branch(id, b, s, func(child uint64, s span) error { return w.tree(child, s, depth+1) })
	case boltLeaf:
		_, err := w.leaf(id, b, s, w.intoBucket(id, depth))
		return err
	default:
		return pageErr(id, "kind %#x in a tree", kind)
	}
}

// intoBucket gives a function that checks the buckets among the elements of a leaf.
func (w *pageWalk) intoBucket(id uint64, depth int) func(isBucket bool, key, value []byte) error {
	return func(isBucket bool, _, value []byte) error {
		if !isBucket {
			return nil
		}
		return w.bucket(id, value, depth)
	}
}

// element returns the i-th 16-byte element of page b and how many bytes there are from its start to the page's end.
func element(b []byte, i int) []byte { return b[boltHeader+i*boltElement:] }

func elements(id uint64, b []byte) (int, error) {
	n := int(le.Uint16(b[10:]))
	if boltHeader+n*boltElement > len(b) {
		return 0, pageErr(id, "%d elements in %d bytes", n, len(b))
	}
	return n, nil
}

// cut returns n bytes of e from off, checked against its end.
func cut(id uint64, e []byte, off, n uint64) ([]byte, error) {
	if off < boltElement || off+n > uint64(len(e)) {
		return nil, pageErr(id, "%d bytes at %d of an element's %d", n, off, len(e))
	}
	return e[off : off+n], nil
}

// branch checks a branch page and calls visit for its children.
func (w *pageWalk) branch(id uint64, b []byte, s span, visit func(child uint64, s span) error) error {
	n, err := elements(id, b)
	if err != nil || n == 0 {
		return errors.Join(err, emptyBranch(id, n))
	}
	keys := make([][]byte, n)
	for i := range n {
		e := element(b, i)
		if keys[i], err = cut(id, e, uint64(le.Uint32(e)), uint64(le.Uint32(e[4:]))); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || !s.has(keys[i]) {
			return pageErr(id, "keys out of order")
		}
	}
	for i := range n {
		child := span{from: keys[i], to: s.to}
		if i+1 < n {
			child.to = keys[i+1]
		}
		if err := visit(le.Uint64(element(b, i)[8:]), child); err != nil {
			return err
		}
	}
	return nil
}

func emptyBranch(id uint64, n int) error {
	if n == 0 {
		return pageErr(id, "branch without elements")
	}
	return nil
}

// leaf checks a leaf page and calls visit for its elements. used is how long the page is up to the end of its last value.
func (w *pageWalk) leaf(id uint64, b []byte, s span, visit func(isBucket bool, key, value []byte) error) (used int, err error) {
	n, err := elements(id, b)
	if err != nil {
		return 0, err
	}
	used = boltHeader + n*boltElement
	var last []byte
	for i := range n {
		e := element(b, i)
		flags, off := le.Uint32(e), uint64(le.Uint32(e[4:]))
		ksize, vsize := uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		kv, err := cut(id, e, off, ksize+vsize)
		if err != nil {
			return 0, err
		}
		used = max(used, boltHeader+i*boltElement+int(off+ksize+vsize))
		key := kv[:ksize]
		if i > 0 && bytes.Compare(last, key) >= 0 || !s.has(key) || flags&^boltBucketFlag != 0 {
			return 0, pageErr(id, "keys out of order or of an unknown kind")
		}
		last = key
		if err := visit(flags&boltBucketFlag != 0, key, kv[ksize:]); err != nil {
			return 0, err
		}
	}
	return used, nil
}

// bucket checks a bucket's value: root page and sequence, and with root 0 a leaf page in line.
func (w *pageWalk) bucket(id uint64, v []byte, depth int) error {
	if len(v) < 16 {
		return pageErr(id, "bucket of %d bytes", len(v))
	}
	inline := v[16:]
	if root := le.Uint64(v); root != 0 {
		if len(inline) > 0 {
			return pageErr(id, "bucket with a page and %d bytes more", len(inline))
		}
		return w.tree(root, span{}, depth+1)
	}
	if len(inline) < boltHeader || le.Uint16(inline[8:]) != boltLeaf || depth > maxDepth {
		return pageErr(id, "bucket in line without a leaf")
	}
	used, err := w.leaf(id, inline, span{}, w.intoBucket(id, depth+1))
	if err == nil && used != len(inline) {
		err = pageErr(id, "bucket in line of %d bytes has %d", used, len(inline))
	}
	return err
}

// freelist checks that what bbolt will write over is in bounds, listed once and used by nobody, and that every other page is in use: one
// that nobody leads to is of a newer tree than the root that was read, which then is an old page in the place of the newest.
func (w *pageWalk) freelist() error {
	id := w.meta.freelist
	if id == boltNoFreelist {
		return nil
	}
	b, err := w.page(id, 0)
	if err != nil {
		return err
	}
	n, list := uint64(le.Uint16(b[10:])), b[boltHeader:]
	if n == 0xFFFF {
		n, list = le.Uint64(list), list[8:]
	}
	if le.Uint16(b[8:]) != boltFreelist || n > uint64(len(list)/8) {
		return pageErr(id, "no freelist, or one of %d entries", n)
	}
	for i := range n {
		free := le.Uint64(list[8*i:])
		if free < 2 || free >= w.meta.high || w.used[free] {
			return pageErr(id, "free page %d is outside of the file, listed twice or in use", free)
		}
		w.used[free] = true
	}
	for i := uint64(2); i < w.meta.high; i++ { // the first two are the meta pages
		if !w.used[i] {
			return pageErr(i, "neither in use nor free")
		}
	}
	return nil
}
