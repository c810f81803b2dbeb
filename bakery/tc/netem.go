package tc

import (
	"strconv"
	"time"
)

// Netem delays, loses, repeats, damages and reorders packets. `change` replaces
// everything but what travels in messages of its own: corrupt, reorder, rate,
// slot, ecn and the distribution stay as they were if they are not given.
type Netem struct {
	Limit        Opt[uint32]   // packets; default 1000
	Delay        time.Duration // whole microseconds
	Jitter       time.Duration // whole microseconds
	DelayCorr    Percent       // of each delay with the one before
	Distribution string        // of the jitter: a table of tc(8), "normal"
	Loss         NetemLoss
	ECN          bool    // mark instead of lose
	Duplicate    Percent // and its correlation
	DupCorr      Percent
	Corrupt      Percent // and its correlation
	CorruptCorr  Percent
	Reorder      Percent // sent at once, ahead of delayed packets; and its correlation
	ReorderCorr  Percent
	Gap          uint32 // reorder every Gap-th packet; 1 if Reorder is given without
	Rate         NetemRate
	Slot         NetemSlot
}

// LossModel is how Netem chooses the packets that it loses.
type LossModel uint8

// The loss models of netem.
const (
	LossNone   LossModel = iota
	LossRandom           // P: probability, correlation
	LossState            // P: p13, p31, p32, p23, p14 of a 4-state Markov chain
	LossGE               // P: p, r, 1-h, 1-k of the Gilbert-Elliot model
)

// NetemLoss is a loss model and its parameters.
type NetemLoss struct {
	Model LossModel
	P     [5]Percent
}

// NetemRate is the speed of the emulated link, with overhead per packet and per
// cell, in bytes.
type NetemRate struct {
	Rate           Rate
	PacketOverhead int32
	CellSize       uint32
	CellOverhead   int32
}

// NetemSlot delivers packets in slots: a delay between them, from MinDelay to
// MaxDelay or by a distribution, and at most so many packets and bytes in each.
type NetemSlot struct {
	MinDelay, MaxDelay time.Duration
	Distribution       string
	Delay, Jitter      time.Duration // of Distribution
	Packets, Bytes     int32
}

// Kind is "netem".
func (Netem) Kind() string { return "netem" }

// String is the options in tc(8)'s words.
func (o Netem) String() string { return optionString(o) }

func (o Netem) fields() []field {
	var l fieldList
	l.optNum("limit", o.Limit)
	if o.Delay != 0 || o.Jitter != 0 || o.DelayCorr != 0 {
		v := FormatTime(o.Delay)
		if o.Jitter != 0 || o.DelayCorr != 0 {
			v += " " + FormatTime(o.Jitter)
		}
		l.add("delay", v+percents(o.DelayCorr))
	}
	if o.Distribution != "" {
		l.add("distribution", o.Distribution)
	}
	if o.Loss.Model != LossNone {
		l.add("loss", o.Loss.words())
	}
	if o.ECN {
		l.lone("ecn", "ecn")
	}
	for _, f := range []struct {
		name    string
		p, corr Percent
	}{
		{"duplicate", o.Duplicate, o.DupCorr},
		{"corrupt", o.Corrupt, o.CorruptCorr},
		{"reorder", o.Reorder, o.ReorderCorr},
	} {
		if f.p != 0 || f.corr != 0 {
			l.add(f.name, f.p.String()+percents(f.corr))
		}
	}
	l.num("gap", o.Gap)
	if o.Rate != (NetemRate{}) {
		l.add("rate", o.Rate.words())
	}
	if o.Slot != (NetemSlot{}) {
		l.add("slot", o.Slot.words())
	}
	return l
}

// percents are percentages behind others, up to the last that is not 0.
func percents(list ...Percent) string {
	for len(list) > 0 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	s := ""
	for _, p := range list {
		s += " " + p.String()
	}
	return s
}

func (l NetemLoss) words() string {
	switch l.Model {
	case LossState:
		return "state " + l.P[0].String() + " " + l.P[1].String() + " " + l.P[2].String() +
			" " + l.P[3].String() + " " + l.P[4].String()
	case LossGE:
		return "gemodel " + l.P[0].String() + " " + l.P[1].String() + " " + l.P[2].String() +
			" " + l.P[3].String()
	}
	return l.P[0].String() + percents(l.P[1])
}

func (r NetemRate) words() string {
	s := r.Rate.String()
	if r.PacketOverhead != 0 || r.CellSize != 0 || r.CellOverhead != 0 {
		s += " " + strconv.Itoa(int(r.PacketOverhead))
	}
	if r.CellSize != 0 || r.CellOverhead != 0 {
		s += " " + strconv.FormatUint(uint64(r.CellSize), 10)
	}
	if r.CellOverhead != 0 {
		s += " " + strconv.Itoa(int(r.CellOverhead))
	}
	return s
}

func (l NetemSlot) words() string {
	s := FormatTime(l.MinDelay) + " " + FormatTime(l.MaxDelay)
	if l.Distribution != "" {
		s = "distribution " + l.Distribution + " " + FormatTime(l.Delay) + " " + FormatTime(l.Jitter)
	}
	if l.Packets != 0 {
		s += " packets " + strconv.Itoa(int(l.Packets))
	}
	if l.Bytes != 0 {
		s += " bytes " + strconv.Itoa(int(l.Bytes))
	}
	return s
}

// change is netem_change (sch_netem.c).
func (o Netem) change(given Options) (Options, bool) {
	g := given.(Netem)
	if g.DelayCorr == 0 && g.Loss.P[1] == 0 && g.DupCorr == 0 && g.Loss.Model <= LossRandom {
		g.DelayCorr, g.DupCorr = o.DelayCorr, o.DupCorr // not sent, so kept
	}
	if g.Distribution == "" {
		g.Distribution = o.Distribution
	}
	g.ECN = g.ECN || o.ECN
	if g.Corrupt == 0 && g.CorruptCorr == 0 {
		g.Corrupt, g.CorruptCorr = o.Corrupt, o.CorruptCorr
	}
	if g.Reorder == 0 && g.ReorderCorr == 0 {
		g.Reorder, g.ReorderCorr, g.Gap = o.Reorder, o.ReorderCorr, o.Gap
	}
	if g.Delay == 0 || g.Jitter == 0 {
		g.Distribution = "" // kept by the kernel, without effect
	}
	if g.Delay == 0 {
		g.Reorder, g.ReorderCorr, g.Gap = 0, 0, 0
	}
	g.ECN = g.ECN && g.Loss.Model != LossNone
	g.Rate = orZero(g.Rate, o.Rate)
	g.Slot = orZero(g.Slot, o.Slot)
	return g, true
}

// canonical fills in what netem_parse_opt (q_netem.c) does.
func (o Netem) canonical(h Host, _ string) Options {
	o.Limit = o.Limit.orOpt(Some[uint32](1000))
	if o.Reorder != 0 {
		o.Gap = orZero(o.Gap, 1)
	}
	o.Rate.Rate -= o.Rate.Rate % 8
	return o
}
