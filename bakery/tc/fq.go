package tc

import (
	"fmt"
	"math/bits"
	"strconv"
	"time"
)

// Fq is the fq qdisc, which paces flows. `change` merges: what is not given
// stays as it was.
type Fq struct {
	Limit            Opt[uint32]        // packets; default 10000
	FlowLimit        Opt[uint32]        // packets of one flow; default 100
	Quantum          Opt[uint32]        // bytes per round; default two frames
	InitialQuantum   Opt[uint32]        // bytes for a new flow; default ten frames
	MaxRate          Opt[Rate]          // of one flow; default unlimited
	DefRate          Opt[Rate]          // of a flow that asks for none; unused by the kernel since 4.20
	LowRateThreshold Opt[Rate]          // flows below it are not paced; default 550 kbit/s
	Buckets          uint32             // hash buckets, rounded up to a power of two; default 1024
	OrphanMask       Opt[uint32]        // hash mask for packets without a socket; default 1023
	Pacing           Switch             // default on
	RefillDelay      Opt[time.Duration] // an idle flow gets a new quantum after it; default 40 ms
	CEThreshold      Opt[time.Duration] // mark packets that waited longer; default never
	TimerSlack       Opt[time.Duration] // nanoseconds; default 10 µs
	Horizon          Opt[time.Duration] // packets scheduled later are cut or dropped; default 10 s
	HorizonDrop      Switch             // On drops them, Off cuts the time down to Horizon; default on
}

// Kind is "fq".
func (Fq) Kind() string { return "fq" }

// String is the options in tc(8)'s words.
func (o Fq) String() string { return optionString(o) }

func (o Fq) fields() []field {
	var l fieldList
	l.optNum("limit", o.Limit)
	l.optNum("flow_limit", o.FlowLimit)
	l.optNum("quantum", o.Quantum)
	l.optNum("initial_quantum", o.InitialQuantum)
	l.optRate("maxrate", o.MaxRate)
	l.optRate("defrate", o.DefRate)
	l.optRate("low_rate_threshold", o.LowRateThreshold)
	l.num("buckets", o.Buckets)
	l.optNum("orphan_mask", o.OrphanMask)
	l.toggle("pacing", o.Pacing, "pacing", "nopacing")
	l.optTime("refill_delay", o.RefillDelay)
	l.optTime("ce_threshold", o.CEThreshold)
	if o.TimerSlack.Given {
		l.add("timer_slack", strconv.FormatInt(int64(o.TimerSlack.Value), 10)+"ns")
	}
	l.optTime("horizon", o.Horizon)
	l.toggle("horizon-policy", o.HorizonDrop, "horizon_drop", "horizon_cap")
	return l
}

// change merges like fq_change (sch_fq.c).
func (o Fq) change(given Options) (Options, bool) {
	g := given.(Fq)
	return Fq{
		Limit:            g.Limit.orOpt(o.Limit),
		FlowLimit:        g.FlowLimit.orOpt(o.FlowLimit),
		Quantum:          g.Quantum.orOpt(o.Quantum),
		InitialQuantum:   g.InitialQuantum.orOpt(o.InitialQuantum),
		MaxRate:          g.MaxRate.orOpt(o.MaxRate),
		DefRate:          g.DefRate.orOpt(o.DefRate),
		LowRateThreshold: g.LowRateThreshold.orOpt(o.LowRateThreshold),
		Buckets:          orZero(g.Buckets, o.Buckets),
		OrphanMask:       g.OrphanMask.orOpt(o.OrphanMask),
		Pacing:           orZero(g.Pacing, o.Pacing),
		RefillDelay:      g.RefillDelay.orOpt(o.RefillDelay),
		CEThreshold:      g.CEThreshold.orOpt(o.CEThreshold),
		TimerSlack:       g.TimerSlack.orOpt(o.TimerSlack),
		Horizon:          g.Horizon.orOpt(o.Horizon),
		HorizonDrop:      orZero(g.HorizonDrop, o.HorizonDrop),
	}, true
}

// canonical fills in the defaults of fq_init (sch_fq.c). MaxRate stays absent
// when unlimited and DefRate is dropped: the kernel does not report it.
func (o Fq) canonical(h Host, link string) Options {
	frame := h.link(link).frame()
	o.Limit = o.Limit.orOpt(Some[uint32](10000))
	o.FlowLimit = o.FlowLimit.orOpt(Some[uint32](100))
	o.Quantum = o.Quantum.orOpt(Some(2 * frame))
	o.InitialQuantum = o.InitialQuantum.orOpt(Some(10 * frame))
	o.MaxRate.Value -= o.MaxRate.Value % 8
	o.DefRate = Opt[Rate]{}
	o.LowRateThreshold = o.LowRateThreshold.orOpt(Some(550 * Kbit))
	o.LowRateThreshold.Value -= o.LowRateThreshold.Value % 8
	o.Buckets = 1 << bits.Len32(orZero(o.Buckets, 1024)-1)
	o.OrphanMask = o.OrphanMask.orOpt(Some[uint32](1023))
	o.Pacing = orZero(o.Pacing, On)
	o.RefillDelay = o.RefillDelay.orOpt(Some(40 * time.Millisecond))
	o.TimerSlack = o.TimerSlack.orOpt(Some(10 * time.Microsecond))
	o.Horizon = o.Horizon.orOpt(Some(10 * time.Second))
	o.HorizonDrop = orZero(o.HorizonDrop, On)
	return o
}

func parseFq(w *words) Options {
	var o Fq
	for w.next() {
		if !o.parseNumber(w) && !o.parseTime(w) {
			w.unknown()
		}
	}
	return o
}

func (o *Fq) parseNumber(w *words) bool {
	switch w.word {
	case "limit":
		readOpt(w, &o.Limit, uint32Any)
	case "flow_limit":
		readOpt(w, &o.FlowLimit, uint32Any)
	case "quantum":
		readOpt(w, &o.Quantum, uint32Any)
	case "initial_quantum":
		readOpt(w, &o.InitialQuantum, uint32Any)
	case "maxrate":
		readOpt(w, &o.MaxRate, rate32)
	case "defrate":
		readOpt(w, &o.DefRate, rate32)
	case "low_rate_threshold":
		readOpt(w, &o.LowRateThreshold, rate32)
	case "buckets":
		read(w, &o.Buckets, fqBuckets)
	case "orphan_mask":
		readOpt(w, &o.OrphanMask, uint32Any)
	case "pacing":
		o.Pacing = On
	case "nopacing":
		o.Pacing = Off
	default:
		return false
	}
	return true
}

func (o *Fq) parseTime(w *words) bool {
	switch w.word {
	case "refill_delay":
		readOpt(w, &o.RefillDelay, ParseTime)
	case "ce_threshold":
		readOpt(w, &o.CEThreshold, ParseTime)
	case "timer_slack":
		readOpt(w, &o.TimerSlack, nanoTime)
	case "horizon":
		readOpt(w, &o.Horizon, ParseTime)
	case "horizon_cap":
		o.HorizonDrop = Off
	case "horizon_drop":
		o.HorizonDrop = On
	default:
		return false
	}
	return true
}

// rate32 reads a rate that the kernel keeps in 32 bits of bytes per second.
func rate32(s string) (Rate, error) {
	r, err := ParseRate(s)
	if err == nil && r.BytesPerSecond() > 1<<32-1 {
		return 0, fmt.Errorf("rate %q: more than 32 bits of bytes per second", s)
	}
	return r, err
}

// fqBuckets reads a number of buckets; the kernel takes up to 2^18.
func fqBuckets(s string) (uint32, error) {
	n, err := uint32Any(s)
	if err == nil && n > 1<<18 {
		return 0, fmt.Errorf("%q: more than %d buckets", s, 1<<18)
	}
	return n, err
}
