package kernel

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_HTB_….
const (
	htbParms      = 1
	htbInit       = 2
	htbDirectQlen = 5
	htbRate64     = 6
	htbCeil64     = 7
	htbOffload    = 9
)

// htbVersion is TC_HTB_PROTOVER; the kernel refuses others.
const htbVersion = 3

// errShort is a struct that is shorter than the kernel makes it.
var errShort = errors.New("struct is cut short")

func encodeHTB(b []byte, o tc.HTB, _ encoding) ([]byte, error) {
	// struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts.
	b = appendBytes(b, htbInit, appendWords(nil, htbVersion, cmp.Or(o.R2Q, 10), o.Default, 0, 0))
	if o.DirectQlen.Given {
		b = append32(b, htbDirectQlen, o.DirectQlen.Value)
	}
	if o.Offload {
		b = appendBytes(b, htbOffload, nil)
	}
	return b, nil
}

func decodeHTB(value []byte, _ tc.Host) (tc.Options, error) {
	var o tc.HTB
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case htbInit:
			glob := words(a.Bytes(), 5)
			o.R2Q, o.Default = glob[1], glob[2]
		case htbDirectQlen:
			o.DirectQlen = tc.Some(a.Uint32())
		case htbOffload:
			o.Offload = true
		}
	})
	o.R2Q = cmp.Or(o.R2Q, 1)
	return o, err
}

// encodeClass appends TCA_OPTIONS of a class. What wasn't given is what tc(8) computes
// (htb_parse_class_opt in q_htb.c); the quantum is left to the kernel.
func encodeClass(b []byte, c tc.HTBClass, host tc.Host) []byte {
	ceil := cmp.Or(c.Ceil, c.Rate)
	burst := cmp.Or(c.Burst, computedBurst(host, c.Rate, c.MTU))
	cburst := cmp.Or(c.Cburst, computedBurst(host, ceil, c.MTU))
	rate := ratespec{layer: c.LinkLayer, overhead: c.Overhead, mpu: c.MPU, rate: c.Rate.BytesPerSecond()}
	upper := rate
	upper.rate = ceil.BytesPerSecond()
	return appendNest(b, tcaOptions, func(b []byte) []byte {
		b = appendRate64(b, htbRate64, rate.rate)
		b = appendRate64(b, htbCeil64, upper.rate)
		// struct tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, prio.
		return appendNest(b, htbParms, func(b []byte) []byte {
			b = appendRatespec(appendRatespec(b, rate), upper)
			return appendWords(b, host.BurstTicks(c.Rate, burst), host.BurstTicks(ceil, cburst), c.Quantum, 0, c.Prio)
		})
	})
}

// computedBurst is the burst that tc(8) sends if none was given: what goes out during one
// clock tick, and one packet of 1600 bytes or mtu.
func computedBurst(host tc.Host, rate tc.Rate, mtu uint32) uint32 {
	return uint32(rate.BytesPerSecond()/cmp.Or(host.HZ, 1e9)) + cmp.Or(mtu, 1600)
}

// decodeClass is the parameters of a class, in the form of tc.Canonical.
func decodeClass(value []byte, host tc.Host) (tc.HTBClass, error) {
	var c tc.HTBClass
	var rate, ceil ratespec
	var rate64, ceil64 uint64
	var rest [5]uint32
	whole, torn := false, false
	err := attributes(value, func(typ uint16, b []byte) {
		switch {
		case typ == htbParms && len(b) >= 2*ratespecLen:
			whole = true
			rate, ceil = readRatespec(b), readRatespec(b[ratespecLen:])
			readWords(rest[:], b[2*ratespecLen:])
		case typ == htbRate64 && len(b) == 8:
			rate64 = native.Uint64(b)
		case typ == htbCeil64 && len(b) == 8:
			ceil64 = native.Uint64(b)
		case typ == htbRate64 || typ == htbCeil64:
			torn = true
		}
	})
	if err == nil && (torn || !whole) {
		err = errShort
	}
	if err != nil {
		return c, fmt.Errorf("decoding htb class: %w", err)
	}
	rate.rate, ceil.rate = cmp.Or(rate64, rate.rate), cmp.Or(ceil64, ceil.rate)
	c = tc.HTBClass{
		Rate: rate.bits(), Ceil: ceil.bits(), Quantum: rest[2], Prio: rest[4],
		MPU: rate.mpu, Overhead: rate.overhead, LinkLayer: rate.layer,
	}
	c.Burst = host.BurstBytes(c.Rate, rest[0])
	c.Cburst = host.BurstBytes(c.Ceil, rest[1])
	return c, nil
}
