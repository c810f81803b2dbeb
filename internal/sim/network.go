package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// network is what a client's configuration describes. Sites and circuits have the same minor
// in both directions.
type network struct {
	queues   int // per direction
	sites    []site
	circuits []circuit
}

type site struct {
	queue, minor, parent int // parent is a minor; 1: the queue's
	mbps                 float64
}

type circuit struct {
	queue, minor, parent int
	mbps                 float64
	address              string // "": none
	leaf                 string
}

var (
	rates  = []float64{0.5, 1, 2, 10, 25.5, 100, 999.95}
	leaves = []string{"cake diffserv4", "fq_codel", "cake diffserv4 rtt 180", "pfifo limit 100"}
)

func pick[T any](rng *rand.Rand, list ...T) T { return list[rng.IntN(len(list))] }

// newNetwork draws a network. Its numbers are few, so that networks meet.
func newNetwork(rng *rand.Rand, queues int) network {
	n := network{queues: queues}
	for minor := 3; minor < 3+rng.IntN(4); minor++ {
		s := site{queue: 1 + rng.IntN(queues), minor: minor, parent: 1, mbps: pick(rng, rates...)}
		if len(n.sites) > 0 && rng.IntN(3) == 0 {
			above := pick(rng, n.sites...)
			s.queue, s.parent = above.queue, above.minor
		}
		n.sites = append(n.sites, s)
	}
	for minor := 7; minor < 8+rng.IntN(8); minor++ {
		c := circuit{queue: 1 + rng.IntN(queues), minor: minor, parent: 1, mbps: pick(rng, rates...), leaf: pick(rng, leaves...)}
		if len(n.sites) > 0 && rng.IntN(4) > 0 {
			above := pick(rng, n.sites...)
			c.queue, c.parent = above.queue, above.minor
		}
		if rng.IntN(4) > 0 {
			c.address = fmt.Sprintf("10.0.0.%d", minor+rng.IntN(2)*32)
		}
		n.circuits = append(n.circuits, c)
	}
	return n
}

// branch is a direction of the network: its link, and what its majors begin after.
type branch struct {
	link   string
	first  int
	upload bool
}

func (w *world) branches(queues int) []branch {
	b := []branch{{w.setup.DownLink, 0, false}, {w.setup.UpLink, 0, true}}
	if w.stick() {
		b[1].first = queues
	}
	return b
}

func (w *world) stick() bool { return w.setup.DownLink == w.setup.UpLink }

// commands are those with which a client of the first generation builds the network.
func (w *world) networkCommands(n network) []bakery.Command {
	var list []bakery.Command
	for _, b := range w.branches(n.queues) {
		for _, s := range n.sites {
			list = append(list, bakery.AddStructuralHTBClass{Link: b.link, Parent: b.handle(s.queue, s.parent), ClassID: fmt.Sprintf("0x%x", s.minor),
				RateMbps: s.mbps / 2, CeilMbps: s.mbps, SiteHash: int64(s.minor), R2Q: 10})
		}
		for _, c := range n.circuits {
			name := fmt.Sprintf("circuit %d", c.minor)
			list = append(list,
				bakery.AddCircuitHTBClass{Link: b.link, Parent: b.handle(c.queue, c.parent), ClassID: fmt.Sprintf("0x%x", c.minor),
					RateMbps: c.mbps / 2, CeilMbps: c.mbps, CircuitHash: int64(c.minor), Comment: &name, R2Q: 10},
				bakery.AddCircuitQdisc{Link: b.link, ParentMajor: uint32(b.first + c.queue), ParentMinor: uint32(c.minor),
					CircuitHash: int64(c.minor), SQM: strings.Fields(c.leaf)})
		}
	}
	for _, b := range w.branches(n.queues) {
		if b.upload && !w.stick() {
			break // one mapping serves both directions
		}
		for _, c := range n.circuits {
			if c.address != "" {
				list = append(list, bakery.MapIPToFlow{Address: c.address, Handle: uint32((b.first+c.queue)<<16 | c.minor),
					CPU: uint32(c.queue - 1), Upload: b.upload})
			}
		}
	}
	return list
}

func (b branch) handle(queue, minor int) string {
	return fmt.Sprintf("0x%x:0x%x", b.first+queue, minor)
}

// batch is the network as a client of the second generation states it.
func (w *world) batch(n network) bakery.Command {
	b := bakery.NewBatch()
	offset := 0
	if w.stick() {
		offset = n.queues
	}
	queues := n.queues
	_ = b.SetUp(bakery.MqSetup{QueuesAvailable: &queues, StickOffset: &offset})
	class := func(major, minor int) uint32 { return uint32(major<<16 | minor) }
	plan := func(mbps float64) bakery.Bandwidths {
		return bakery.Bandwidths{DownMin: float32(mbps / 2), UpMin: float32(mbps / 4), DownMax: float32(mbps), UpMax: float32(mbps / 2)}
	}
	for _, s := range n.sites {
		_ = b.Add(bakery.Member{Site: &bakery.AddSite{SiteHash: int64(s.minor), Parent: class(s.queue, s.parent), UpParent: class(offset+s.queue, s.parent),
			Minor: uint16(s.minor), Bandwidths: plan(s.mbps)}})
	}
	for _, c := range n.circuits {
		name := fmt.Sprintf("circuit %d", c.minor)
		_ = b.Add(bakery.Member{Circuit: &bakery.AddCircuit{CircuitHash: int64(c.minor), Name: &name, Parent: class(c.queue, c.parent),
			UpParent: class(offset+c.queue, c.parent), Minor: uint16(c.minor), Bandwidths: plan(c.mbps), Major: uint16(c.queue),
			UpMajor: uint16(offset + c.queue), Addresses: c.address}})
	}
	return b.Commit()
}

// anyCommand is one of a client that does as it likes; some of them are refused.
func (w *world) anyCommand() bakery.Command {
	rng := w.rng
	b := pick(rng, w.branches(w.setup.Queues)...)
	queue, minor := 1+rng.IntN(w.setup.Queues), 3+rng.IntN(10)
	parent := b.handle(queue, pick(rng, 1, 1, 3, 4, 5))
	rate := pick(rng, rates...)
	switch rng.IntN(14) {
	case 0:
		return bakery.ClearPriorSettings{}
	case 1:
		return bakery.MqSetup{}
	case 2, 3:
		return bakery.AddStructuralHTBClass{Link: b.link, Parent: parent, ClassID: fmt.Sprintf("%x", minor), RateMbps: rate, CeilMbps: rate, SiteHash: int64(minor), R2Q: 10}
	case 4, 5, 6:
		return bakery.AddCircuitHTBClass{Link: b.link, Parent: parent, ClassID: fmt.Sprintf("%x", minor), RateMbps: rate, CeilMbps: rate, CircuitHash: int64(minor), R2Q: 10}
	case 7:
		return bakery.AddCircuitQdisc{Link: b.link, ParentMajor: uint32(b.first + queue), ParentMinor: uint32(minor), SQM: strings.Fields(pick(rng, leaves...))}
	case 8, 9:
		m := bakery.MapIPToFlow{Address: pick(rng, "10.0.0.9", "10.0.0.10", "10.0.1.0/24", "fd00::/56"), Handle: uint32((b.first+queue)<<16 | minor), Upload: b.upload}
		if id := rng.Uint64N(4); id > 0 {
			m.CircuitID = &id
		}
		return m
	case 10:
		return bakery.DelIPFlow{Address: pick(rng, "10.0.0.9", "10.0.0.10", "10.0.1.0/24"), Upload: b.upload}
	case 11:
		return bakery.ExecuteTCCommands{Force: rng.IntN(2) == 0, Lines: []string{w.anyLine(b, queue, minor), w.anyLine(b, queue, minor)}}
	case 12:
		return bakery.ChangeSiteSpeedLive{SiteHash: int64(3 + rng.IntN(4)), Bandwidths: bakery.Bandwidths{DownMin: 1, UpMin: 1, DownMax: float32(rate), UpMax: float32(rate)}}
	}
	return w.nonsense(b)
}

// anyLine is a line of tc(8).
func (w *world) anyLine(b branch, queue, minor int) string {
	q := b.first + queue
	switch w.rng.IntN(7) {
	case 0:
		return fmt.Sprintf("class del dev %s classid %x:%x", b.link, q, minor)
	case 1:
		return fmt.Sprintf("qdisc replace dev %s root handle 7FFF: mq", b.link)
	case 2:
		return fmt.Sprintf("qdisc add dev %s parent 7FFF:%x handle %x: htb default 2", b.link, q, q)
	case 3:
		return fmt.Sprintf("qdisc del dev %s parent %x:%x", b.link, q, minor)
	case 4:
		return fmt.Sprintf("qdisc replace dev %s parent %x:%x fq_codel", b.link, q, minor)
	case 5:
		return fmt.Sprintf("filter add dev %s parent %x: matchall", b.link, q)
	}
	return fmt.Sprintf("class %s dev %s parent %x:1 classid %x:%x htb rate 3mbit ceil 4mbit prio 3 quantum 1522", pick(w.rng, "add", "replace", "change"), b.link, q, q, minor)
}

// nonsense is refused whatever the tree is.
func (w *world) nonsense(b branch) bakery.Command {
	switch w.rng.IntN(5) {
	case 0:
		return bakery.AddStructuralHTBClass{Link: "eth7", Parent: "1:1", ClassID: "3", RateMbps: 1, CeilMbps: 1, R2Q: 10}
	case 1:
		return bakery.AddCircuitHTBClass{Link: b.link, Parent: "1:1", ClassID: "9", RateMbps: math.NaN(), CeilMbps: 1, R2Q: 10}
	case 2:
		return bakery.MapIPToFlow{Address: "nowhere", Handle: 1<<16 | 3}
	case 3:
		return bakery.ExecuteTCCommands{Lines: []string{"class add dev " + b.link + " parent 1:1 classid 1:9 htb rate much"}}
	}
	return bakery.AddCircuitQdisc{Link: b.link, ParentMajor: 0x7ffe, ParentMinor: 9, SQM: []string{"cake"}}
}

// describe is a command in the trace.
func describe(c bakery.Command) string {
	switch c := c.(type) {
	case bakery.AddStructuralHTBClass:
		return fmt.Sprintf("%s %s < %s %v", c.Link, c.ClassID, c.Parent, c.CeilMbps)
	case bakery.AddCircuitHTBClass:
		return fmt.Sprintf("%s %s < %s %v", c.Link, c.ClassID, c.Parent, c.CeilMbps)
	case bakery.AddCircuitQdisc:
		return fmt.Sprintf("%s %x:%x %v", c.Link, c.ParentMajor, c.ParentMinor, c.SQM)
	case bakery.ExecuteTCCommands:
		return fmt.Sprintf("%q", c.Lines)
	case bakery.MapIPToFlow:
		return fmt.Sprintf("%s %v up %t", c.Address, tc.Handle(c.Handle), c.Upload)
	case bakery.DelIPFlow:
		return fmt.Sprintf("%s up %t", c.Address, c.Upload)
	case bakery.ChangeSiteSpeedLive:
		return fmt.Sprintf("%d %v", c.SiteHash, c.DownMax)
	case bakery.Commit:
		return fmt.Sprintf("%d members", len(c.Members))
	}
	return ""
}
