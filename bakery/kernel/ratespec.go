package kernel

import (
	"math"

	"lqosd/bakery/tc"
)

// ratespec is struct tc_ratespec. Its cell_log and cell_align, which describe rate tables,
// are left out: kernels since 3.8 don't use them, nor report them.
//
// The tables themselves (TCA_HTB_RTAB, TCA_HTB_CTAB, TCA_TBF_RTAB: 1 KiB each) are not sent
// either. Since 3.11 a kernel looks into them for one thing only, to guess the link layer
// where linklayer is 0 (__detect_linklayer in sch_api.c), and we always say which it is.
type ratespec struct {
	layer    tc.LinkLayer
	overhead uint16
	mpu      uint16
	rate     uint64 // bytes per second; over 32 bits there is an attribute of 64
}

const ratespecLen = 12

// Values of enum tc_link_layer.
const (
	layerEthernet = 1
	layerATM      = 2
)

// appendRatespec appends the struct; a rate that needs more than 32 bits is all ones.
func appendRatespec(b []byte, r ratespec) []byte {
	layer := byte(layerEthernet)
	if r.layer == tc.LinkLayerATM {
		layer = layerATM
	}
	b = append(b, 0, layer)
	b = native.AppendUint16(b, r.overhead)
	b = native.AppendUint16(b, 0)
	b = native.AppendUint16(b, r.mpu)
	return native.AppendUint32(b, uint32(min(r.rate, math.MaxUint32)))
}

// appendRate64 appends the attribute that goes with a ratespec, if it is needed.
func appendRate64(b []byte, typ uint16, rate uint64) []byte {
	if rate < math.MaxUint32+1 {
		return b
	}
	return append64(b, typ, rate)
}

// readRatespec reads the struct from the ratespecLen bytes at b's start.
func readRatespec(b []byte) ratespec {
	r := ratespec{
		layer:    tc.LinkLayerEthernet,
		overhead: native.Uint16(b[2:]),
		mpu:      native.Uint16(b[6:]),
		rate:     uint64(native.Uint32(b[8:])),
	}
	if b[1]&0xf == layerATM {
		r.layer = tc.LinkLayerATM
	}
	return r
}

// bits is the rate in the unit of package tc.
func (r ratespec) bits() tc.Rate { return tc.Rate(min(r.rate, math.MaxUint64/8) * 8) }
