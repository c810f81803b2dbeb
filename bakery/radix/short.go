package radix

// Short is a map whose keys have 16 bits and often lie far from each other: a root and 256 pages. It is copied as Map is, and
// the zero value is empty and ready, too.
type Short[V any] struct {
	root  *shortRoot[V]
	owner uint64
	count int
}

type shortRoot[V any] struct {
	owner uint64
	pages [256]*shortPage[V]
}

type shortPage[V any] struct {
	owner  uint64
	there  [4]uint64 // a bit for each value
	values [256]V
}

// Copy is a copy, at no cost: both sides copy what they write from now on.
func (m *Short[V]) Copy() *Short[V] {
	c := *m
	m.owner, c.owner = owners.Add(1), owners.Add(1)
	return &c
}

// Len is the number of keys.
func (m *Short[V]) Len() int { return m.count }

func (p *shortPage[V]) has(at uint8) bool { return p.there[at>>6]>>(at&63)&1 != 0 }

// Get gives the value of a key.
func (m *Short[V]) Get(key uint16) (v V, ok bool) {
	if m.root == nil {
		return v, false
	}
	p, at := m.root.pages[key>>8], uint8(key)
	if p == nil || !p.has(at) {
		return v, false
	}
	return p.values[at], true
}

// Has reports whether a key is there.
func (m *Short[V]) Has(key uint16) bool {
	if m.root == nil {
		return false
	}
	p := m.root.pages[key>>8]
	return p != nil && p.has(uint8(key))
}

// Set gives a key a value, and tells whether it had one.
func (m *Short[V]) Set(key uint16, v V) (replaced bool) {
	p, at := m.ownPage(uint8(key>>8)), uint8(key)
	if replaced = p.has(at); !replaced {
		p.there[at>>6] |= 1 << (at & 63)
		m.count++
	}
	p.values[at] = v
	return replaced
}

// Delete removes a key, and tells whether it was there. Its page stays: all of them are small.
func (m *Short[V]) Delete(key uint16) (deleted bool) {
	if !m.Has(key) {
		return false
	}
	p, at := m.ownPage(uint8(key>>8)), uint8(key)
	var none V
	p.there[at>>6] &^= 1 << (at & 63)
	p.values[at] = none
	m.count--
	return true
}

// ownPage makes a page one that this side may write.
func (m *Short[V]) ownPage(i uint8) *shortPage[V] {
	switch {
	case m.root == nil:
		m.root = &shortRoot[V]{owner: m.owner}
	case m.root.owner != m.owner:
		r := *m.root
		r.owner, m.root = m.owner, &r
	}
	p := m.root.pages[i]
	switch {
	case p == nil:
		p = &shortPage[V]{owner: m.owner}
	case p.owner != m.owner:
		c := *p
		c.owner, p = m.owner, &c
	default:
		return p
	}
	m.root.pages[i] = p
	return p
}
