package main

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"lqosd/bakery"
)

// plantedTree is a random network, and what its client said of it.
type plantedTree struct {
	commands []bakery.Command
	leaves   map[spot]string // kind and options, as they were given
	chosen   map[spot]bool   // leaves whose handle the client chose
	slots    map[spot]bool   // queues of an mq that are used
	sites    []spot          // that have a name, for changes by records
}

// grower makes random trees for the links of a farm.
type grower struct {
	*rand.Rand
	down, up string // the same on a stick; up is "" where tc lines make the whole tree
	leafs    []func(g *grower) string
	tree     *plantedTree
	handles  int
	circuits int // that are left to make
	hash     int64
}

// grow makes a tree of 3 to 40 circuits.
func (g *grower) grow() *plantedTree {
	g.tree = &plantedTree{leaves: map[spot]string{}, chosen: map[spot]bool{}, slots: map[spot]bool{}}
	g.handles, g.circuits = 0x100, 3+g.IntN(38)
	queues := 1 + g.IntN(3)
	if g.up == "" {
		g.growByLines(queues)
		return g.tree
	}
	g.add(bakery.MqSetup{QueuesAvailable: &queues})
	links, first := []string{g.down, g.up}, []int{1, 1}
	if g.down == g.up {
		first[1] = queues + 1
	}
	share := max(1, g.circuits/(2*queues))
	for i, link := range links {
		for q := range queues {
			major := first[i] + q
			g.slot(link, major)
			g.tree.leaves[spot{link, true, fmt.Sprintf("%x:2", major)}.leaf()] = g.defaultLeaf()
			g.queue(link, major, fmt.Sprintf("%x:1", major), share)
		}
	}
	return g.tree
}

// leaf is the place of the qdisc in a class.
func (s spot) leaf() spot { return spot{s.link, false, s.at} }

func (g *grower) slot(link string, major int) {
	g.tree.slots[spot{link, false, fmt.Sprintf("7fff:%x", major)}] = true
}

func (g *grower) defaultLeaf() string { return strings.Join(defaultSQM(g.leafs), " ") }

// growByLines makes a tree that MqSetup knows nothing of: an htb at the root, or at queues.
func (g *grower) growByLines(queues int) {
	g.add(bakery.ClearPriorSettings{})
	htb := func(at string, major int) string {
		return fmt.Sprintf("dev %s %s handle %x: htb default %x%s", g.down, at, major, 2+g.IntN(3), g.one("", "", " r2q 20"))
	}
	if g.IntN(3) == 0 {
		g.line("qdisc replace " + htb("root", 1))
		g.queue(g.down, 1, "1:", g.circuits)
		return
	}
	g.line("qdisc replace dev " + g.down + " root handle 7fff: mq")
	for q := 1; q <= queues; q++ {
		g.line("qdisc add " + htb(fmt.Sprintf("parent 7fff:%x", q), q))
		g.slot(g.down, q)
		g.queue(g.down, q, fmt.Sprintf("%x:", q), max(1, g.circuits/queues))
	}
}

func (g *grower) add(c bakery.Command) { g.tree.commands = append(g.tree.commands, c) }

func (g *grower) line(line string) {
	if last, ok := g.last(); ok {
		last.Lines = append(last.Lines, line)
		g.tree.commands[len(g.tree.commands)-1] = last
		return
	}
	g.add(bakery.ExecuteTCCommands{Lines: []string{line}})
}

func (g *grower) last() (c bakery.ExecuteTCCommands, ok bool) {
	if n := len(g.tree.commands); n > 0 {
		c, ok = g.tree.commands[n-1].(bakery.ExecuteTCCommands)
	}
	return c, ok
}

func (g *grower) one(list ...string) string { return list[g.IntN(len(list))] }

// rates are such as tc(8) shows without rounding, in Mbit/s.
var rates = []float64{0.256, 0.5, 1, 1.5, 2.7, 3, 5, 8, 10, 25.6, 33.333, 50, 99.5, 100, 150, 250.125, 300, 512, 940}

func (g *grower) rate() (rate, ceil float64) {
	i := g.IntN(len(rates))
	return rates[i], rates[i+g.IntN(len(rates)-i)]
}

// queue makes the sites, three deep at most, and the circuits of one htb.
func (g *grower) queue(link string, major int, top string, circuits int) {
	type node struct {
		id    string
		depth int
	}
	parents := []node{{top, 0}}
	minor := 2
	next := func() string {
		minor += 1 + g.IntN(9)
		return fmt.Sprintf("%x:%x", major, minor)
	}
	for range g.IntN(5) {
		p := parents[g.IntN(len(parents))]
		if p.depth >= 3 {
			continue
		}
		id := next()
		rate, ceil := g.rate()
		g.hash++
		if g.up != "" {
			g.add(bakery.AddStructuralHTBClass{Link: link, Parent: p.id, ClassID: id, RateMbps: rate, CeilMbps: ceil, SiteHash: g.hash, R2Q: 10})
			g.tree.sites = append(g.tree.sites, spot{link, true, id})
		} else {
			g.class(link, p.id, id, rate, ceil)
		}
		parents = append(parents, node{id, p.depth + 1})
	}
	for range circuits {
		g.circuit(link, parents[g.IntN(len(parents))].id, next())
	}
}

func (g *grower) class(link, parent, id string, rate, ceil float64) {
	options := ""
	for _, o := range []string{" burst 15k", " cburst 7000", " prio 6", " quantum 3000", " overhead 24 mpu 84", " linklayer atm"} {
		if g.IntN(5) == 0 {
			options += o
		}
	}
	g.line(fmt.Sprintf("class add dev %s parent %s classid %s htb rate %gmbit ceil %gmbit%s", link, parent, id, rate, ceil, options))
}

// circuit makes a class, and in most a leaf.
func (g *grower) circuit(link, parent, id string) {
	rate, ceil := g.rate()
	g.hash++
	lines := g.up == "" || g.IntN(4) == 0
	if lines {
		g.class(link, parent, id, rate, ceil)
	} else {
		g.add(bakery.AddCircuitHTBClass{Link: link, Parent: parent, ClassID: id, RateMbps: rate, CeilMbps: ceil, CircuitHash: g.hash, R2Q: 10})
	}
	at := spot{link, false, id}
	if g.IntN(8) == 0 {
		return
	}
	words := g.leafs[g.IntN(len(g.leafs))](g)
	g.tree.leaves[at] = words
	switch {
	case !lines:
		var major, minor uint32
		if _, err := fmt.Sscanf(id, "%x:%x", &major, &minor); err != nil {
			panic(err)
		}
		g.add(bakery.AddCircuitQdisc{Link: link, ParentMajor: major, ParentMinor: minor, CircuitHash: g.hash, SQM: strings.Fields(words)})
	case g.IntN(3) == 0:
		g.handles++
		g.tree.chosen[at] = true
		g.line(fmt.Sprintf("qdisc add dev %s parent %s handle %x: %s", link, id, g.handles, words))
		if strings.HasPrefix(words, "tbf") && g.IntN(2) == 0 {
			in := spot{link, false, fmt.Sprintf("%x:1", g.handles)}
			g.handles++
			g.tree.chosen[in], g.tree.leaves[in] = true, "pfifo limit 7"
			g.line(fmt.Sprintf("qdisc add dev %s parent %s handle %x: pfifo limit 7", link, in.at, g.handles))
		}
	default:
		g.line(fmt.Sprintf("qdisc add dev %s parent %s %s", link, id, words))
	}
}

// defaultSQM is the leaf of the skeleton's classes: the first of a farm's kinds.
func defaultSQM(leafs []func(*grower) string) []string {
	if len(leafs) == len(plainLeafs) {
		return []string{"pfifo"}
	}
	return []string{"cake", "diffserv4"}
}

// plainLeafs are the kinds that every kernel has, cakeLeafs those of a kernel with everything. Each gives random options.
var (
	plainLeafs = []func(g *grower) string{pfifoWords, bfifoWords, tbfWords}
	cakeLeafs  = []func(g *grower) string{cakeWords, cakeWords, cakeWords, cakeWords, fqCodelWords, fqCodelWords, codelWords, fqWords, sfqWords, netemWords,
		pfifoWords, bfifoWords, tbfWords}
)

func pfifoWords(g *grower) string {
	return g.one("pfifo", fmt.Sprintf("pfifo limit %d", 20+13*g.IntN(90)))
}

func bfifoWords(g *grower) string {
	return g.one("bfifo", fmt.Sprintf("bfifo limit %d", 20000+1500*g.IntN(90)))
}

func tbfWords(g *grower) string {
	return fmt.Sprintf("tbf rate %dmbit burst %dk %s", 1+g.IntN(90), 8+8*g.IntN(9), g.one("latency 50ms", "latency 20ms", "limit 90k", "limit 300k"))
}

// some gives a random part of lists of words, one of each list.
func (g *grower) some(kind string, lists ...string) string {
	words := kind
	for _, list := range lists {
		if g.IntN(3) == 0 {
			words += " " + g.one(strings.Split(list, ",")...)
		}
	}
	return words
}

// The lists of words that exclude each other, by field.
var (
	cakeLists = []string{"bandwidth 10mbit,bandwidth 55mbit,bandwidth 1gbit,unlimited", "diffserv3,diffserv4,diffserv8,besteffort,precedence",
		"flowblind,srchost,dsthost,hosts,flows,dual-srchost,dual-dsthost,triple-isolate", "nat,nonat", "wash,nowash", "ingress,egress",
		"ack-filter,ack-filter-aggressive,no-ack-filter", "split-gso,no-split-gso", "rtt 20ms,rtt 50ms,rtt 300ms", "raw,overhead 18,overhead 44",
		"noatm,atm,ptm", "mpu 64,mpu 84", "memlimit 4mb,memlimit 9mb", "fwmark 0xf,fwmark 0xff"}
	fqCodelLists = []string{"limit 1000,limit 2000,limit 5120", "quantum 300,quantum 1514,quantum 6000", "target 2ms,target 10ms,target 25ms",
		"interval 50ms,interval 200ms", "ce_threshold 1ms,ce_threshold 3ms", "memory_limit 4mb,memory_limit 8mb", "ecn,noecn", "drop_batch 16,drop_batch 32"}
	codelLists = []string{"limit 500,limit 2000", "target 2ms,target 10ms", "interval 50ms,interval 200ms", "ce_threshold 1ms,ce_threshold 3ms", "ecn,noecn"}
	fqLists    = []string{"limit 5000,limit 8000", "flow_limit 50,flow_limit 200", "quantum 3000,quantum 9000", "initial_quantum 12000,initial_quantum 30000",
		"maxrate 20mbit,maxrate 1mbit", "low_rate_threshold 1mbit,low_rate_threshold 250kbit", "orphan_mask 255,orphan_mask 4095", "pacing,nopacing",
		"refill_delay 20ms,refill_delay 80ms", "horizon 2s,horizon 20s", "horizon_cap,horizon_drop", "ce_threshold 1ms,ce_threshold 4ms"}
)

func cakeWords(g *grower) string { return g.some("cake", cakeLists...) }
func fqCodelWords(g *grower) string {
	return g.some("fq_codel", append(fqCodelLists, "flows 512,flows 256")...)
}
func codelWords(g *grower) string { return g.some("codel", codelLists...) }
func fqWords(g *grower) string    { return g.some("fq", append(fqLists, "buckets 512,buckets 2048")...) }

func sfqWords(g *grower) string {
	return g.some("sfq", "limit 100,limit 50,limit 120", "quantum 2000,quantum 3028", "perturb 10,perturb 30", "divisor 512,divisor 2048", "depth 20,depth 40", "headdrop")
}

func netemWords(g *grower) string {
	return fmt.Sprintf("netem limit %d delay %dms", 100+50*g.IntN(20), 1+g.IntN(30))
}

// change is words that change something of a leaf of this kind in place; "" where the kernel can't.
func (g *grower) change(words string) string {
	kind, _, _ := strings.Cut(words, " ")
	one := func(lists []string) string { return kind + " " + g.one(strings.Split(g.one(lists...), ",")...) }
	switch kind {
	case "cake":
		return one(cakeLists)
	case "fq_codel":
		return one(fqCodelLists)
	case "codel":
		return one(codelLists)
	case "fq":
		return one(fqLists)
	case "pfifo":
		return fmt.Sprintf("pfifo limit %d", 20+13*g.IntN(90))
	case "bfifo":
		return fmt.Sprintf("bfifo limit %d", 20000+1500*g.IntN(90))
	case "tbf":
		return tbfWords(g)
	case "netem":
		return netemWords(g)
	}
	return ""
}
