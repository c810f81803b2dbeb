package kernel

import (
	"cmp"
	"math"
	"math/bits"
	"time"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_TBF_….
const (
	tbfParms      = 1
	tbfRate64     = 4
	tbfPeakRate64 = 5
	tbfBurst      = 6
	tbfPeakBurst  = 7
)

// encodeTbf sends bursts in both forms, as tc(8) does: ticks for old kernels, and bytes,
// which new ones take instead.
func encodeTbf(b []byte, o tc.Tbf, e encoding) ([]byte, error) {
	rate := ratespec{layer: o.LinkLayer, overhead: o.Overhead, mpu: uint16(min(o.MPU, math.MaxUint16)), rate: o.Rate.BytesPerSecond()}
	var peak ratespec
	var mtuTicks uint32
	if o.PeakRate != 0 {
		peak = rate
		peak.rate = o.PeakRate.BytesPerSecond()
		mtuTicks = e.host.BurstTicks(o.PeakRate, o.MTU)
	}
	b = appendNest(b, tbfParms, func(b []byte) []byte {
		b = appendRatespec(b, rate)
		if o.PeakRate != 0 {
			b = appendRatespec(b, peak)
		} else {
			b = append(b, make([]byte, ratespecLen)...)
		}
		// The rest of struct tc_tbf_qopt: limit, buffer, mtu.
		return appendWords(b, tbfLimit(o), e.host.BurstTicks(o.Rate, o.Burst), mtuTicks)
	})
	b = append32(b, tbfBurst, o.Burst)
	b = appendRate64(b, tbfRate64, rate.rate)
	if o.PeakRate != 0 {
		b = appendRate64(b, tbfPeakRate64, peak.rate)
		b = append32(b, tbfPeakBurst, o.MTU)
	}
	return b, nil
}

// tbfLimit is the limit, or what tc(8) makes of a latency: what passes during it, and a burst
// (tbf_parse_opt in q_tbf.c).
func tbfLimit(o tc.Tbf) uint32 {
	if o.Limit != 0 {
		return o.Limit
	}
	waiting := func(rate tc.Rate, burst uint32) float64 {
		return float64(rate.BytesPerSecond())*float64(o.Latency/time.Microsecond)/1e6 + float64(burst)
	}
	limit := waiting(o.Rate, o.Burst)
	if o.PeakRate != 0 {
		limit = min(limit, waiting(o.PeakRate, o.MTU))
	}
	return uint32(min(limit, math.MaxUint32))
}

func decodeTbf(value []byte, host tc.Host) (tc.Options, error) {
	var rate, peak ratespec
	var rate64, peak64 uint64
	var rest []uint32
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case tbfParms:
			if b := a.Bytes(); len(b) >= 2*ratespecLen {
				rate, peak = readRatespec(b), readRatespec(b[ratespecLen:])
				rest = words(b[2*ratespecLen:], 3)
			}
		case tbfRate64:
			rate64 = a.Uint64()
		case tbfPeakRate64:
			peak64 = a.Uint64()
		}
	})
	if err == nil && rest == nil {
		err = errShort
	}
	if err != nil {
		return nil, err
	}
	rate.rate, peak.rate = cmp.Or(rate64, rate.rate), cmp.Or(peak64, peak.rate)
	o := tc.Tbf{
		Rate: rate.bits(), PeakRate: peak.bits(), Limit: rest[0],
		MPU: uint32(rate.mpu), Overhead: rate.overhead, LinkLayer: rate.layer,
	}
	o.Burst = tbfSize(host, rate, rest[1])
	if o.PeakRate != 0 {
		o.MTU = tbfSize(host, peak, rest[2])
	}
	return o, nil
}

// tbfSize is the canonical form of a burst whose duration the kernel reports in ticks.
// Other than htb, tbf computes that from the bytes, with overhead and cells
// (psched_l2t_ns in net/sch_generic.h), and cuts it off to a tick. Up to 125 Mbit/s, where a
// tick is less than a byte, the size is found exactly; above it can be one microsecond off,
// and with cells by one cell.
func tbfSize(host tc.Host, r ratespec, ticks uint32) uint32 {
	nanos := (uint64(ticks) + 1) * tickNanos(host)
	hi, lo := bits.Mul64(nanos, r.rate)
	if hi >= 1e9 {
		return math.MaxUint32
	}
	size, _ := bits.Div64(hi, lo, 1e9)
	if r.layer == tc.LinkLayerATM {
		size = size / 53 * 48
	}
	size = min(size-min(size, uint64(r.overhead)), math.MaxUint32)
	return host.BurstBytes(r.bits(), host.BurstTicks(r.bits(), uint32(size)))
}
