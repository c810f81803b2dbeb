package tc

import (
	"fmt"
	"math"
	"strconv"
)

// Sfq is stochastic fairness queueing, with RED per flow if RedLimit is given.
// The kernel can't change its options in place: Plan builds it anew.
type Sfq struct {
	Limit    uint32 // packets; default 127
	Quantum  uint32 // bytes per round; default MTU and Ethernet header
	Perturb  int32  // seconds between changes of the hash; 0 is never
	Divisor  uint32 // hash buckets; default 1024
	Flows    uint32 // flows at once; default 127
	Depth    uint32 // packets of one flow; default 127
	HeadDrop bool   // drop the oldest packet of a full flow
	Red      SfqRed // random early detection in every flow
}

// SfqRed is the RED part of Sfq; it is off while Limit is 0.
type SfqRed struct {
	Limit       uint32       // bytes of one flow ("redflowlimit")
	Min, Max    uint32       // bytes at which dropping starts, and is certain
	AvPkt       uint32       // bytes of an average packet; default 1000
	Burst       uint32       // packets
	Probability Opt[float64] // of a drop at Max, over 0 up to 1; default 0.02
	ECN         bool         // mark instead of drop
	HardDrop    bool         // drop, don't mark, over Max
}

// Kind is "sfq".
func (Sfq) Kind() string { return "sfq" }

// String is the options in tc(8)'s words.
func (o Sfq) String() string { return optionString(o) }

func (o Sfq) fields() []field {
	var l fieldList
	l.num("limit", o.Limit)
	l.size("quantum", o.Quantum)
	if o.Perturb != 0 {
		l.add("perturb", strconv.Itoa(int(o.Perturb)))
	}
	l.num("divisor", o.Divisor)
	l.num("flows", o.Flows)
	l.num("depth", o.Depth)
	if o.HeadDrop {
		l.lone("headdrop", "headdrop")
	}
	l.num("redflowlimit", o.Red.Limit)
	l.num("min", o.Red.Min)
	l.num("max", o.Red.Max)
	l.size("avpkt", o.Red.AvPkt)
	l.num("burst", o.Red.Burst)
	if p := o.Red.Probability; p.Given {
		l.add("probability", strconv.FormatFloat(p.Value, 'g', -1, 64))
	}
	if o.Red.ECN {
		l.lone("ecn", "ecn")
	}
	if o.Red.HardDrop {
		l.lone("harddrop", "harddrop")
	}
	return l
}

// change takes no options: the kernel says "change operation not supported" to
// any, be they what it has (sfq_qdisc_ops in sch_sfq.c has no change).
func (o Sfq) change(given Options) (Options, bool) {
	return o, given == Options(Sfq{}) || given == Options(o)
}

// canonical fills in the defaults of sfq_init (sch_sfq.c) and, for RED, of
// sfq_parse_opt (q_sfq.c).
func (o Sfq) canonical(h Host, link string) Options {
	o.Quantum = orZero(o.Quantum, h.link(link).frame())
	o.Divisor = orZero(o.Divisor, 1024)
	o.Flows = min(orZero(o.Flows, 127), o.Divisor)
	o.Depth = min(orZero(o.Depth, 127), 127)
	o.Limit = uint32(min(uint64(orZero(o.Limit, 127)), uint64(o.Depth)*uint64(o.Flows)))
	o.Flows = min(o.Flows, o.Limit)
	if o.Red.Limit == 0 {
		o.Red = SfqRed{}
		return o
	}
	o.Red.Max = orZero(o.Red.Max, o.Red.Limit/4)
	o.Red.Limit = uint32(min(4*uint64(o.Red.Max), math.MaxUint32)) // the kernel has no use for it
	o.Red.Min = orZero(o.Red.Min, o.Red.Max/3)
	o.Red.AvPkt = orZero(o.Red.AvPkt, 1000)
	o.Red.Burst = orZero(o.Red.Burst, (2*o.Red.Min+o.Red.Max)/(3*o.Red.AvPkt))
	o.Red.Probability = o.Red.Probability.orOpt(Some(0.02))
	return o
}

func parseSfq(w *words) Options {
	var o Sfq
	for w.next() {
		switch w.word {
		case "limit":
			if read(w, &o.Limit, uint32Any); o.Limit < 2 {
				w.fail("limit: want 2 packets or more")
			}
		case "quantum":
			read(w, &o.Quantum, ParseSize)
		case "perturb":
			read(w, &o.Perturb, int32In(math.MinInt32, math.MaxInt32))
		case "divisor":
			read(w, &o.Divisor, uint32Any)
		case "flows":
			read(w, &o.Flows, uint32Any)
		case "depth":
			read(w, &o.Depth, uint32Any)
		case "headdrop":
			o.HeadDrop = true
		default:
			o.Red.parse(w)
		}
	}
	if o.Red != (SfqRed{}) {
		o.Red.check(w)
	}
	return o
}

func (r *SfqRed) parse(w *words) {
	switch w.word {
	case "redflowlimit":
		read(w, &r.Limit, uint32Any)
	case "min":
		read(w, &r.Min, uint32Any)
	case "max":
		read(w, &r.Max, uint32Any)
	case "avpkt":
		read(w, &r.AvPkt, ParseSize)
	case "burst":
		read(w, &r.Burst, uint32Any)
	case "probability":
		readOpt(w, &r.Probability, parseProbability)
	case "ecn":
		r.ECN = true
	case "harddrop":
		r.HardDrop = true
	default:
		w.unknown()
	}
}

// check refuses what sfq_parse_opt does.
func (r SfqRed) check(w *words) {
	largest := orZero(r.Max, r.Limit/4)
	switch {
	case r.Limit == 0:
		w.fail("redflowlimit is missing")
	case largest > r.Limit:
		w.fail("max is larger than redflowlimit")
	case orZero(r.Min, largest/3) >= largest:
		w.fail("min is not smaller than max")
	}
}

func parseProbability(s string) (float64, error) {
	p, err := strconv.ParseFloat(s, 64)
	if err != nil || !(p > 0 && p <= 1) {
		return 0, fmt.Errorf("%q: want a number over 0 and up to 1", s)
	}
	return p, nil
}
