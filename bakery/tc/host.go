package tc

import (
	"math"
	"math/bits"
)

// Host is what tc(8) and the kernel look up on a machine before they compute a
// value that was not given. The zero value is right for every current 64-bit
// Linux with Ethernet links.
type Host struct {
	// HZ divides a rate into the burst that is added to the MTU; tc(8)
	// takes it from the last column of /proc/net/psched. 0 means 1e9, which
	// kernels with high-resolution timers report.
	HZ uint64
	// TickNanos is the length of the kernel's scheduler tick in ns, from
	// /proc/net/psched (1000 × second column / first). 0 means 64.
	TickNanos uint64
	// Links hold what differs between links; one that is missing has an MTU
	// of 1500 and a queue of 1000 packets.
	Links map[string]LinkInfo
}

// LinkInfo is what the kernel derives qdisc defaults from.
type LinkInfo struct {
	MTU        uint32 // bytes, without the Ethernet header; 0 means 1500
	TxQueueLen uint32 // packets; 0 means 1000
}

func (h Host) hz() uint64 { return orZero(h.HZ, 1e9) }

func (h Host) tickNanos() uint64 { return orZero(h.TickNanos, 64) }

func (h Host) link(name string) LinkInfo {
	l := h.Links[name]
	return LinkInfo{MTU: orZero(l.MTU, 1500), TxQueueLen: orZero(l.TxQueueLen, 1000)}
}

// frame is the kernel's psched_mtu: MTU and Ethernet header.
func (l LinkInfo) frame() uint32 { return l.MTU + 14 }

// BurstTicks is the time that size bytes take at rate, in scheduler ticks: the
// form in which a burst goes to the kernel. tc(8) cuts it off to whole
// microseconds first and to whole ticks then (tc_calc_xmittime in tc_core.c);
// so does this. A rate under 8 bit/s gives 0. What needs more than 32 bits of
// ticks, over 270 seconds, is cut down to them, where tc(8) wraps around.
func (h Host) BurstTicks(rate Rate, size uint32) uint32 {
	return h.microTicks(transmitMicros(rate, size))
}

// BurstBytes is the canonical size of a burst that the kernel reports as
// ticks: the fewest bytes for which BurstTicks gives the same ticks again, at
// least 1.
func (h Host) BurstBytes(rate Rate, ticks uint32) uint32 {
	// Whole microseconds are further apart than ticks, so rounding up finds
	// the one that tc(8) started from.
	nanos := uint64(ticks) * h.tickNanos()
	return transmitBytes(rate, (nanos+999)/1000)
}

func (h Host) microTicks(micros uint64) uint32 {
	hi, lo := bits.Mul64(micros, 1000)
	if hi != 0 {
		return math.MaxUint32
	}
	return uint32(min(lo/h.tickNanos(), math.MaxUint32))
}

func transmitMicros(rate Rate, size uint32) uint64 {
	bps := rate.BytesPerSecond()
	if bps == 0 {
		return 0
	}
	return uint64(size) * 1e6 / bps
}

func transmitBytes(rate Rate, micros uint64) uint32 {
	hi, lo := bits.Mul64(rate.BytesPerSecond(), micros)
	if hi >= 1e6 {
		return math.MaxUint32
	}
	q, r := bits.Div64(hi, lo, 1e6)
	if r != 0 {
		q++
	}
	return uint32(min(max(q, 1), math.MaxUint32))
}

// computedBurst is what tc(8) uses for a burst that was not given: what goes out
// during one clock tick, and one packet (htb_parse_class_opt in q_htb.c).
func (h Host) computedBurst(rate Rate, mtu uint32) uint32 {
	return uint32(rate.BytesPerSecond()/h.hz()) + orZero(mtu, 1600)
}

// canonicalBurst is the canonical size of a burst; size 0 was not given.
func (h Host) canonicalBurst(rate Rate, size, mtu uint32) uint32 {
	if size == 0 {
		size = h.computedBurst(rate, mtu)
	}
	if rate.BytesPerSecond() == 0 {
		return size
	}
	return transmitBytes(rate, transmitMicros(rate, size))
}
