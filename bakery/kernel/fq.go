package kernel

import (
	"math"
	"math/bits"
	"time"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_FQ_….
const (
	fqLimit = iota + 1
	fqFlowLimit
	fqQuantum
	fqInitialQuantum
	fqPacing
	fqDefRate
	fqMaxRate
	fqBucketsLog
	fqRefillDelay
	fqOrphanMask
	fqLowRateThreshold
	fqCEThreshold
	fqTimerSlack
	fqHorizon
	fqHorizonDrop
)

func encodeFq(b []byte, o tc.Fq, _ encoding) ([]byte, error) {
	if o.Buckets != 0 {
		b = append32(b, fqBucketsLog, uint32(bits.Len32(o.Buckets-1)))
	}
	b = appendOpt(b, fqLimit, o.Limit)
	b = appendOpt(b, fqFlowLimit, o.FlowLimit)
	b = appendOpt(b, fqQuantum, o.Quantum)
	b = appendOpt(b, fqInitialQuantum, o.InitialQuantum)
	b = appendSwitch(b, fqPacing, o.Pacing)
	b = appendRate(b, fqMaxRate, o.MaxRate)
	b = appendRate(b, fqLowRateThreshold, o.LowRateThreshold)
	b = appendRate(b, fqDefRate, o.DefRate)
	b = appendTime(b, fqRefillDelay, o.RefillDelay)
	b = appendOpt(b, fqOrphanMask, o.OrphanMask)
	b = appendTime(b, fqCEThreshold, o.CEThreshold)
	if o.TimerSlack.Given {
		b = append32(b, fqTimerSlack, uint32(min(o.TimerSlack.Value, math.MaxUint32)))
	}
	b = appendTime(b, fqHorizon, o.Horizon)
	if o.HorizonDrop != tc.Unset {
		b = append8(b, fqHorizonDrop, uint8(o.HorizonDrop-tc.Off))
	}
	return b, nil
}

// decodeFq takes all ones for "not given", which they are in fq_dump (sch_fq.c).
func decodeFq(value []byte, _ tc.Host) (tc.Options, error) {
	var o tc.Fq
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case fqLimit:
			o.Limit = tc.Some(a.Uint32())
		case fqFlowLimit:
			o.FlowLimit = tc.Some(a.Uint32())
		case fqQuantum:
			o.Quantum = tc.Some(a.Uint32())
		case fqInitialQuantum:
			o.InitialQuantum = tc.Some(a.Uint32())
		case fqPacing:
			o.Pacing = position(a.Uint32())
		case fqMaxRate:
			if v := a.Uint32(); v != math.MaxUint32 {
				o.MaxRate = tc.Some(8 * tc.Rate(v))
			}
		case fqBucketsLog:
			o.Buckets = 1 << (a.Uint32() & 31)
		case fqOrphanMask:
			o.OrphanMask = tc.Some(a.Uint32())
		case fqLowRateThreshold:
			o.LowRateThreshold = tc.Some(8 * tc.Rate(a.Uint32()))
		default:
			readFqTime(&o, a)
		}
	})
	return o, err
}

func readFqTime(o *tc.Fq, a *netlink.AttributeDecoder) {
	switch a.Type() {
	case fqRefillDelay:
		o.RefillDelay = tc.Some(time.Duration(a.Uint32()) * time.Microsecond)
	case fqCEThreshold:
		if v := a.Uint32(); v != math.MaxUint32 {
			o.CEThreshold = tc.Some(time.Duration(v) * time.Microsecond)
		}
	case fqTimerSlack:
		o.TimerSlack = tc.Some(time.Duration(a.Uint32()))
	case fqHorizon:
		o.Horizon = tc.Some(time.Duration(a.Uint32()) * time.Microsecond)
	case fqHorizonDrop:
		o.HorizonDrop = position(uint32(a.Uint8()))
	}
}
