package tc

import (
	"math"
	"time"
)

// Tbf is the token bucket filter: a rate, and a queue in front of it, which may
// be another qdisc below HANDLE:1. `change` replaces everything.
type Tbf struct {
	Rate      Rate
	Burst     uint32        // bytes sent at once
	Limit     uint32        // bytes that wait; this or Latency
	Latency   time.Duration // how long the last of them waits
	PeakRate  Rate          // the bucket empties no faster
	MTU       uint32        // bytes sent at once at PeakRate
	MPU       uint32        // smallest packet as counted, in bytes
	Overhead  uint16        // bytes added to every packet as counted
	LinkLayer LinkLayer
}

// Kind is "tbf".
func (Tbf) Kind() string { return "tbf" }

// String is the options in tc(8)'s words.
func (o Tbf) String() string { return optionString(o) }

func (o Tbf) fields() []field {
	var l fieldList
	l.rate("rate", o.Rate)
	l.size("burst", o.Burst)
	l.size("limit", o.Limit)
	l.time("latency", o.Latency)
	l.rate("peakrate", o.PeakRate)
	l.size("mtu", o.MTU)
	l.size("mpu", o.MPU)
	l.num("overhead", uint32(o.Overhead))
	if o.LinkLayer != LinkLayerUnset {
		l.add("linklayer", o.LinkLayer.String())
	}
	return l
}

// change replaces like tbf_change (sch_tbf.c).
func (o Tbf) change(given Options) (Options, bool) { return given, true }

// canonical turns Latency into the Limit that tc(8) sends, and bursts into the
// form in which HTB's are compared. Sources: tbf_parse_opt (q_tbf.c).
func (o Tbf) canonical(h Host, _ string) Options {
	o.Rate -= o.Rate % 8
	o.PeakRate -= o.PeakRate % 8
	if o.Limit == 0 && o.Latency != 0 {
		limit := waiting(o.Rate, o.Latency, o.Burst)
		if o.PeakRate != 0 {
			limit = min(limit, waiting(o.PeakRate, o.Latency, o.MTU))
		}
		o.Limit = limit
	}
	o.Latency = 0
	if o.Burst != 0 {
		o.Burst = h.canonicalBurst(o.Rate, o.Burst, 0)
	}
	if o.PeakRate == 0 {
		o.MTU = 0 // only shapes the rate table
	} else if o.MTU != 0 {
		o.MTU = h.canonicalBurst(o.PeakRate, o.MTU, 0)
	}
	o.LinkLayer = orZero(o.LinkLayer, LinkLayerEthernet)
	return o
}

// waiting is the bytes that pass in a latency, and a burst.
func waiting(rate Rate, latency time.Duration, burst uint32) uint32 {
	bytes := float64(rate.BytesPerSecond())*float64(latency/time.Microsecond)/1e6 + float64(burst)
	return uint32(min(bytes, math.MaxUint32))
}

func parseTbf(w *words) Options {
	var o Tbf
	var seen struct{ rate, burst, limit, mtu, mpu, peak bool }
	given := false
	for w.next() {
		given = true
		switch complete(w.word, "limit", "latency", "burst", "peakrate", "linklayer") {
		case "rate":
			once(w, &seen.rate)
			read(w, &o.Rate, ParseRate)
		case "burst", "buffer", "maxburst":
			once(w, &seen.burst)
			read(w, &o.Burst, sizeAndCell)
		case "limit":
			once(w, &seen.limit)
			read(w, &o.Limit, ParseSize)
		case "latency":
			once(w, &seen.limit)
			read(w, &o.Latency, ParseTime)
		case "peakrate":
			once(w, &seen.peak)
			read(w, &o.PeakRate, ParseRate)
		case "mtu", "minburst":
			once(w, &seen.mtu)
			read(w, &o.MTU, sizeAndCell)
		case "mpu":
			once(w, &seen.mpu)
			read(w, &o.MPU, ParseSize)
		case "overhead":
			read(w, &o.Overhead, uint16Dec)
		case "linklayer":
			read(w, &o.LinkLayer, parseLinkLayer)
		default:
			w.unknown()
		}
	}
	if given {
		o.check(w)
	}
	return o
}

// check refuses what tbf_parse_opt does; no options at all are left to the
// kernel by it, and allowed here for deleting.
func (o Tbf) check(w *words) {
	switch {
	case o.Rate == 0:
		w.fail("rate is missing")
	case o.Burst == 0:
		w.fail("burst is missing")
	case o.PeakRate != 0 && o.MTU == 0:
		w.fail("peakrate needs an mtu")
	case o.Limit == 0 && o.Latency == 0:
		w.fail("limit or latency is missing")
	}
}
