package kernel

import (
	"time"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_CODEL_….
const (
	codelTarget = iota + 1
	codelLimit
	codelInterval
	codelECN
	codelCEThreshold
)

// Attributes TCA_FQ_CODEL_…; the first four are those of codel.
const (
	fqCodelFlows = iota + 5
	fqCodelQuantum
	fqCodelCEThreshold
	fqCodelDropBatch
	fqCodelMemoryLimit
	fqCodelSelector
	fqCodelMask
)

func encodeCodel(b []byte, o tc.Codel, _ encoding) ([]byte, error) {
	b = appendCodel(b, codelCommon{o.Limit, o.Target, o.Interval, o.ECN})
	return appendTime(b, codelCEThreshold, o.CEThreshold), nil
}

// encodeFqCodel leaves the number of flows out of a change: the kernel refuses it even if it
// is the one that the qdisc has.
func encodeFqCodel(b []byte, o tc.FqCodel, e encoding) ([]byte, error) {
	b = appendCodel(b, codelCommon{o.Limit, o.Target, o.Interval, o.ECN})
	if e.verb != tc.Change {
		b = appendNonZero(b, fqCodelFlows, o.Flows)
	}
	b = appendNonZero(b, fqCodelQuantum, o.Quantum)
	b = appendTime(b, fqCodelCEThreshold, o.CEThreshold)
	if s := o.CESelector; s.Given {
		b = append8(b, fqCodelSelector, s.Value.Value)
		b = append8(b, fqCodelMask, s.Value.Mask)
	}
	b = appendOpt(b, fqCodelMemoryLimit, o.MemoryLimit)
	return appendNonZero(b, fqCodelDropBatch, o.DropBatch), nil
}

// codelCommon are the options that codel and fq_codel have in common.
type codelCommon struct {
	limit            uint32
	target, interval time.Duration
	ecn              tc.Switch
}

func appendCodel(b []byte, o codelCommon) []byte {
	b = appendNonZero(b, codelLimit, o.limit)
	b = appendNonZero(b, codelInterval, micros(o.interval))
	b = appendNonZero(b, codelTarget, micros(o.target))
	return appendSwitch(b, codelECN, o.ecn)
}

// read takes the attribute if it is one of the common ones.
func (o *codelCommon) read(a *netlink.AttributeDecoder) {
	switch a.Type() {
	case codelTarget:
		o.target = codelTime(a.Uint32())
	case codelLimit:
		o.limit = a.Uint32()
	case codelInterval:
		o.interval = codelTime(a.Uint32())
	case codelECN:
		o.ecn = position(a.Uint32())
	}
}

// codelTime is a time in microseconds as codel reports it.
func codelTime(us uint32) time.Duration {
	return tc.KernelCodelTime(time.Duration(us) * time.Microsecond)
}

func decodeCodel(value []byte, _ tc.Host) (tc.Options, error) {
	var o tc.Codel
	var c codelCommon
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		if c.read(a); a.Type() == codelCEThreshold {
			o.CEThreshold = tc.Some(codelTime(a.Uint32()))
		}
	})
	o.Limit, o.Target, o.Interval, o.ECN = c.limit, c.target, c.interval, c.ecn
	return o, err
}

func decodeFqCodel(value []byte, _ tc.Host) (tc.Options, error) {
	var o tc.FqCodel
	var c codelCommon
	var selector tc.CESelector
	err := eachAttribute(value, func(a *netlink.AttributeDecoder) {
		c.read(a)
		switch a.Type() {
		case fqCodelFlows:
			o.Flows = a.Uint32()
		case fqCodelQuantum:
			o.Quantum = a.Uint32()
		case fqCodelCEThreshold:
			o.CEThreshold = tc.Some(codelTime(a.Uint32()))
		case fqCodelDropBatch:
			o.DropBatch = a.Uint32()
		case fqCodelMemoryLimit:
			o.MemoryLimit = tc.Some(a.Uint32())
		case fqCodelSelector:
			selector.Value = a.Uint8()
		case fqCodelMask:
			selector.Mask = a.Uint8()
		}
	})
	if selector.Mask != 0 {
		o.CESelector = tc.Some(selector)
	}
	o.Limit, o.Target, o.Interval, o.ECN = c.limit, c.target, c.interval, c.ecn
	return o, err
}
