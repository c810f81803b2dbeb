package kernel

import (
	"time"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_CAKE_….
const (
	cakeBaseRate64 = iota + 2
	cakeDiffserv
	cakeATM
	cakeFlowMode
	cakeOverhead
	cakeRTT
	cakeTarget
	cakeAutorate
	cakeMemory
	cakeNAT
	cakeRaw
	cakeWash
	cakeMPU
	cakeIngress
	cakeAckFilter
	cakeSplitGSO
	cakeFwMark
)

// encodeCake numbers the modes as package tc does, which has "not given" in front.
func encodeCake(b []byte, o tc.Cake, _ encoding) ([]byte, error) {
	if o.Bandwidth != 0 || o.Unlimited {
		b = append64(b, cakeBaseRate64, o.Bandwidth.BytesPerSecond())
	}
	if o.Raw { // which stands for these two as well
		o.ATM = max(o.ATM, tc.CellNone)
		o.Overhead = tc.Some(o.Overhead.Value)
	}
	b = appendMode(b, cakeDiffserv, o.Diffserv)
	b = appendMode(b, cakeATM, o.ATM)
	b = appendMode(b, cakeFlowMode, o.FlowMode)
	if o.Overhead.Given {
		b = append32(b, cakeOverhead, uint32(o.Overhead.Value))
	}
	if o.Raw {
		b = append32(b, cakeRaw, 0)
	}
	b = appendOpt(b, cakeMPU, o.MPU)
	if o.RTT != 0 {
		b = append32(b, cakeRTT, micros(o.RTT))
		b = append32(b, cakeTarget, micros(o.Target()))
	}
	if o.Autorate || o.Bandwidth != 0 || o.Unlimited {
		b = appendBool(b, cakeAutorate, o.Autorate)
	}
	b = appendOpt(b, cakeMemory, o.MemLimit)
	b = appendOpt(b, cakeFwMark, o.FwMark)
	b = appendSwitch(b, cakeNAT, o.NAT)
	b = appendSwitch(b, cakeWash, o.Wash)
	b = appendSwitch(b, cakeSplitGSO, o.SplitGSO)
	b = appendSwitch(b, cakeIngress, o.Ingress)
	return appendMode(b, cakeAckFilter, o.AckFilter), nil
}

// appendMode appends one of several modes, which the kernel counts from 0.
func appendMode[T ~uint8](b []byte, typ uint16, mode T) []byte {
	if mode == 0 {
		return b
	}
	return append32(b, typ, uint32(mode)-1)
}

// readMode is a mode of the kernel; 0 for one that package tc doesn't know.
func readMode[T ~uint8](v uint32, last T) T {
	if v >= uint32(last) {
		return 0
	}
	return T(v) + 1
}

// decodeCake reads what cake_dump in sch_cake.c writes.
func decodeCake(value []byte, _ tc.Host) (tc.Options, error) {
	o := tc.Cake{MPU: tc.Some[uint32](0), MemLimit: tc.Some[uint32](0), FwMark: tc.Some[uint32](0)}
	o.NAT, o.Wash, o.SplitGSO, o.Ingress = tc.Off, tc.Off, tc.Off, tc.Off
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case cakeBaseRate64:
			o.Bandwidth = ratespec{rate: a.Uint64()}.bits()
		case cakeDiffserv:
			o.Diffserv = readMode(a.Uint32(), tc.Precedence)
		case cakeATM:
			o.ATM = readMode(a.Uint32(), tc.CellPTM)
		case cakeFlowMode:
			o.FlowMode = readMode(a.Uint32(), tc.FlowTripleIsolate)
		case cakeOverhead:
			o.Overhead = tc.Some(a.Int32())
		case cakeRTT:
			o.RTT = time.Duration(a.Uint32()) * time.Microsecond
		case cakeAutorate:
			o.Autorate = a.Uint32() != 0
		case cakeMemory:
			o.MemLimit.Value = a.Uint32()
		case cakeRaw:
			o.Raw = true
		case cakeMPU:
			o.MPU.Value = a.Uint32()
		case cakeAckFilter:
			o.AckFilter = readMode(a.Uint32(), tc.AckFilterAggressive)
		case cakeFwMark:
			o.FwMark.Value = a.Uint32()
		default:
			readCakeSwitch(&o, a)
		}
	})
	if err != nil {
		return nil, err
	}
	o.Unlimited = o.Bandwidth == 0
	if o.Diffserv == 0 || o.ATM == 0 || o.FlowMode == 0 || o.AckFilter == 0 {
		return tc.Foreign{Name: "cake"}, nil
	}
	return o, nil
}

func readCakeSwitch(o *tc.Cake, a *netlink.AttributeDecoder) {
	switch a.Type() {
	case cakeNAT:
		o.NAT = position(a.Uint32())
	case cakeWash:
		o.Wash = position(a.Uint32())
	case cakeIngress:
		o.Ingress = position(a.Uint32())
	case cakeSplitGSO:
		o.SplitGSO = position(a.Uint32())
	}
}
