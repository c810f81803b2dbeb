package plan

import (
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/replay/listing"
)

// The most packets that queues hold whose options don't say.
const (
	fifoPackets = 1000  // a link's usual txqueuelen, which a fifo takes
	cakePackets = 10240 // cake_init in sch_cake.c
)

// queueLimit is the most that a qdisc holds; 0: nothing is known.
func queueLimit(o tc.Options) (packets, bytes uint32) {
	switch o := o.(type) {
	case tc.Pfifo:
		return o.Limit.Or(fifoPackets), 0
	case tc.Bfifo:
		return 0, o.Limit.Or(0)
	case tc.FqCodel:
		return o.Limit, 0
	case tc.Codel:
		return o.Limit, 0
	case tc.Fq:
		return o.Limit.Or(0), 0
	case tc.Sfq:
		return o.Limit, 0
	case tc.Netem:
		return o.Limit.Or(0), 0
	case tc.Tbf:
		return 0, o.Limit
	case tc.Cake:
		if o.MemLimit.Or(0) > 0 {
			return 0, o.MemLimit.Value
		}
		return cakePackets, 0
	}
	return 0, 0
}

// mostOf is the most that a qdisc holds, in words; "" where that isn't known.
func mostOf(o tc.Options) string {
	switch packets, bytes := queueLimit(o); {
	case packets > 0:
		return "at most " + listing.Count(int(packets), "packet")
	case bytes > 0:
		return "at most " + listing.Count(int(bytes), "byte")
	}
	return ""
}

// dropsSurplus are the kinds whose change drops what is over a new, smaller limit: codel_change, fq_codel_change,
// fq_change and sfq_change. The others only take nothing more until they are below it.
var dropsSurplus = map[string]bool{"codel": true, "fq_codel": true, "fq": true, "sfq": true}

// changedInPlace is what is lost when a qdisc gets other options.
func changedInPlace(from, to tc.Options) string {
	was, wasBytes := queueLimit(from)
	is, isBytes := queueLimit(to)
	if from != nil && dropsSurplus[from.Kind()] && is > 0 && is < was {
		return fmt.Sprintf("in place: nothing is lost but what is over %d packets", is)
	}
	if f, ok := to.(tc.FqCodel); ok && isBytes == wasBytes {
		if old, same := from.(tc.FqCodel); same && f.MemoryLimit.Given && f.MemoryLimit.Value < old.MemoryLimit.Or(f.MemoryLimit.Value) {
			return fmt.Sprintf("in place: nothing is lost but what is over %d bytes", f.MemoryLimit.Value)
		}
	}
	return "in place: nothing is lost"
}
