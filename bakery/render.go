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
		p.class(c.Link, c.Parent, c.ClassID)
		p.ratesOf(c.RateMbps, c.CeilMbps, c.R2Q)
	case AddCircuitHTBClass:
		p.class(c.Link, c.Parent, c.ClassID)
		p.ratesOf(c.RateMbps, c.CeilMbps, c.R2Q)
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

// rate appends a rate.
func (p *printer) rate(mbps float64) {
	if p.rates == RatesAsClient {
		p.b = tc.AppendMbps(p.b, mbps)
		return
	}
	r, err := programmedRate(mbps)
	if err != nil {
		panic("bakery: rendering a rate that Fold refuses: " + err.Error())
	}
	p.put(r.String())
}

// quantum ends a class line.
func (p *printer) quantum(ceilMbps float64, r2q uint64) {
	q, err := tc.Quantum(ceilMbps, r2q)
	if err != nil {
		panic("bakery: rendering a quantum that Fold refuses: " + err.Error())
	}
	p.put(" quantum ")
	p.b = strconv.AppendUint(p.b, q, 10)
	p.line("")
}

// class begins a class line with what the client wrote.
func (p *printer) class(link, parent, classID string) {
	p.put("class add dev ", link, " parent ", parent, " classid ", classID)
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
	p.rateAndCeil(rate, ceil)
	p.put(" prio ", strconv.Itoa(clientPrio))
	p.quantum(ceil, r2q)
}

func (p *printer) rateAndCeil(rate, ceil float64) {
	p.put(" htb rate ")
	p.rate(rate)
	p.put(" ceil ")
	p.rate(ceil)
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
	sqm := strings.Join(splitWords(d.SQM), " ")
	for i := range d.Queues {
		n := hexText(d.FirstMajor + i)
		p.put("qdisc add dev ", d.Link, " parent 7FFF:", n, " handle ", n)
		p.line(": htb default 2")
		p.put("class add dev ", d.Link, " parent ", n, ": classid ", n, ":1")
		p.rateAndCeil(d.CapacityMbps, d.CapacityMbps)
		p.quantum(d.CapacityMbps, r2q)
		p.put("qdisc add dev ", d.Link, " parent ", n, ":1 ")
		p.line(sqm)
		p.put("class add dev ", d.Link, " parent ", n, ":1 classid ", n, ":2")
		p.rateAndCeil(restRate(d.CapacityMbps), restCeil(d.CapacityMbps))
		p.put(" prio ", strconv.Itoa(defaultPrio))
		p.quantum(d.CapacityMbps, r2q)
		p.put("qdisc add dev ", d.Link, " parent ", n, ":2 ")
		p.line(sqm)
	}
}
