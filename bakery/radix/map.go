package radix

import (
	"math/bits"
	"sync/atomic"
)

// A key's bits from the top: 6 in the root, 7 in each of three nodes, 5 in the leaf.
const (
	leafBits = 5
	nodeBits = 7
	leafMask = 1<<leafBits - 1
	nodeMask = 1<<nodeBits - 1

	lowShift  = leafBits
	midShift  = lowShift + nodeBits
	highShift = midShift + nodeBits
	rootShift = highShift + nodeBits

	end = uint64(1) << 32 // after the last key
)

// Map is an ordered map. The zero value is empty and ready. One goroutine may write it or copy it; any number may read it as
// long as none does.
type Map[K ~uint16 | ~uint32, V any] struct {
	root  *node[node[node[node[leaf[V]]]]]
	owner uint64 // nodes with another one are shared with a copy, and never written again
	count int
	// hot is the leaf that was written last, and hotKey what its keys have in common: neighbours are often set one after
	// the other, and read soon. nil: none.
	hot    *leaf[V]
	hotKey uint32
}

type node[C any] struct {
	owner uint64
	used  int // kids that are there
	kids  [1 << nodeBits]*C
}

type leaf[V any] struct {
	owner  uint64
	there  uint32 // a bit for each value
	values [1 << leafBits]V
}

var owners atomic.Uint64

// Copy is a copy, at no cost: both sides copy what they write from now on.
func (m *Map[K, V]) Copy() *Map[K, V] {
	c := *m
	m.owner, c.owner = owners.Add(1), owners.Add(1)
	return &c
}

// Len is the number of keys.
func (m *Map[K, V]) Len() int { return m.count }

// leafOf is the leaf that has a key or would have it; nil if there is none.
func (m *Map[K, V]) leafOf(k uint32) *leaf[V] {
	if m.hotKey == k>>leafBits && m.hot != nil {
		return m.hot
	}
	return m.descend(k)
}

func (m *Map[K, V]) descend(k uint32) *leaf[V] {
	if m.root == nil {
		return nil
	}
	high := m.root.kids[k>>rootShift]
	if high == nil {
		return nil
	}
	mid := high.kids[k>>highShift&nodeMask]
	if mid == nil {
		return nil
	}
	low := mid.kids[k>>midShift&nodeMask]
	if low == nil {
		return nil
	}
	return low.kids[k>>lowShift&nodeMask]
}

// Get gives the value of a key.
func (m *Map[K, V]) Get(key K) (v V, ok bool) {
	l, at := m.leafOf(uint32(key)), uint32(key)&leafMask
	if l == nil || l.there>>at&1 == 0 {
		return v, false
	}
	return l.values[at], true
}

// Has reports whether a key is there.
func (m *Map[K, V]) Has(key K) bool {
	l, at := m.leafOf(uint32(key)), uint32(key)&leafMask
	return l != nil && l.there>>at&1 != 0
}

// Set gives a key a value, and tells the one that it had.
func (m *Map[K, V]) Set(key K, v V) (old V, replaced bool) {
	k := uint32(key)
	l := m.hot
	if l == nil || m.hotKey != k>>leafBits || l.owner != m.owner {
		l = m.ownLeafOf(k)
	}
	at, bit := k&leafMask, uint32(1)<<(k&leafMask)
	if l.there&bit != 0 {
		old, replaced = l.values[at], true
	} else {
		l.there |= bit
		m.count++
	}
	l.values[at] = v
	return old, replaced
}

// Change gives the place of a key's value, to be written before anything else is done with m; nil if the key isn't there.
func (m *Map[K, V]) Change(key K) *V {
	k := uint32(key)
	l, at := m.leafOf(k), k&leafMask
	if l == nil || l.there>>at&1 == 0 {
		return nil
	}
	if l.owner != m.owner {
		l = m.ownLeafOf(k)
	}
	return &l.values[at]
}

// ownLeafOf makes the leaf that may have a key one that this side may write.
func (m *Map[K, V]) ownLeafOf(k uint32) *leaf[V] {
	root, _ := own(&m.root, m.owner)
	high := ownKid(root, k>>rootShift, m.owner)
	mid := ownKid(high, k>>highShift&nodeMask, m.owner)
	low := ownKid(mid, k>>midShift&nodeMask, m.owner)
	l, made := ownLeaf(&low.kids[k>>lowShift&nodeMask], m.owner)
	if made {
		low.used++
	}
	m.hot, m.hotKey = l, k>>leafBits
	return l
}

// Delete removes a key, and tells the value that it had.
func (m *Map[K, V]) Delete(key K) (old V, deleted bool) {
	if old, deleted = m.Get(key); !deleted {
		return old, false
	}
	k := uint32(key)
	l := m.ownLeafOf(k)
	var none V
	l.there &^= 1 << (k & leafMask)
	l.values[k&leafMask] = none
	m.count--
	if l.there == 0 {
		m.prune(k)
	}
	return old, true
}

// prune forgets an empty leaf, and what was there for it alone. The way to it is this side's own.
func (m *Map[K, V]) prune(k uint32) {
	m.hot = nil
	high := m.root.kids[k>>rootShift]
	mid := high.kids[k>>highShift&nodeMask]
	low := mid.kids[k>>midShift&nodeMask]
	if drop(low, k>>lowShift&nodeMask) && drop(mid, k>>midShift&nodeMask) && drop(high, k>>highShift&nodeMask) && drop(m.root, k>>rootShift) {
		m.root = nil
	}
}

// drop forgets an empty kid; true when that was the last one.
func drop[C any](n *node[C], i uint32) bool {
	n.kids[i] = nil
	n.used--
	return n.used == 0
}

// own makes the node at a place one that owner may write.
func own[C any](at **node[C], owner uint64) (n *node[C], made bool) {
	n = *at
	switch {
	case n == nil:
		n, made = &node[C]{owner: owner}, true
	case n.owner == owner:
		return n, false
	default:
		c := *n
		c.owner, n = owner, &c
	}
	*at = n
	return n, made
}

func ownKid[C any](n *node[node[C]], i uint32, owner uint64) *node[C] {
	kid, made := own(&n.kids[i], owner)
	if made {
		n.used++
	}
	return kid
}

func ownLeaf[V any](at **leaf[V], owner uint64) (l *leaf[V], made bool) {
	l = *at
	switch {
	case l == nil:
		l, made = &leaf[V]{owner: owner}, true
	case l.owner == owner:
		return l, false
	default:
		c := *l
		c.owner, l = owner, &c
	}
	*at = l
	return l, made
}

// leafFrom is the first leaf that has keys from k on, and the first of them that it can have; nil if there is none.
func (m *Map[K, V]) leafFrom(k uint64) (*leaf[V], uint64) {
	for m.root != nil && k < end {
		high := m.root.kids[k>>rootShift]
		if high == nil {
			k = (k>>rootShift + 1) << rootShift
			continue
		}
		mid := high.kids[k>>highShift&nodeMask]
		if mid == nil {
			k = (k>>highShift + 1) << highShift
			continue
		}
		low := mid.kids[k>>midShift&nodeMask]
		if low == nil {
			k = (k>>midShift + 1) << midShift
			continue
		}
		if l := low.kids[k>>lowShift&nodeMask]; l != nil {
			return l, k
		}
		k = (k>>lowShift + 1) << lowShift
	}
	return nil, end
}

// Ascend gives keys and values from a key on, in order, until yield returns false. The map must not be changed meanwhile.
func (m *Map[K, V]) Ascend(from K, yield func(K, V) bool) {
	for l, k := m.leafFrom(uint64(from)); l != nil; l, k = m.leafFrom((k | leafMask) + 1) {
		for left := l.there >> (k & leafMask) << (k & leafMask); left != 0; left &= left - 1 {
			i := bits.TrailingZeros32(left)
			if !yield(K(k&^leafMask|uint64(i)), l.values[i]) {
				return
			}
		}
	}
}

// Scan gives all keys and values in order, until yield returns false. The map must not be changed meanwhile.
func (m *Map[K, V]) Scan(yield func(K, V) bool) { m.Ascend(0, yield) }

// Keys are all keys in order.
func (m *Map[K, V]) Keys() []K {
	keys := make([]K, 0, m.count)
	m.Scan(func(k K, _ V) bool {
		keys = append(keys, k)
		return true
	})
	return keys
}
