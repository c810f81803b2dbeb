package bakery

import (
	"strconv"
	"strings"

	"lqosd/bakery/tc"
)

// Rates chooses how command-form lines show rates.
type Rates uint8

const (
	// RatesAsClient rounds as clients do ("1.2gbit"): what tc-rust.txt holds.
	RatesAsClient Rates = iota
	// RatesExact is what the kernel is given ("1234560kbit").
	RatesExact
)

// AppendLines appends the tc lines of a record's command, each with its newline: the
// command form of tc-rust.txt.
func AppendLines(dst []byte, c Command, rates Rates) []byte {
	return appendLines(dst, c, rates, func(lines []byte) []byte { return lines })
}

// appendLines is AppendLines that hands on what it has now and then, for a batch is long: took gives the room for more.
func appendLines(dst []byte, c Command, rates Rates, took func([]byte) []byte) []byte {
	p := printer{dst, rates, took}
	switch c := c.(type) {
	case ClearPriorSettings:
		for _, link := range c.Links {
			p.put("qdisc delete dev ", link)
			p.line(" root")
		}
	case MqSetup:
		p.mqSetup(c)
	case AddStructuralHTBClass:
		p.class(askOfSite(c))
	case AddCircuitHTBClass:
		p.class(askOfCircuit(c))
	case AddCircuitQdisc:
		p.put("qdisc add dev ", c.Link, " parent ", hexText(c.ParentMajor), ":", hexText(c.ParentMinor), " ")
		p.line(strings.Join(splitWords(c.SQM), " "))
	case Commit:
		p.commit(c)
	case ChangeSiteSpeedLive:
		p.speed(c)
	case ExecuteTCCommands:
		for _, l := range c.Lines {
			p.line(l)
		}
	}
	return p.b
}

// printer appends lines to b.
type printer struct {
	b     []byte
	rates Rates
	took  func([]byte) []byte
}

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.b = append(p.b, s...)
	}
}

func (p *printer) line(s string) { p.b = append(append(p.b, s...), '\n') }

func hexText[N uint16 | uint32](n N) string { return strconv.FormatUint(uint64(n), 16) }

func (p *printer) rate(mbps float64) string {
	if p.rates == RatesAsClient {
		return tc.FormatMbps(mbps)
	}
	r, err := programmedRate(mbps)
	if err != nil {
		panic("bakery: rendering a rate that Fold refuses: " + err.Error())
	}
	return r.String()
}

func quantumText(ceilMbps float64, r2q uint64) string {
	q, err := tc.Quantum(ceilMbps, r2q)
	if err != nil {
		panic("bakery: rendering a quantum that Fold refuses: " + err.Error())
	}
	return strconv.FormatUint(q, 10)
}

func (p *printer) class(a classAsk) {
	p.put("class add dev ", a.link, " parent ", a.parent, " classid ", a.classID)
	p.ratesOf(a.rateMbps, a.ceilMbps, a.r2q)
}

// commit prints the skeleton, then each member: its class and leaf of the download, then those
// of the upload.
func (p *printer) commit(c Commit) {
	p.mqSetup(c.Setup)
	leaves := leafMemo{}
	for _, m := range c.Members {
		p.b = p.took(p.b)
		for _, upload := range []bool{false, true} {
			link, b := c.directionOf(upload).Link, m.branch(upload)
			p.htbClass("add", link, b.parent, b.class)
			p.ratesOf(b.rate, b.ceil, c.Setup.R2Q)
			if m.Circuit == nil {
				continue
			}
			chosen := leaves.choose(c, m.Circuit, upload)
			if chosen.err != nil {
				panic("bakery: rendering a leaf that Fold refuses: " + chosen.err.Error())
			}
			if chosen.options != nil {
				p.put("qdisc add dev ", link, " parent ", b.class.String(), " ")
				p.line(chosen.leaf.text())
			}
		}
	}
}

func (p *printer) speed(c ChangeSiteSpeedLive) {
	for _, s := range c.Classes {
		rate, ceil := c.mbps(s.Upload)
		p.htbClass("change", s.Link, s.Parent, s.ID)
		p.ratesOf(rate, ceil, c.R2Q)
	}
}

// htbClass begins a class line; the id takes the major of its parent, as clients write it.
func (p *printer) htbClass(verb, link string, parent, class tc.Handle) {
	p.put("class ", verb, " dev ", link, " parent ", parent.String(), " classid ", hexText(class.Minor()))
}

func (p *printer) ratesOf(rate, ceil float64, r2q uint64) {
	p.put(" htb rate ", p.rate(rate), " ceil ", p.rate(ceil), " prio ", strconv.Itoa(clientPrio), " quantum ")
	p.line(quantumText(ceil, r2q))
}

func (p *printer) mqSetup(m MqSetup) {
	p.root(m.Down.Link)
	p.queues(m.Down, m.R2Q)
	if !m.Stick() {
		p.root(m.Up.Link)
	}
	p.queues(m.Up, m.R2Q)
}

func (p *printer) root(link string) {
	p.put("qdisc replace dev ", link)
	p.line(" root handle 7FFF: mq")
}

func (p *printer) queues(d Direction, r2q uint64) {
	quantum := quantumText(d.CapacityMbps, r2q)
	capacity, rest, ceil := p.rate(d.CapacityMbps), p.rate(restRate(d.CapacityMbps)), p.rate(restCeil(d.CapacityMbps))
	sqm := strings.Join(splitWords(d.SQM), " ")
	for i := range d.Queues {
		n := hexText(d.FirstMajor + i)
		p.put("qdisc add dev ", d.Link, " parent 7FFF:", n, " handle ", n)
		p.line(": htb default 2")
		p.put("class add dev ", d.Link, " parent ", n, ": classid ", n, ":1 htb rate ", capacity, " ceil ", capacity)
		p.put(" quantum ")
		p.line(quantum)
		p.put("qdisc add dev ", d.Link, " parent ", n, ":1 ")
		p.line(sqm)
		p.put("class add dev ", d.Link, " parent ", n, ":1 classid ", n, ":2 htb rate ", rest, " ceil ", ceil)
		p.put(" prio ", strconv.Itoa(defaultPrio), " quantum ")
		p.line(quantum)
		p.put("qdisc add dev ", d.Link, " parent ", n, ":2 ")
		p.line(sqm)
	}
}
