package eventlog

import (
	"bytes"
)

// storedBytes tells for each byte of a bbolt file whether something is stored there: meta pages, headers, elements, keys and
// values of reachable pages, and the freelist. What is left is free pages, the room between elements and values, and
// the few fields that nobody reads: sequences of buckets other than "log", number and overflow of a page in line.
func storedBytes(b []byte) ([]bool, error) {
	meta, _, err := readBoltMetas(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	m := &storedMap{b: b, stored: make([]bool, len(b)), size: int(meta.pageSize)}
	for page := range 2 {
		m.mark(page*m.size+boltHeader, boltMetaSize)
	}
	m.tree(meta.root, true)
	free := int(meta.freelist) * m.size
	m.mark(free, boltHeader+8*int(le.Uint16(b[free+10:])))
	return m.stored, nil
}

type storedMap struct {
	b      []byte
	stored []bool
	size   int // of a page
}

func (m *storedMap) mark(at, n int) {
	for i := range n {
		m.stored[at+i] = true
	}
}

func (m *storedMap) clear(at, n int) {
	for i := range n {
		m.stored[at+i] = false
	}
}

// tree marks a page and all below. isRoot: its entries are the buckets of the file.
func (m *storedMap) tree(id uint64, isRoot bool) {
	at := int(id) * m.size
	m.mark(at, boltHeader)
	m.page(at, isRoot)
}

// page marks the elements of the page at.
func (m *storedMap) page(at int, isRoot bool) {
	for i := range int(le.Uint16(m.b[at+10:])) {
		e := at + boltHeader + i*boltElement
		m.mark(e, boltElement)
		if le.Uint16(m.b[at+8:]) == boltBranch {
			m.mark(e+int(le.Uint32(m.b[e:])), int(le.Uint32(m.b[e+4:])))
			m.tree(le.Uint64(m.b[e+8:]), isRoot)
			continue
		}
		key, n := e+int(le.Uint32(m.b[e+4:])), int(le.Uint32(m.b[e+8:]))
		m.mark(key, n+int(le.Uint32(m.b[e+12:])))
		if le.Uint32(m.b[e:])&boltBucketFlag != 0 {
			m.bucket(key+n, !isRoot || string(m.b[key:key+n]) != string(bucketLog))
		}
	}
}

// bucket marks what the bucket's value at leads to.
func (m *storedMap) bucket(at int, noSequence bool) {
	if noSequence {
		m.clear(at+8, 8)
	}
	if root := le.Uint64(m.b[at:]); root != 0 {
		m.tree(root, false)
		return
	}
	m.clear(at+16, 8)
	m.clear(at+16+12, 4)
	m.page(at+16, false)
}
