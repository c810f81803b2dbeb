package bakery

import (
	"errors"
	"fmt"
	"math/bits"

	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
)

// rings is the number of rings of majors: ring i holds 2^i to 2^(i+1)-1. Qdiscs that
// no client gave a handle take theirs from the highest ring that has room: the upper
// half, in which the kernel assigns too, and last the low majors of the queues.
const rings = 16

// reserved majors are never assigned: 7fff: is mq's, ffff: is clsact's.
func reserved(major uint16) bool { return major == rootMajor || major == 0xffff }

var errNoHandle = errors.New("no free qdisc handle left on the link, which has all 65,534")

// leafHandles remembers which major each slot (a qdisc's parent) was given. It
// outlives resets, so that a refresh gives the same leaf the same handle
// whatever comes before it in the stream, and needs no kernel write.
type leafHandles struct {
	bySlot  radix.Map[tc.Handle, uint16]
	byMajor radix.Short[tc.Handle]
	inRing  [rings]uint32 // remembered majors of each
}

func (h *leafHandles) clone() *leafHandles {
	return &leafHandles{bySlot: *h.bySlot.Copy(), byMajor: *h.byMajor.Copy(), inRing: h.inRing}
}

func (h *leafHandles) remember(slot tc.Handle, major uint16) {
	if old, ok := h.bySlot.Get(slot); ok {
		if old == major { // one slot has a major, and one major a slot
			return
		}
		h.forget(slot, old)
	}
	if old, ok := h.byMajor.Get(major); ok {
		h.forget(old, major)
	}
	h.bySlot.Set(slot, major)
	h.byMajor.Set(major, slot)
	h.count(major, 1)
}

func (h *leafHandles) forget(slot tc.Handle, major uint16) {
	h.bySlot.Delete(slot)
	h.byMajor.Delete(major)
	h.count(major, ^uint32(0))
}

func (h *leafHandles) count(major uint16, by uint32) { h.inRing[bits.Len16(major)-1] += by }

// leafHandle chooses the handle of a new qdisc at slot: the one it had before,
// which is known, else a free one, searched from a place that only the slot decides.
// It changes nothing: rememberHandle does, once the qdisc is in the Tree.
func (t *Tree) leafHandle(link string, slot tc.Handle) (handle tc.Handle, known bool, err error) {
	h, _ := t.handles.Get(link)
	if h == nil {
		h = &leafHandles{}
	}
	if major, ok := h.bySlot.Get(slot); ok && !t.state.HandleInUse(link, major) {
		return tc.NewHandle(major, 0), true, nil
	}
	inUse := func(major uint16) bool { return t.state.HandleInUse(link, major) }
	taken := func(major uint16) bool { _, ok := h.byMajor.Get(major); return ok || inUse(major) }
	if major, ok := probe(slot, h.inRing, taken); ok {
		return tc.NewHandle(major, 0), false, nil
	}
	// All are remembered: one whose qdisc is gone is given away.
	if major, ok := probe(slot, [rings]uint32{}, inUse); ok {
		return tc.NewHandle(major, 0), false, nil
	}
	return 0, false, fmt.Errorf("link %s: %w", link, errNoHandle)
}

// remembers reports a slot that was given a handle before.
func (t *Tree) remembers(link string, slot tc.Handle) bool {
	h, _ := t.handles.Get(link)
	if h == nil {
		return false
	}
	_, ok := h.bySlot.Get(slot)
	return ok
}

// scarceHandles counts, while many leaves are made, how many majors of each ring are in use on
// a link, once that matters: when all are in use or remembered, which doesn't change while
// leaves come.
type scarceHandles struct {
	counted bool
	inRing  [rings]uint32
}

// scarceHandle is leafHandle for one of many new qdiscs, each of which is put into the Tree
// before the next is asked for: full rings aren't walked for every one of them.
func (t *Tree) scarceHandle(s *scarceHandles, link string, slot tc.Handle) (tc.Handle, error) {
	h, _ := t.handles.Get(link)
	if h == nil {
		h = &leafHandles{}
	}
	major, ok := s.choose(h, slot, func(major uint16) bool { return t.state.HandleInUse(link, major) })
	if !ok {
		return 0, fmt.Errorf("link %s: %w", link, errNoHandle)
	}
	return tc.NewHandle(major, 0), nil
}

func (s *scarceHandles) choose(h *leafHandles, slot tc.Handle, inUse func(uint16) bool) (major uint16, ok bool) {
	if major, ok = h.bySlot.Get(slot); ok && !inUse(major) {
		s.use(major)
		return major, true
	}
	if !s.counted {
		taken := func(major uint16) bool { _, ok := h.byMajor.Get(major); return ok || inUse(major) }
		if major, ok = probe(slot, h.inRing, taken); ok {
			return major, true
		}
		s.count(inUse)
	}
	if major, ok = probe(slot, s.inRing, inUse); ok {
		s.use(major)
	}
	return major, ok
}

func (s *scarceHandles) count(inUse func(uint16) bool) {
	s.counted = true
	for major := 1; major <= 0xffff; major++ {
		if m := uint16(major); !reserved(m) && inUse(m) {
			s.inRing[bits.Len16(m)-1]++
		}
	}
}

// use counts a major that comes into use.
func (s *scarceHandles) use(major uint16) {
	if s.counted {
		s.inRing[bits.Len16(major)-1]++
	}
}

func (t *Tree) rememberHandle(link string, slot, handle tc.Handle) {
	h, _ := t.handles.Get(link)
	if h == nil {
		h = &leafHandles{}
		t.handles.Set(link, h)
	}
	h.remember(slot, handle.Major())
}

// probe walks each ring that isn't full to the first major that isn't taken. Where it
// begins and how far it steps only the slot decides; an odd step visits all of a ring.
func probe(slot tc.Handle, inRing [rings]uint32, taken func(uint16) bool) (uint16, bool) {
	hash := spread(uint32(slot))
	step := spread(hash) | 1
	for i := rings - 1; i >= 0; i-- {
		size := uint32(1) << i
		room := size
		if reserved(uint16(2*size - 1)) {
			room--
		}
		if inRing[i] >= room {
			continue
		}
		for n, at := uint32(0), hash; n < size; n, at = n+1, at+step {
			if major := uint16(size | at&(size-1)); !reserved(major) && !taken(major) {
				return major, true
			}
		}
	}
	return 0, false
}

// spread mixes bits, so that neighbours don't probe the same places: the finalizer
// of MurmurHash3 (Austin Appleby, public domain). It is part of the log's meaning:
// never change it.
func spread(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x85ebca6b
	x ^= x >> 13
	x *= 0xc2b2ae35
	return x ^ x>>16
}
