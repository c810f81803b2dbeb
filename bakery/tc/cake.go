package tc

import (
	"fmt"
	"strconv"
	"time"
)

// Cake is the CAKE qdisc. `change` merges: what is not given stays as it was.
type Cake struct {
	Bandwidth Rate // shaper rate; 0 is not given
	Unlimited bool // "unlimited" was given: no shaper
	Autorate  bool // estimate the rate from arriving packets; a change that gives a rate turns it off
	// RTT is the round-trip time that the queue is tuned for, in whole
	// microseconds; default 100 ms.
	RTT       time.Duration
	Diffserv  Diffserv   // default diffserv3
	FlowMode  FlowMode   // default triple-isolate
	NAT       Switch     // look up addresses behind NAT; default off
	Wash      Switch     // clear DSCP after use; default off
	SplitGSO  Switch     // split super-packets; default on
	Ingress   Switch     // count drops as received; default off
	AckFilter AckFilter  // default off
	ATM       CellMode   // default none
	Overhead  Opt[int32] // bytes added to every packet, -64..256
	// Raw counts packets as the kernel does, link-layer header included; it
	// means no cells and no overhead unless they are given too. Default as
	// long as no Overhead was given.
	Raw      bool
	MPU      Opt[uint32] // smallest packet as counted, 0..256 bytes
	MemLimit Opt[uint32] // bytes of queued packets; 0 lets cake choose
	FwMark   Opt[uint32] // mask of the firewall mark that selects the tin; 0 is none
}

// Diffserv is how packets are sorted into tins by DSCP.
type Diffserv uint8

// The tin layouts, in the kernel's order (CAKE_DIFFSERV_…) from 1.
const (
	DiffservUnset Diffserv = iota
	Diffserv3
	Diffserv4
	Diffserv8
	BestEffort
	Precedence
)

var diffservWords = [...]string{"", "diffserv3", "diffserv4", "diffserv8", "besteffort", "precedence"}

// String is tc(8)'s word, "" if not given.
func (d Diffserv) String() string { return wordOf(diffservWords[:], d) }

// FlowMode is what cake treats as one flow or host.
type FlowMode uint8

// The flow modes, in the kernel's order (CAKE_FLOW_…) from 1.
const (
	FlowUnset FlowMode = iota
	FlowBlind
	FlowSrcHost
	FlowDstHost
	FlowHosts
	FlowFlows
	FlowDualSrcHost
	FlowDualDstHost
	FlowTripleIsolate
)

var flowWords = [...]string{"", "flowblind", "srchost", "dsthost", "hosts", "flows",
	"dual-srchost", "dual-dsthost", "triple-isolate"}

// String is tc(8)'s word, "" if not given.
func (m FlowMode) String() string { return wordOf(flowWords[:], m) }

// AckFilter is whether superfluous TCP acknowledgements are dropped.
type AckFilter uint8

// The filters, in the kernel's order (CAKE_ACK_…) from 1.
const (
	AckFilterUnset AckFilter = iota
	AckFilterOff
	AckFilterOn
	AckFilterAggressive
)

var ackWords = [...]string{"", "no-ack-filter", "ack-filter", "ack-filter-aggressive"}

// String is tc(8)'s word, "" if not given.
func (a AckFilter) String() string { return wordOf(ackWords[:], a) }

// CellMode is how cake accounts for cells or framing below Ethernet.
type CellMode uint8

// The modes, in the kernel's order (CAKE_ATM_…) from 1.
const (
	CellUnset CellMode = iota
	CellNone
	CellATM
	CellPTM
)

var cellWords = [...]string{"", "noatm", "atm", "ptm"}

// String is tc(8)'s word, "" if not given.
func (c CellMode) String() string { return wordOf(cellWords[:], c) }

func wordOf[T ~uint8](words []string, v T) string {
	if int(v) < len(words) {
		return words[v]
	}
	return fmt.Sprintf("unknown-%d", v)
}

// indexOf is the place of word in words, 0 if it is not there.
func indexOf[T ~uint8](words []string, word string) T {
	for i := 1; i < len(words); i++ {
		if words[i] == word {
			return T(i)
		}
	}
	return 0
}

// Kind is "cake".
func (Cake) Kind() string { return "cake" }

// String is the options in tc(8)'s words; raw comes before overhead, which it
// would reset.
func (o Cake) String() string { return optionString(o) }

func (o Cake) fields() []field {
	var l fieldList
	o.shaperFields(&l)
	for _, f := range []struct{ name, word string }{
		{"diffserv", o.Diffserv.String()},
		{"flow-mode", o.FlowMode.String()},
	} {
		if f.word != "" {
			l.lone(f.name, f.word)
		}
	}
	l.toggle("nat", o.NAT, "nat", "nonat")
	l.toggle("wash", o.Wash, "wash", "nowash")
	l.toggle("ingress", o.Ingress, "ingress", "egress")
	if o.AckFilter != AckFilterUnset {
		l.lone("ack-filter", o.AckFilter.String())
	}
	l.toggle("split-gso", o.SplitGSO, "split-gso", "no-split-gso")
	l.time("rtt", o.RTT)
	if o.Raw {
		l.lone("raw", "raw")
	}
	if o.ATM != CellUnset {
		l.lone("atm", o.ATM.String())
	}
	if o.Overhead.Given {
		l.add("overhead", strconv.Itoa(int(o.Overhead.Value)))
	}
	l.optNum("mpu", o.MPU)
	if o.MemLimit.Given {
		l.add("memlimit", FormatSize(o.MemLimit.Value))
	}
	if o.FwMark.Given {
		l.add("fwmark", "0x"+strconv.FormatUint(uint64(o.FwMark.Value), 16))
	}
	return l
}

func (o Cake) shaperFields(l *fieldList) {
	if o.Unlimited {
		l.lone("bandwidth", "unlimited")
	}
	l.rate("bandwidth", o.Bandwidth)
	if o.Autorate {
		l.lone("autorate", "autorate-ingress")
	}
}

// Target is the queueing delay that goes with RTT: a twentieth of it, at least
// 1 µs, as tc(8) computes it.
func (o Cake) Target() time.Duration {
	return max((o.RTT / 20).Truncate(time.Microsecond), time.Microsecond)
}

// change merges: the kernel changes what it is sent (cake_change in sch_cake.c).
func (o Cake) change(given Options) (Options, bool) {
	g := given.(Cake)
	if g.Bandwidth != 0 || g.Unlimited {
		o.Bandwidth, o.Unlimited, o.Autorate = g.Bandwidth, g.Unlimited, false
	}
	if g.Raw {
		g.ATM = orZero(g.ATM, CellNone)
	}
	if g.Overhead.Given || g.Raw {
		o.Overhead, o.Raw = g.Overhead, g.Raw
	}
	o.Autorate = o.Autorate || g.Autorate
	o.RTT = orZero(g.RTT, o.RTT)
	o.Diffserv = orZero(g.Diffserv, o.Diffserv)
	o.FlowMode = orZero(g.FlowMode, o.FlowMode)
	o.NAT = orZero(g.NAT, o.NAT)
	o.Wash = orZero(g.Wash, o.Wash)
	o.SplitGSO = orZero(g.SplitGSO, o.SplitGSO)
	o.Ingress = orZero(g.Ingress, o.Ingress)
	o.AckFilter = orZero(g.AckFilter, o.AckFilter)
	o.ATM = orZero(g.ATM, o.ATM)
	o.MPU = g.MPU.orOpt(o.MPU)
	o.MemLimit = g.MemLimit.orOpt(o.MemLimit)
	o.FwMark = g.FwMark.orOpt(o.FwMark)
	return o, true
}

// canonical fills in the defaults of cake_init (sch_cake.c).
func (o Cake) canonical(Host, string) Options {
	o.Bandwidth -= o.Bandwidth % 8
	o.Unlimited = o.Bandwidth == 0
	o.Raw = o.Raw || !o.Overhead.Given
	o.Overhead = o.Overhead.orOpt(Some[int32](0))
	o.RTT = orZero(o.RTT, 100*time.Millisecond)
	o.Diffserv = orZero(o.Diffserv, Diffserv3)
	o.FlowMode = orZero(o.FlowMode, FlowTripleIsolate)
	o.NAT = orZero(o.NAT, Off)
	o.Wash = orZero(o.Wash, Off)
	o.SplitGSO = orZero(o.SplitGSO, On)
	o.Ingress = orZero(o.Ingress, Off)
	o.AckFilter = orZero(o.AckFilter, AckFilterOff)
	o.ATM = orZero(o.ATM, CellNone)
	o.MPU = o.MPU.orOpt(Some[uint32](0))
	o.MemLimit = o.MemLimit.orOpt(Some[uint32](0))
	o.FwMark = o.FwMark.orOpt(Some[uint32](0))
	return o
}
