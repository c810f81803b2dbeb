package tc

import (
	"fmt"
	"strconv"
)

// HTB is a hierarchy of token buckets. The kernel can't change its options in
// place: Plan builds it anew.
type HTB struct {
	Default    uint32      // minor of the class for unclassified packets; 0 sends them past the shaper
	R2Q        uint32      // rate in bytes/s over this is the quantum of a class without one; 0 means 10
	DirectQlen Opt[uint32] // packets of the unshaped queue; not given, what the link's queue length is when the HTB is made
	Offload    bool        // let the network card do it
}

// Kind is "htb".
func (HTB) Kind() string { return "htb" }

// String is the options in tc(8)'s words, default in hex.
func (o HTB) String() string { return optionString(o) }

func (o HTB) fields() []field {
	var l fieldList
	if o.Default != 0 {
		l.add("default", strconv.FormatUint(uint64(o.Default), 16))
	}
	l.num("r2q", o.R2Q)
	l.optNum("direct_qlen", o.DirectQlen)
	if o.Offload {
		l.lone("offload", "offload")
	}
	return l
}

// change replaces all options in the wanted tree; the kernel says "change
// operation not supported" (sch_htb has no change).
func (o HTB) change(given Options) (Options, bool) { return given, given == Options(o) }

// canonical leaves DirectQlen open where it wasn't given: the kernel takes the link's
// queue length of the moment in which the HTB is made (htb_init), and an HTB must not be
// built anew because that was changed since.
func (o HTB) canonical(Host, string) Options {
	o.R2Q = orZero(o.R2Q, 10)
	return o
}

// sameOptions compares options; where an HTB's DirectQlen isn't given, any will do.
func sameOptions(a, b Options) bool {
	a, b = compared(a, b)
	return a == b
}

// compared leaves out of options of one kind what isn't compared.
func compared(a, b Options) (Options, Options) {
	x, isHTB := a.(HTB)
	y, both := b.(HTB)
	if isHTB && both && x.DirectQlen.Given != y.DirectQlen.Given {
		x.DirectQlen, y.DirectQlen = Opt[uint32]{}, Opt[uint32]{}
		return x, y
	}
	return a, b
}

func parseHTB(w *words) Options {
	var o HTB
	for w.next() {
		switch complete(w.word, "r2q", "default", "debug", "direct_qlen", "offload") {
		case "r2q":
			if read(w, &o.R2Q, uint32Dec); o.R2Q == 0 {
				o.R2Q = 1 // what the kernel makes of 0
			}
		case "default":
			read(w, &o.Default, uint32Hex)
		case "debug": // ignored by the kernel since 2.6
			w.value()
		case "direct_qlen":
			readOpt(w, &o.DirectQlen, uint32Dec)
		case "offload":
			o.Offload = true
		default:
			w.unknown()
		}
	}
	return o
}

// LinkLayer is how packets are counted on the wire.
type LinkLayer uint8

// The link layers that tc(8) knows.
const (
	LinkLayerUnset LinkLayer = iota // not given, Ethernet
	LinkLayerEthernet
	LinkLayerATM // in cells of 48 bytes with 5 of header; also ADSL
)

// String is tc(8)'s word for the link layer, "" if it was not given.
func (l LinkLayer) String() string {
	return [...]string{"", "ethernet", "atm"}[min(l, LinkLayerATM)]
}

func parseLinkLayer(s string) (LinkLayer, error) {
	switch complete(s, "ethernet", "atm", "adsl") {
	case "ethernet":
		return LinkLayerEthernet, nil
	case "atm", "adsl":
		return LinkLayerATM, nil
	}
	return LinkLayerUnset, fmt.Errorf("%q: want ethernet, atm or adsl", s)
}

// HTBClass are the parameters of an HTB class. Zero is "not given"; Canonical
// fills in what tc(8) and the kernel use then.
type HTBClass struct {
	Rate      Rate   // guaranteed
	Ceil      Rate   // upper bound; Rate if not given
	Burst     uint32 // bytes sent at once at Rate; computed from Rate, MTU and HZ
	Cburst    uint32 // the same for Ceil
	Quantum   uint32 // bytes served per round; Rate/r2q if not given, then 1000 to 200000
	Prio      uint32 // 0 is served first; the kernel makes 7 of more
	MTU       uint32 // largest packet, for computing bursts; 1600
	MPU       uint16 // smallest packet, in bytes, as counted
	Overhead  uint16 // bytes added to every packet as counted
	LinkLayer LinkLayer
}

func (c HTBClass) fields() []field {
	var l fieldList
	l.add("rate", c.Rate.String())
	l.rate("ceil", c.Ceil)
	l.size("burst", c.Burst)
	l.size("cburst", c.Cburst)
	l.num("prio", c.Prio)
	l.num("quantum", c.Quantum)
	l.num("mtu", c.MTU)
	l.num("mpu", uint32(c.MPU))
	l.num("overhead", uint32(c.Overhead))
	if c.LinkLayer != LinkLayerUnset {
		l.add("linklayer", c.LinkLayer.String())
	}
	return l
}

func parseHTBClass(w *words) HTBClass {
	var c HTBClass
	w.kind = "htb class"
	haveRate, haveCeil := false, false
	for w.next() {
		switch complete(w.word, "prio", "mtu", "mpu", "overhead", "linklayer", "quantum", "burst", "cburst") {
		case "rate":
			once(w, &haveRate)
			read(w, &c.Rate, ParseRate)
		case "ceil":
			once(w, &haveCeil)
			read(w, &c.Ceil, ParseRate)
		case "burst", "buffer", "maxburst":
			read(w, &c.Burst, sizeAndCell)
		case "cburst", "cbuffer", "cmaxburst":
			read(w, &c.Cburst, sizeAndCell)
		case "quantum":
			read(w, &c.Quantum, uint32Dec)
		case "prio":
			read(w, &c.Prio, uint32Dec)
		case "mtu":
			read(w, &c.MTU, uint32Dec)
		case "mpu":
			read(w, &c.MPU, uint16Dec)
		case "overhead":
			read(w, &c.Overhead, uint16Dec)
		case "linklayer":
			read(w, &c.LinkLayer, parseLinkLayer)
		default:
			w.unknown()
		}
	}
	if !haveRate {
		w.fail("rate is missing")
	}
	w.kind = ""
	return c
}

// once refuses the second appearance of an option that tc(8) takes only once.
func once(w *words, seen *bool) {
	if *seen {
		w.fail("%s is given twice", w.word)
	}
	*seen = true
}

// canonical is the class as the kernel reports it. The quantum is computed as
// in htb_change_class (sch_htb.c): rate in bytes/s over r2q, between 1000 and
// 200000; one that was given is taken as it is. Bursts are computed as in
// htb_parse_class_opt (q_htb.c).
func (c HTBClass) canonical(h Host, r2q uint32) HTBClass {
	mtu := c.MTU
	c.MTU = 0
	c.Rate -= c.Rate % 8
	c.Ceil -= c.Ceil % 8
	c.Ceil = orZero(c.Ceil, c.Rate)
	c.Burst = h.canonicalBurst(c.Rate, c.Burst, mtu)
	c.Cburst = h.canonicalBurst(c.Ceil, c.Cburst, mtu)
	c.LinkLayer = orZero(c.LinkLayer, LinkLayerEthernet)
	c.Prio = min(c.Prio, 7)
	if c.Quantum == 0 {
		c.Quantum = uint32(min(max(c.Rate.BytesPerSecond()/uint64(orZero(r2q, 10)), 1000), 200000))
	}
	return c
}

// sameAs compares two classes' parameters. Quantum and prio of a class with children
// are left out: the kernel keeps what the class had as a leaf, and neither uses nor
// changes it (the conditions on cl->level in htb_change_class, sch_htb.c); tc(8) does not
// show it.
func (c HTBClass) sameAs(o HTBClass, inner bool) bool {
	if inner {
		c.Quantum, c.Prio = o.Quantum, o.Prio
	}
	return c == o
}
