package bakery

import (
	"fmt"
	"math"
	"strings"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

const (
	rootMajor    = 0x7fff // handle of the mq root
	capacityNode = 1      // minor of the class that is the whole link
	defaultNode  = 2      // minor of the class for traffic that no circuit claims
	defaultPrio  = 5
	clientPrio   = 3 // sites and circuits

	// maxQueues keeps the majors of both directions on one link under the root's.
	maxQueues = (rootMajor - 1) / 2
)

// MinRate is the least that is programmed, in place of what clients send for
// sites slower than they can say (0): 10 kbit/s.
const MinRate tc.Rate = 10_000

// Setup is what the configuration says about the skeleton.
type Setup struct {
	DownLink string // towards the subscribers
	UpLink   string // towards the internet; the same link on a stick
	DownMbps float64
	UpMbps   float64
	SQM      []string // words of the default leaf qdisc
	Queues   int      // per direction
	Leaf     LeafRule // of the circuits of batches
	// TxQueues are how many queues a link's mq can have, by link; nothing of a link where that isn't known.
	TxQueues map[string]int

	// Adopted is called when a command was accepted that made a skeleton of it; nil: nobody
	// wants to know.
	Adopted func()
}

// Links are the managed links, the subscribers' side first.
func (s Setup) Links() []string {
	if s.DownLink == s.UpLink {
		return []string{s.DownLink}
	}
	return []string{s.DownLink, s.UpLink}
}

// take makes links and capacities those of a skeleton that was made.
func (s *Setup) take(m MqSetup) {
	s.DownLink, s.UpLink = m.Down.Link, m.Up.Link
	s.DownMbps, s.UpMbps = m.Down.CapacityMbps, m.Up.CapacityMbps
}

// resolveMqSetup fills in what the configuration and the host decide.
func resolveMqSetup(m MqSetup, s Setup) (MqSetup, error) {
	n := s.Queues
	if m.QueuesAvailable != nil {
		n = *m.QueuesAvailable
	}
	if n < 1 || n > maxQueues {
		return MqSetup{}, fmt.Errorf("%d queues: must be 1 to %d", n, maxQueues)
	}
	stick := s.DownLink == s.UpLink
	offset := 0
	if stick {
		offset = n
	}
	if m.StickOffset != nil && *m.StickOffset != offset {
		// The second generation says 0 on two links, and where the upload queues
		// start on one: they must not overlap the download's.
		if !stick || *m.StickOffset < n || *m.StickOffset > rootMajor-1-n {
			return MqSetup{}, fmt.Errorf("stick_offset %d: must be %d", *m.StickOffset, offset)
		}
		offset = *m.StickOffset
	}
	for _, link := range s.Links() {
		if most := s.TxQueues[link]; most > 0 && n+offset > most {
			return MqSetup{}, fmt.Errorf("%d queues: link %s was made with %d tx queues, and needs %d", n, link, most, n+offset)
		}
	}
	m.Down = Direction{Link: s.DownLink, FirstMajor: 1, Queues: uint16(n), CapacityMbps: s.DownMbps, SQM: s.SQM}
	m.Up = Direction{Link: s.UpLink, FirstMajor: uint16(offset + 1), Queues: uint16(n), CapacityMbps: s.UpMbps, SQM: s.SQM}
	m.R2Q = tc.StartR2Q(max(s.DownMbps, s.UpMbps))
	return m, nil
}

func (t *Tree) foldMqSetup(m MqSetup, seq eventlog.Seq) error {
	b := t.Clone()
	b.reset()
	b.former = NewTree().former
	b.Setup = &m
	for i, d := range []Direction{m.Down, m.Up} {
		if i == 0 || !m.Stick() { // on a stick the upload hangs at the root that the download made
			if err := b.state.Apply(rootOp(d.Link)); err != nil {
				return err
			}
			b.place(d.Link, tc.Root, seq)
		}
		for i := range d.Queues {
			if err := b.foldQueue(d, d.FirstMajor+i, m.R2Q, seq); err != nil {
				return fmt.Errorf("link %s queue %d: %w", d.Link, i+1, err)
			}
		}
	}
	*t = *b
	return nil
}

func rootOp(link string) tc.Op {
	return tc.Op{Verb: tc.Replace, Qdisc: &tc.Qdisc{
		Link: link, Parent: tc.Root, Handle: tc.NewHandle(rootMajor, 0), Options: tc.MQ{}}}
}

// foldQueue builds one queue's HTB, its capacity class and its default class with
// the leaf. The leaf of the capacity class, which is rendered, isn't part of the
// Tree: the kernel drops it as soon as the default class comes.
func (t *Tree) foldQueue(d Direction, major uint16, r2q uint64, seq eventlog.Seq) error {
	w, err := wholeQueue(d, r2q)
	if err != nil {
		return err
	}
	qdisc := tc.NewHandle(major, 0)
	capacity, rest := tc.NewHandle(major, capacityNode), tc.NewHandle(major, defaultNode)
	ops := []tc.Op{
		{Verb: tc.Add, Qdisc: &tc.Qdisc{Link: d.Link, Parent: tc.NewHandle(rootMajor, major), Handle: qdisc,
			Options: tc.HTB{Default: defaultNode}}},
		{Verb: tc.Add, Class: &tc.Class{Link: d.Link, ID: capacity, Parent: qdisc,
			HTB: tc.HTBClass{Rate: w.capacity, Ceil: w.capacity, Quantum: w.quantum}}},
		{Verb: tc.Add, Class: &tc.Class{Link: d.Link, ID: rest, Parent: capacity,
			HTB: tc.HTBClass{Rate: w.rest, Ceil: w.restCeil, Prio: defaultPrio, Quantum: w.quantum}}},
	}
	for _, op := range ops {
		if err := t.state.Apply(op); err != nil {
			return err
		}
	}
	t.place(d.Link, tc.NewHandle(rootMajor, major), seq)
	t.setNote(d.Link, capacity, Note{Role: RoleSkeleton, Seq: seq})
	t.setNote(d.Link, rest, Note{Role: RoleSkeleton, Seq: seq})
	options, err := parseLeaf(d.SQM)
	if err != nil {
		return err
	}
	return t.setLeaf(d.Link, rest, options, new(*tc.Qdisc), seq)
}

// queueWidth holds the rates of a queue's skeleton classes.
type queueWidth struct {
	capacity, rest, restCeil tc.Rate
	quantum                  uint32
}

func wholeQueue(d Direction, r2q uint64) (queueWidth, error) {
	var w queueWidth
	var err error
	if w.capacity, err = programmedRate(d.CapacityMbps); err != nil {
		return w, err
	}
	if w.rest, err = programmedRate(restRate(d.CapacityMbps)); err != nil {
		return w, err
	}
	if w.restCeil, err = programmedRate(restCeil(d.CapacityMbps)); err != nil {
		return w, err
	}
	w.quantum, err = programmedQuantum(d.CapacityMbps, r2q)
	return w, err
}

// restCeil is the ceil of the default class in Mbit/s: 1 less than the link.
func restCeil(capacity float64) float64 { return max(capacity-1, 0) }

// restRate is its rate in Mbit/s: a quarter of the ceil, whole, at least 1.
func restRate(capacity float64) float64 {
	return max(math.RoundToEven((capacity-1)/4), 1)
}

// programmedRate is the exact rate for Mbit/s as a client asked for it, but never
// less than MinRate. Negative, NaN and infinite rates are errors.
func programmedRate(mbps float64) (tc.Rate, error) {
	r, err := tc.RateFromMbps(mbps)
	if err != nil {
		return 0, err
	}
	return max(r, MinRate), nil
}

// programmedQuantum is the rendered quantum, which tc.Quantum keeps within the
// kernel's 32 bits.
func programmedQuantum(ceilMbps float64, r2q uint64) (uint32, error) {
	q, err := tc.Quantum(ceilMbps, r2q)
	return uint32(q), err
}

// splitWords takes "cake diffserv4" and ["cake", "diffserv4"] alike.
func splitWords(words []string) []string { return strings.Fields(strings.Join(words, " ")) }
