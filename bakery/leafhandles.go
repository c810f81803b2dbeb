package bakery

import (
	"errors"
	"fmt"

	"github.com/tidwall/btree"

	"lqosd/bakery/tc"
)

// Qdiscs that no client gave a handle get one of these majors first: the half in
// which the kernel assigns too, and in which no queue has its HTB.
const (
	firstLeafMajor = 0x8000
	lastLeafMajor  = 0xfffe // ffff: is clsact's

	// manyRemembered is the number of remembered slots of a link from which on a new
	// slot takes the handle of one that is gone, instead of searching the last free few.
	manyRemembered = 0xfffe - 1024
)

var errNoHandle = errors.New("no free qdisc handle left on the link")

// leafHandles remembers which major each slot (a qdisc's parent) was given. It
// outlives resets, so that a refresh gives the same leaf the same handle
// whatever comes before it in the stream, and needs no kernel write.
type leafHandles struct {
	bySlot  btree.Map[tc.Handle, uint16]
	byMajor btree.Map[uint16, tc.Handle]
}

func (h *leafHandles) clone() *leafHandles {
	return &leafHandles{bySlot: *h.bySlot.Copy(), byMajor: *h.byMajor.Copy()}
}

func (h *leafHandles) remember(slot tc.Handle, major uint16) {
	if old, ok := h.bySlot.Set(slot, major); ok && old != major {
		h.byMajor.Delete(old)
	}
	if old, ok := h.byMajor.Set(major, slot); ok && old != slot {
		h.bySlot.Delete(old)
	}
}

// leafHandle chooses the handle of a new qdisc at slot: the one it had before,
// else a free one, searched from a place that only the slot decides. It changes
// nothing: rememberHandle does, once the qdisc is in the Tree.
func (t *Tree) leafHandle(link string, slot tc.Handle) (tc.Handle, error) {
	h := t.handles[link]
	if h == nil {
		h = &leafHandles{}
	}
	if major, ok := h.bySlot.Get(slot); ok && !t.state.HandleInUse(link, major) {
		return tc.NewHandle(major, 0), nil
	}
	inUse := func(major uint16) bool { return t.state.HandleInUse(link, major) }
	if h.byMajor.Len() < manyRemembered {
		remembered := func(major uint16) bool { _, ok := h.byMajor.Get(major); return ok }
		if major, ok := probe(slot, func(m uint16) bool { return remembered(m) || inUse(m) }); ok {
			return tc.NewHandle(major, 0), nil
		}
	}
	if major, ok := probe(slot, inUse); ok {
		return tc.NewHandle(major, 0), nil
	}
	return 0, fmt.Errorf("link %s: %w", link, errNoHandle)
}

func (t *Tree) rememberHandle(link string, slot, handle tc.Handle) {
	h := t.handles[link]
	if h == nil {
		h = &leafHandles{}
		t.handles[link] = h
	}
	h.remember(slot, handle.Major())
}

// probe walks the upper half from the slot's own place, then the lower one from
// its end, to the first major that isn't taken.
func probe(slot tc.Handle, taken func(uint16) bool) (uint16, bool) {
	const n = lastLeafMajor - firstLeafMajor + 1
	start := spread(slot) % n
	for i := range uint32(n) {
		if major := uint16(firstLeafMajor + (start+i)%n); !taken(major) {
			return major, true
		}
	}
	for major := uint16(firstLeafMajor - 2); major > 0; major-- { // 7fff: is mq's
		if !taken(major) {
			return major, true
		}
	}
	return 0, false
}

// spread mixes a slot's bits, so that neighbours don't probe the same places:
// the finalizer of MurmurHash3 (Austin Appleby, public domain). It is part of
// the log's meaning: never change it.
func spread(slot tc.Handle) uint32 {
	x := uint32(slot)
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	return x ^ x>>16
}
