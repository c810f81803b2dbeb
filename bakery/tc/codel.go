package tc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// FqCodel is the fq_codel qdisc. `change` merges: what is not given stays as it
// was; the number of flows can't be changed.
type FqCodel struct {
	Limit       uint32             // packets; default 10240
	Flows       uint32             // hash buckets; default 1024
	Quantum     uint32             // bytes per round; default MTU and Ethernet header
	Target      time.Duration      // default 5 ms
	Interval    time.Duration      // default 100 ms
	CEThreshold Opt[time.Duration] // mark packets that waited longer; default never
	CESelector  Opt[CESelector]    // mark only packets with these DSCP and ECN bits
	MemoryLimit Opt[uint32]        // bytes; default 32 MiB
	ECN         Switch             // mark instead of drop; default on
	DropBatch   uint32             // packets dropped at once over the limit; default 64
}

// CESelector picks packets by the byte that holds DSCP and ECN: those with
// byte & Mask == Value.
type CESelector struct{ Value, Mask uint8 }

// Codel is the codel qdisc. `change` merges: what is not given stays as it was.
type Codel struct {
	Limit       uint32             // packets; default 1000
	Target      time.Duration      // default 5 ms
	Interval    time.Duration      // default 100 ms
	CEThreshold Opt[time.Duration] // mark packets that waited longer; default never
	ECN         Switch             // mark instead of drop; default off
}

// codelShift is how codel keeps time: in units of 1024 ns (include/net/codel.h).
const codelShift = 10

// KernelCodelTime is the canonical form of a codel time that the kernel reports:
// it keeps 5 ms as 4882 units of 1024 ns and reports 4999 µs.
func KernelCodelTime(reported time.Duration) time.Duration {
	units := (int64(reported) + 1<<codelShift - 1) >> codelShift
	return codelUnits(units)
}

// codelTime is the shortest time in whole microseconds that codel keeps like d.
func codelTime(d time.Duration) time.Duration { return codelUnits(int64(d) >> codelShift) }

func codelUnits(units int64) time.Duration {
	return time.Duration((units<<codelShift + 999) / 1000 * 1000)
}

// codelThreshold is codelTime of a threshold that may be absent.
func codelThreshold(o Opt[time.Duration]) Opt[time.Duration] {
	if o.Given {
		o.Value = codelTime(o.Value)
	}
	return o
}

// Kind is "fq_codel".
func (FqCodel) Kind() string { return "fq_codel" }

// String is the options in tc(8)'s words.
func (o FqCodel) String() string { return optionString(o) }

func (o FqCodel) fields() []field {
	var l fieldList
	l.num("limit", o.Limit)
	l.num("flows", o.Flows)
	l.num("quantum", o.Quantum)
	l.time("target", o.Target)
	l.time("interval", o.Interval)
	l.optTime("ce_threshold", o.CEThreshold)
	if s := o.CESelector; s.Given {
		l.add("ce_threshold_selector", fmt.Sprintf("%#x/%#x", s.Value.Value, s.Value.Mask))
	}
	if o.MemoryLimit.Given {
		l.add("memory_limit", FormatSize(o.MemoryLimit.Value))
	}
	l.toggle("ecn", o.ECN, "ecn", "noecn")
	l.num("drop_batch", o.DropBatch)
	return l
}

// change merges like fq_codel_change (sch_fq_codel.c).
func (o FqCodel) change(given Options) (Options, bool) {
	g := given.(FqCodel)
	ok := g.Flows == 0 || g.Flows == orZero(o.Flows, 1024)
	return FqCodel{
		Limit:       orZero(g.Limit, o.Limit),
		Flows:       orZero(g.Flows, o.Flows),
		Quantum:     orZero(g.Quantum, o.Quantum),
		Target:      orZero(g.Target, o.Target),
		Interval:    orZero(g.Interval, o.Interval),
		CEThreshold: g.CEThreshold.orOpt(o.CEThreshold),
		CESelector:  g.CESelector.orOpt(o.CESelector),
		MemoryLimit: g.MemoryLimit.orOpt(o.MemoryLimit),
		ECN:         orZero(g.ECN, o.ECN),
		DropBatch:   orZero(g.DropBatch, o.DropBatch),
	}, ok
}

// canonical fills in the defaults of fq_codel_init (sch_fq_codel.c).
func (o FqCodel) canonical(h Host, link string) Options {
	o.Limit = orZero(o.Limit, 10240)
	o.Flows = orZero(o.Flows, 1024)
	o.Quantum = max(256, orZero(o.Quantum, h.link(link).frame()))
	o.Target = codelTime(orZero(o.Target, 5*time.Millisecond))
	o.Interval = codelTime(orZero(o.Interval, 100*time.Millisecond))
	o.CEThreshold = codelThreshold(o.CEThreshold)
	o.MemoryLimit = Some(min(1<<31, o.MemoryLimit.Or(32<<20)))
	o.ECN = orZero(o.ECN, On)
	o.DropBatch = orZero(o.DropBatch, 64)
	return o
}

func parseFqCodel(w *words) Options {
	var o FqCodel
	for w.next() {
		switch w.word {
		case "limit":
			read(w, &o.Limit, uint32Any)
		case "flows":
			read(w, &o.Flows, uint32Any)
		case "quantum":
			read(w, &o.Quantum, uint32Any)
		case "target":
			read(w, &o.Target, ParseTime)
		case "interval":
			read(w, &o.Interval, ParseTime)
		case "ce_threshold":
			readOpt(w, &o.CEThreshold, ParseTime)
		case "ce_threshold_selector":
			readOpt(w, &o.CESelector, parseCESelector)
		case "memory_limit":
			readOpt(w, &o.MemoryLimit, ParseSize)
		case "ecn":
			o.ECN = On
		case "noecn":
			o.ECN = Off
		case "drop_batch":
			read(w, &o.DropBatch, uint32Any)
		default:
			w.unknown()
		}
	}
	return o
}

func parseCESelector(s string) (CESelector, error) {
	value, mask, ok := strings.Cut(s, "/")
	v, errValue := parseUint(value, 0, math.MaxUint8)
	m, errMask := parseUint(mask, 0, math.MaxUint8)
	if !ok || errValue != nil || errMask != nil {
		return CESelector{}, fmt.Errorf("%s: want VALUE/MASK, each at most 0xff", strconv.Quote(s))
	}
	return CESelector{uint8(v), uint8(m)}, nil
}

// Kind is "codel".
func (Codel) Kind() string { return "codel" }

// String is the options in tc(8)'s words.
func (o Codel) String() string { return optionString(o) }

func (o Codel) fields() []field {
	var l fieldList
	l.num("limit", o.Limit)
	l.time("target", o.Target)
	l.time("interval", o.Interval)
	l.optTime("ce_threshold", o.CEThreshold)
	l.toggle("ecn", o.ECN, "ecn", "noecn")
	return l
}

// change merges like codel_change (sch_codel.c).
func (o Codel) change(given Options) (Options, bool) {
	g := given.(Codel)
	return Codel{
		Limit:       orZero(g.Limit, o.Limit),
		Target:      orZero(g.Target, o.Target),
		Interval:    orZero(g.Interval, o.Interval),
		CEThreshold: g.CEThreshold.orOpt(o.CEThreshold),
		ECN:         orZero(g.ECN, o.ECN),
	}, true
}

// canonical fills in the defaults of codel_init (sch_codel.c).
func (o Codel) canonical(Host, string) Options {
	o.Limit = orZero(o.Limit, 1000)
	o.Target = codelTime(orZero(o.Target, 5*time.Millisecond))
	o.Interval = codelTime(orZero(o.Interval, 100*time.Millisecond))
	o.CEThreshold = codelThreshold(o.CEThreshold)
	o.ECN = orZero(o.ECN, Off)
	return o
}

func parseCodel(w *words) Options {
	var o Codel
	for w.next() {
		switch w.word {
		case "limit":
			read(w, &o.Limit, uint32Any)
		case "target":
			read(w, &o.Target, ParseTime)
		case "interval":
			read(w, &o.Interval, ParseTime)
		case "ce_threshold":
			readOpt(w, &o.CEThreshold, ParseTime)
		case "ecn":
			o.ECN = On
		case "noecn":
			o.ECN = Off
		default:
			w.unknown()
		}
	}
	return o
}
