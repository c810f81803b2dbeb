package tc

import "time"

// cakePreset is the round-trip time that has a name, 0 if it is no such name (q_cake.c).
func cakePreset(word string) time.Duration {
	switch word {
	case "datacentre":
		return 100 * time.Microsecond
	case "lan":
		return time.Millisecond
	case "metro":
		return 10 * time.Millisecond
	case "regional":
		return 30 * time.Millisecond
	case "internet":
		return 100 * time.Millisecond
	case "oceanic":
		return 300 * time.Millisecond
	case "satellite":
		return time.Second
	case "interplanetary":
		return 1000 * time.Second
	}
	return 0
}

// cakeFraming is what a word for a framing scheme stands for: overhead added to
// what was there, a cell mode, a smallest packet (q_cake.c).
type cakeFraming struct {
	overhead int32
	atm      CellMode
	mpu      uint32
}

var cakeFramings = map[string]cakeFraming{
	"ipoa-vcmux":      {8, CellATM, 0},
	"ipoa-llcsnap":    {16, CellATM, 0},
	"bridged-vcmux":   {24, CellATM, 0},
	"bridged-llcsnap": {32, CellATM, 0},
	"pppoa-vcmux":     {10, CellATM, 0},
	"pppoa-llc":       {14, CellATM, 0},
	"pppoe-vcmux":     {32, CellATM, 0},
	"pppoe-llcsnap":   {40, CellATM, 0},
	"pppoe-ptm":       {30, CellPTM, 0},
	"bridged-ptm":     {22, CellPTM, 0},
	"ethernet":        {38, CellUnset, 84},
	"ether-vlan":      {4, CellUnset, 0},
	"docsis":          {18, CellNone, 64},
}

func parseCake(w *words) Options {
	var o Cake
	preset := false
	for w.next() {
		switch {
		case o.parseShaper(w), o.parseMode(w), o.parseSwitch(w), o.parseFraming(w):
		case cakePreset(w.word) != 0:
			if preset {
				w.fail("%s is a second round-trip time", w.word)
			}
			preset = true
			o.RTT = cakePreset(w.word)
		default:
			o.parseValue(w)
		}
	}
	return o
}

// parseShaper reads the words that set the rate.
func (o *Cake) parseShaper(w *words) bool {
	switch w.word {
	case "bandwidth":
		read(w, &o.Bandwidth, ParseRate)
		o.Unlimited, o.Autorate = false, false
	case "unlimited":
		o.Bandwidth, o.Unlimited, o.Autorate = 0, true, false
	case "autorate-ingress":
		o.Autorate = true
	default:
		return false
	}
	return true
}

// parseMode reads the words of which one of several can be chosen.
func (o *Cake) parseMode(w *words) bool {
	if d := indexOf[Diffserv](diffservWords[:], w.word); d != 0 {
		o.Diffserv = d
	} else if w.word == "diffserv" {
		o.Diffserv = Diffserv4
	} else if m := indexOf[FlowMode](flowWords[:], w.word); m != 0 {
		o.FlowMode = m
	} else if a := indexOf[AckFilter](ackWords[:], w.word); a != 0 {
		o.AckFilter = a
	} else if c := indexOf[CellMode](cellWords[:], w.word); c != 0 {
		o.ATM = c
	} else {
		return false
	}
	return true
}

func (o *Cake) parseSwitch(w *words) bool {
	switch w.word {
	case "nat":
		o.NAT = On
	case "nonat":
		o.NAT = Off
	case "wash":
		o.Wash = On
	case "nowash":
		o.Wash = Off
	case "split-gso":
		o.SplitGSO = On
	case "no-split-gso":
		o.SplitGSO = Off
	case "ingress":
		o.Ingress = On
	case "egress":
		o.Ingress = Off
	default:
		return false
	}
	return true
}

func (o *Cake) parseFraming(w *words) bool {
	switch w.word {
	case "raw":
		o.Raw, o.ATM, o.Overhead = true, CellUnset, Opt[int32]{}
		return true
	case "conservative":
		o.ATM, o.Overhead = CellATM, Some[int32](48)
		return true
	case "via-ethernet": // cake sees this for itself; tc(8) ignores the word
		return true
	}
	f, ok := cakeFramings[w.word]
	if !ok {
		return false
	}
	o.Overhead = Some(o.Overhead.Value + f.overhead)
	if o.Overhead.Value > 256 {
		w.fail("%s makes the overhead %d bytes, more than 256", w.word, o.Overhead.Value)
	}
	o.ATM = orZero(f.atm, o.ATM)
	if f.mpu != 0 {
		o.MPU = Some(f.mpu)
	}
	return true
}

// parseValue reads the options that have a value.
func (o *Cake) parseValue(w *words) {
	switch w.word {
	case "rtt":
		read(w, &o.RTT, ParseTime)
	case "overhead":
		readOpt(w, &o.Overhead, int32In(-64, 256))
	case "mpu":
		var v int32
		read(w, &v, int32In(0, 256))
		o.MPU = Some(uint32(v))
	case "memlimit":
		readOpt(w, &o.MemLimit, ParseSize)
	case "fwmark":
		readOpt(w, &o.FwMark, uint32Any)
	default:
		w.unknown()
	}
}
