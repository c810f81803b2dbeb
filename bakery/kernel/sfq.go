package kernel

import (
	"fmt"
	"math"

	"lqosd/bakery/tc"
)

// Flags of RED in struct tc_sfq_qopt_v1.
const (
	redECN      = 1
	redHardDrop = 2
)

// encodeSfq appends struct tc_sfq_qopt_v1, or nothing if nothing was given.
func encodeSfq(b []byte, o tc.Sfq, _ encoding) ([]byte, error) {
	if o == (tc.Sfq{}) {
		return b, nil
	}
	// struct tc_sfq_qopt: quantum, perturb_period, limit, divisor, flows; then depth, headdrop.
	b = appendWords(b, o.Quantum, uint32(o.Perturb), o.Limit, o.Divisor, o.Flows, o.Depth, bit(o.HeadDrop))
	red, err := newRED(o.Red)
	if err != nil {
		return nil, err
	}
	b = appendWords(b, red.limit, red.qthMin, red.qthMax)
	b = append(b, red.wlog, red.plog, 0, red.flags)
	b = appendWords(b, red.maxP)
	return append(b, make([]byte, 6*4)...), nil // struct tc_sfqred_stats
}

func bit(on bool) uint32 {
	if on {
		return 1
	}
	return 0
}

// red is the RED part of struct tc_sfq_qopt_v1.
type red struct {
	limit, qthMin, qthMax uint32
	wlog, plog, flags     uint8
	maxP                  uint32 // probability of a drop, in units of 2^-32
}

// newRED computes what sfq_parse_opt (q_sfq.c) does.
func newRED(o tc.SfqRed) (red, error) {
	if o.Limit == 0 {
		return red{}, nil
	}
	o.Max = orZero(o.Max, o.Limit/4)
	o.Min = orZero(o.Min, o.Max/3)
	o.AvPkt = orZero(o.AvPkt, 1000)
	o.Burst = orZero(o.Burst, (2*o.Min+o.Max)/(3*o.AvPkt))
	probability := o.Probability.Or(0.02)
	wlog, ok := redWlog(o.Min, o.Burst, o.AvPkt)
	if !ok {
		return red{}, fmt.Errorf("no weight goes with burst %d, min %d and avpkt %d: %w", o.Burst, o.Min, o.AvPkt, tc.ErrInvalid)
	}
	r := red{limit: o.Limit, qthMin: o.Min, qthMax: o.Max, wlog: wlog, plog: redPlog(o.Max-o.Min, probability)}
	r.maxP = uint32(min(probability*(1<<32), math.MaxUint32))
	if o.ECN {
		r.flags |= redECN
	}
	if o.HardDrop {
		r.flags |= redHardDrop
	}
	return r, nil
}

// orZero is the first value that isn't 0.
func orZero(given, fallback uint32) uint32 {
	if given != 0 {
		return given
	}
	return fallback
}

// redWlog is the logarithm of the smallest weight with which bursts of so many packets pass
// (tc_red_eval_ewma in tc_red.c; Floyd and Jacobson 1993, section 6).
func redWlog(lowest, burst, avpkt uint32) (uint8, bool) {
	a := float64(burst) + 1 - float64(lowest)/float64(avpkt)
	if a < 1 {
		return 0, false
	}
	weight := 0.5
	for wlog := uint8(1); wlog < 32; wlog++ {
		if a <= (1-math.Pow(1-weight, float64(burst)))/weight {
			return wlog, true
		}
		weight /= 2
	}
	return 0, false
}

// redPlog is how often the probability per byte can be doubled up to 1 (tc_red_eval_P in
// tc_red.c).
func redPlog(span uint32, probability float64) uint8 {
	p := probability / float64(span)
	n := uint8(0)
	for ; n < 31 && p <= 1; n++ {
		p *= 2
	}
	return n
}

// sfqBasic is the length of struct tc_sfq_qopt.
const sfqBasic = 20

// decodeSfq reads struct tc_sfq_qopt_v1. The kernel reports neither redflowlimit, which it
// has no use for, nor avpkt and burst, which became a weight: they are what gives the
// reported values with the fewest words. Without a limit the kernel has one flow more than
// packets, 128 and 127; it can't be told to.
func decodeSfq(value []byte, _ tc.Host) (tc.Options, error) {
	if len(value) < sfqBasic {
		return nil, errShort
	}
	w := words(value, 12)
	o := tc.Sfq{Quantum: w[0], Perturb: int32(w[1]), Limit: w[2], Divisor: w[3], Flows: w[4], Depth: w[5], HeadDrop: w[6] != 0}
	o.Flows = min(o.Flows, o.Limit)
	if w[9] == 0 {
		return o, nil
	}
	flags := uint8(0)
	if len(value) >= 44 {
		flags = value[43]
	}
	o.Red = tc.SfqRed{
		Limit: uint32(min(4*uint64(w[9]), math.MaxUint32)), Min: w[8], Max: w[9], AvPkt: 1000, ECN: flags&redECN != 0, HardDrop: flags&redHardDrop != 0,
		Probability: tc.Some(shortProbability(w[11])),
	}
	o.Red.Burst = redBurst(o.Red.Min, o.Red.Max, value[min(40, len(value)-1)])
	return o, nil
}

// redBurst is the burst that tc(8) computes by itself, if it has the weight, or the smallest
// that has it.
func redBurst(lowest, highest uint32, wlog uint8) uint32 {
	usual := (2*lowest + highest) / 3000
	if w, ok := redWlog(lowest, usual, 1000); ok && w == wlog {
		return usual
	}
	first := lowest / 1000
	for burst := first; burst < first+1<<12; burst++ {
		if w, ok := redWlog(lowest, burst, 1000); ok && w >= wlog {
			return max(burst, 1)
		}
	}
	return max(usual, 1)
}

// shortProbability is the shortest decimal that the kernel keeps as maxP.
func shortProbability(maxP uint32) float64 {
	exact := float64(maxP) / (1 << 32)
	for scale := 10.0; scale < 1e12; scale *= 10 {
		for _, p := range []float64{math.Floor(exact*scale) / scale, math.Ceil(exact*scale) / scale} {
			if p > 0 && p <= 1 && uint32(min(p*(1<<32), math.MaxUint32)) == maxP {
				return p
			}
		}
	}
	return exact
}
