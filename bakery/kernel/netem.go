package kernel

import (
	"math"
	"time"

	"github.com/mdlayher/netlink"

	"lqosd/bakery/tc"
)

// Attributes TCA_NETEM_….
const (
	netemCorr      = 1
	netemDelayDist = 2
	netemReorder   = 3
	netemCorrupt   = 4
	netemLoss      = 5
	netemRate      = 6
	netemECN       = 7
	netemRate64    = 8
	netemLatency64 = 10
	netemJitter64  = 11
	netemSlot      = 12
	netemSlotDist  = 13
)

// Attributes NETEM_LOSS_… in netemLoss.
const (
	netemLossGI = 1
	netemLossGE = 2
)

// netemBasic is the length of struct tc_netem_qopt, which the attributes follow.
const netemBasic = 24

// nested is NLA_F_NESTED, which tc(8) sets for this attribute only.
const nested = netlink.Nested

// encodeNetem sends times in ticks, as tc(8) does.
func encodeNetem(b []byte, o tc.Netem, e encoding) ([]byte, error) {
	loss := uint32(0)
	if o.Loss.Model == tc.LossRandom {
		loss = uint32(o.Loss.P[0])
	}
	// struct tc_netem_qopt: latency, limit, loss, gap, duplicate, jitter.
	b = appendWords(b, netemTicks(e.host, o.Delay), o.Limit.Or(1000), loss, netemGap(o), uint32(o.Duplicate), netemTicks(e.host, o.Jitter))
	if corr := lossCorr(o.Loss); o.DelayCorr != 0 || corr != 0 || o.DupCorr != 0 {
		b = appendBytes(b, netemCorr, appendWords(nil, uint32(o.DelayCorr), uint32(corr), uint32(o.DupCorr)))
	}
	if o.Reorder != 0 || o.ReorderCorr != 0 {
		b = appendBytes(b, netemReorder, appendWords(nil, uint32(o.Reorder), uint32(o.ReorderCorr)))
	}
	if o.ECN {
		b = append32(b, netemECN, 1)
	}
	if o.Corrupt != 0 || o.CorruptCorr != 0 {
		b = appendBytes(b, netemCorrupt, appendWords(nil, uint32(o.Corrupt), uint32(o.CorruptCorr)))
	}
	b = appendSlot(b, o.Slot)
	b = appendLoss(b, o.Loss)
	b = appendNetemRate(b, o.Rate)
	b, err := appendDistribution(b, netemDelayDist, o.Distribution)
	if err != nil {
		return nil, err
	}
	return appendDistribution(b, netemSlotDist, o.Slot.Distribution)
}

// netemGap is the gap, 1 for a reordering without one (netem_parse_opt in q_netem.c).
func netemGap(o tc.Netem) uint32 {
	if o.Reorder != 0 {
		return orZero(o.Gap, 1)
	}
	return o.Gap
}

// netemTicks is a time in ticks, cut off as tc_core_time2tick in tc_core.c does.
func netemTicks(host tc.Host, d time.Duration) uint32 {
	nanos := uint64(d.Truncate(time.Microsecond))
	return uint32(min(nanos/tickNanos(host), math.MaxUint32))
}

func lossCorr(l tc.NetemLoss) tc.Percent {
	if l.Model == tc.LossRandom {
		return l.P[1]
	}
	return 0
}

// appendLoss appends the models that have states; h is what the kernel has for 1-h.
func appendLoss(b []byte, l tc.NetemLoss) []byte {
	p := l.P
	switch l.Model {
	case tc.LossState: // struct tc_netem_gimodel: p13, p31, p32, p14, p23
		return appendNest(b, netemLoss|nested, func(b []byte) []byte {
			return appendBytes(b, netemLossGI, appendWords(nil, uint32(p[0]), uint32(p[1]), uint32(p[2]), uint32(p[4]), uint32(p[3])))
		})
	case tc.LossGE: // struct tc_netem_gemodel: p, r, h, k1
		return appendNest(b, netemLoss|nested, func(b []byte) []byte {
			return appendBytes(b, netemLossGE, appendWords(nil, uint32(p[0]), uint32(p[1]), math.MaxUint32-uint32(p[2]), uint32(p[3])))
		})
	}
	return b
}

func appendNetemRate(b []byte, r tc.NetemRate) []byte {
	if r == (tc.NetemRate{}) {
		return b
	}
	rate := r.Rate.BytesPerSecond()
	b = appendRate64(b, netemRate64, rate)
	return appendBytes(b, netemRate, appendWords(nil, uint32(min(rate, math.MaxUint32)),
		uint32(r.PacketOverhead), r.CellSize, uint32(r.CellOverhead)))
}

// appendSlot appends struct tc_netem_slot; times are in nanoseconds.
func appendSlot(b []byte, s tc.NetemSlot) []byte {
	if s == (tc.NetemSlot{}) {
		return b
	}
	v := native.AppendUint64(nil, uint64(s.MinDelay))
	v = native.AppendUint64(v, uint64(s.MaxDelay))
	v = appendWords(v, uint32(s.Packets), uint32(s.Bytes))
	v = native.AppendUint64(v, uint64(s.Delay))
	return appendBytes(b, netemSlot, native.AppendUint64(v, uint64(s.Jitter)))
}

// decodeNetem reads what netem_dump in sch_netem.c writes. The kernel doesn't report which
// distribution it was given.
func decodeNetem(value []byte, host tc.Host) (tc.Options, error) {
	if len(value) < netemBasic {
		return nil, errShort
	}
	w := words(value, 6)
	o := tc.Netem{Limit: tc.Some(w[1]), Gap: w[3], Duplicate: tc.Percent(w[4])}
	tick := tickNanos(host)
	latency, jitter := int64(uint64(w[0])*tick), int64(uint64(w[5])*tick)
	corr := make([]uint32, 3)
	err := eachAttribute(value[netemBasic:], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case netemCorr:
			corr = words(a.Bytes(), 3)
		case netemReorder:
			o.Reorder, o.ReorderCorr = percents(a.Bytes())
		case netemCorrupt:
			o.Corrupt, o.CorruptCorr = percents(a.Bytes())
		case netemECN:
			o.ECN = a.Uint32() != 0
		case netemLatency64:
			latency = a.Int64()
		case netemJitter64:
			jitter = a.Int64()
		case netemSlot:
			o.Slot = readSlot(a.Bytes())
		case netemLoss:
			o.Loss = readLoss(a.Bytes())
		}
	})
	if o.Gap == 0 { // what is left of a reordering that was
		o.Reorder, o.ReorderCorr = 0, 0
	}
	o.Delay, o.Jitter = upMicros(latency), upMicros(jitter)
	o.DelayCorr, o.DupCorr = tc.Percent(corr[0]), tc.Percent(corr[2])
	if o.Loss.Model == tc.LossNone && w[2] != 0 {
		o.Loss = tc.NetemLoss{Model: tc.LossRandom, P: [5]tc.Percent{tc.Percent(w[2]), tc.Percent(corr[1])}}
	}
	if err != nil {
		return nil, err
	}
	o.Rate, err = readNetemRate(value[netemBasic:])
	return o, err
}

func percents(b []byte) (p, corr tc.Percent) {
	w := words(b, 2)
	return tc.Percent(w[0]), tc.Percent(w[1])
}

// upMicros undoes what ticks cut off of whole microseconds.
func upMicros(nanos int64) time.Duration {
	return (time.Duration(nanos) + time.Microsecond - 1).Truncate(time.Microsecond)
}

func readSlot(b []byte) tc.NetemSlot {
	if len(b) < 40 {
		return tc.NetemSlot{}
	}
	nanos := func(at int) time.Duration { return time.Duration(native.Uint64(b[at:])) }
	return tc.NetemSlot{
		MinDelay: nanos(0), MaxDelay: nanos(8), Delay: nanos(24), Jitter: nanos(32),
		Packets: int32(native.Uint32(b[16:])), Bytes: int32(native.Uint32(b[20:])),
	}
}

// readLoss reads a model that has states; none where it can't.
func readLoss(b []byte) tc.NetemLoss {
	var l tc.NetemLoss
	_ = eachAttribute(b, func(a *netlink.AttributeDecoder) {
		w := words(a.Bytes(), 5)
		for i := range w {
			l.P[i] = tc.Percent(w[i])
		}
		switch a.Type() {
		case netemLossGI:
			l.Model = tc.LossState
			l.P[3], l.P[4] = l.P[4], l.P[3]
		case netemLossGE:
			l.Model = tc.LossGE
			l.P[2] = math.MaxUint32 - l.P[2]
		}
	})
	return l
}

// readNetemRate reads the speed, which is in two attributes if it needs more than 32 bits.
func readNetemRate(b []byte) (tc.NetemRate, error) {
	var r tc.NetemRate
	var spec ratespec
	var rate64 uint64
	err := eachAttribute(b, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case netemRate:
			w := words(a.Bytes(), 4)
			spec.rate = uint64(w[0])
			r.PacketOverhead, r.CellSize, r.CellOverhead = int32(w[1]), w[2], int32(w[3])
		case netemRate64:
			rate64 = a.Uint64()
		}
	})
	if rate64 != 0 {
		spec.rate = rate64
	}
	r.Rate = spec.bits()
	return r, err
}
