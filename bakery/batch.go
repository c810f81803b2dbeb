package bakery

import (
	"errors"
	"fmt"
	"net/netip"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Batch collects what a client states between BakeryStart and BakeryCommit. It belongs to
// one connection and isn't for several goroutines.
type Batch struct {
	setup   *MqSetup
	members []Member
	numbers []int // of the items that the members were
	refused refusals
	items   int // what was added, refused ones too
	size    int // bytes of the members in the record, refused ones too
	memory  int // about what all of it takes, in bytes
	dropped error
	astray  bool // a member came before a site that it is below, or there is none

	classes [2]map[tc.Handle]int // by direction: the class's index in members
	owners  map[netip.Prefix]int // the prefix's
	// dead are the classes of refused members: what is below them isn't refused for that.
	dead [2]map[tc.Handle]bool
}

// NewBatch begins a batch.
func NewBatch() *Batch {
	return &Batch{classes: [2]map[tc.Handle]int{{}, {}}, owners: map[netip.Prefix]int{}, dead: [2]map[tc.Handle]bool{{}, {}}}
}

// SetUp states the queues. What is wrong refuses the batch.
func (b *Batch) SetUp(m MqSetup) error {
	b.items++
	if b.setup != nil && (*b.setup.QueuesAvailable != *m.QueuesAvailable || *b.setup.StickOffset != *m.StickOffset) {
		return b.refuse(errors.New("BakeryMqSetup: the batch has one with other values"))
	}
	if n := *m.QueuesAvailable; n < 1 || n > maxQueues {
		return b.refuse(fmt.Errorf("BakeryMqSetup: %d queues: must be 1 to %d", n, maxQueues))
	}
	b.setup = &m
	return nil
}

// Add states a site or a circuit. What is wrong with it refuses the batch, too.
func (b *Batch) Add(m Member) error { return b.AddChecked(CheckMember(m)) }

// AddChecked is Add, for those that have most of the work done elsewhere.
func (b *Batch) AddChecked(m CheckedMember) error {
	b.items++
	if b.dropped != nil {
		b.refused.total++
		return b.dropped
	}
	b.memory += memberMemory
	err := b.admit(m)
	if b.size > maxBatch || b.memory > maxBatchMemory {
		b.Drop(fmt.Errorf("the batch is over %d bytes", maxBatch))
		return b.dropped
	}
	if err != nil {
		for d, class := range m.classes {
			if _, another := b.classes[d][class]; !another {
				b.dead[d][class] = true
			}
		}
		return b.refuse(fmt.Errorf("%s: %w", m.name(), err))
	}
	return nil
}

// About what a member takes in memory beside its bytes, and what an address of it takes: their places in the maps.
const (
	memberMemory = 512
	prefixMemory = 96
)

// Memory is about what the batch takes in memory, in bytes.
func (b *Batch) Memory() int { return b.memory }

// Drop refuses the batch and lets go of all that is in it. What is added later isn't kept.
func (b *Batch) Drop(why error) {
	if b.dropped == nil {
		_ = b.refuse(why)
		*b = Batch{dropped: why, refused: b.refused, items: b.items}
	}
}

// Refuse refuses the batch for a reason of the caller's: something that was meant for it, and
// that nobody could read.
func (b *Batch) Refuse(err error) {
	b.items++
	_ = b.refuse(err)
}

func (b *Batch) refuse(err error) error {
	b.refused.add(fmt.Errorf("item %d, %w", b.items, err))
	return err
}

// maxBatch keeps the record of a batch within what the log takes; maxBatchMemory bounds what isn't in the record, too: the
// classes of what was refused, the places in the maps.
const (
	maxBatch       = eventlog.MaxRecord - 1<<20
	maxBatchMemory = 256 << 20
)

func (b *Batch) admit(m CheckedMember) error {
	if m.err != nil {
		return m.err
	}
	b.memory += 2*m.size + prefixMemory*len(m.prefixes)
	b.size += m.size
	at := len(b.members)
	for i, class := range m.classes {
		if other, taken := b.classes[i][class]; taken {
			return fmt.Errorf("class %s%s belongs to %s", class, direction(i == 1), b.members[other].name())
		}
	}
	for _, p := range m.prefixes {
		if other, taken := b.owners[p]; taken {
			return fmt.Errorf("%s belongs to %s", p, b.members[other].name())
		}
	}
	b.astray = b.astray || !b.follows(m)
	for i, class := range m.classes {
		b.classes[i][class] = at
	}
	for _, p := range m.prefixes {
		b.owners[p] = at
	}
	b.members, b.numbers = append(b.members, m.Member), append(b.numbers, b.items)
	return nil
}

// follows reports a member that comes after the sites that it is below.
func (b *Batch) follows(m CheckedMember) bool {
	for d, parent := range m.parents {
		if parent.Minor() <= capacityNode {
			continue
		}
		if at, ok := b.classes[d][parent]; !ok || b.members[at].Site == nil {
			return false
		}
	}
	return true
}

// Commit is the command that the batch asks for; the batch is used up. Of a refused batch it is one that the bakery
// refuses, with every reason, once it knows that a key doesn't make it a repetition.
func (b *Batch) Commit() Command {
	if !b.astray && b.refused.total == 0 {
		return b.whole()
	}
	b.refuseMisplaced()
	order, circles := b.parentsFirst()
	for _, err := range circles {
		b.refused.add(err)
	}
	if b.refused.total == 0 {
		return b.state(order)
	}
	if len(circles) > 0 {
		return refusedCommit{b.refused, b.items, b.state(nil)}
	}
	return refusedCommit{b.refused, b.items, b.state(b.untouched(order))}
}

// state is the commit of the members with these indices, in this order.
func (b *Batch) state(order []int) Commit {
	c := b.whole()
	c.Members, c.Items = make([]Member, len(order)), make([]int, len(order))
	for k, i := range order {
		c.Members[k], c.Items[k] = b.members[i], b.numbers[i]
	}
	return c
}

// whole is the commit of all members as they came.
func (b *Batch) whole() Commit {
	c := Commit{Members: b.members, Items: b.numbers}
	if b.setup != nil {
		c.Setup = *b.setup
	}
	return c
}

// refuseMisplaced refuses what is below something that is no site of the batch.
func (b *Batch) refuseMisplaced() {
	for i, m := range b.members {
		err := b.checkParent(m, 0)
		if err == nil {
			err = b.checkParent(m, 1)
		}
		if err != nil {
			b.refused.add(fmt.Errorf("item %d, %s: %w", b.numbers[i], m.name(), err))
			b.kill(m)
		}
	}
}

// checkParent tells whether there is a parent in direction d. Below what is refused all is well.
func (b *Batch) checkParent(m Member, d int) error {
	parent, upload := m.branch(d == 1).parent, direction(d == 1)
	if parent.Minor() <= capacityNode {
		return nil
	}
	at, ok := b.classes[d][parent]
	switch {
	case ok && b.members[at].Site == nil:
		return fmt.Errorf("parent %s%s is no site: it is %s", parent, upload, b.members[at].name())
	case !ok && !b.dead[d][parent]:
		return fmt.Errorf("parent %s%s: there is no such site", parent, upload)
	}
	return nil
}

// kill notes the classes of a refused member.
func (b *Batch) kill(m Member) {
	for d, upload := range []bool{false, true} {
		b.dead[d][m.branch(upload).class] = true
	}
}

// untouched are the members, parents first, that no refusal has to do with.
func (b *Batch) untouched(order []int) (rest []int) {
	for _, i := range order {
		m := b.members[i]
		down, up := m.branch(false), m.branch(true)
		if b.dead[0][down.class] || b.dead[0][down.parent] || b.dead[1][up.class] || b.dead[1][up.parent] {
			b.kill(m)
			continue
		}
		rest = append(rest, i)
	}
	return rest
}

// parentsFirst gives the members' indices in their order, but every site before what is below it. What
// is below itself is refused.
func (b *Batch) parentsFirst() (sorted []int, refused []error) {
	const unseen, open, told, done = 0, 1, 2, 3
	state := make([]uint8, len(b.members))
	sorted = make([]int, 0, len(b.members))
	var visit func(i int)
	visit = func(i int) {
		switch state[i] {
		case told, done:
			return
		case open:
			state[i] = told
			refused = append(refused, fmt.Errorf("item %d, %s: it is below itself", b.numbers[i], b.members[i].name()))
			return
		}
		state[i] = open
		for d, upload := range []bool{false, true} {
			if parent, ok := b.classes[d][b.members[i].branch(upload).parent]; ok {
				visit(parent)
			}
		}
		state[i] = done
		sorted = append(sorted, i)
	}
	for i := range b.members {
		visit(i)
	}
	return sorted, refused
}

// refusedCommit is a batch that is refused. The bakery looks for further reasons in the rest.
type refusedCommit struct {
	refused refusals
	items   int
	rest    Commit
}

// Kind implements Command. The command is never logged.
func (refusedCommit) Kind() Kind { return KindCommit }

// Refused is a command that is refused for a reason that is known already.
func Refused(why error) Command { return refusedCommand{why} }

type refusedCommand struct{ why error }

// Kind implements Command. The command is never logged.
func (refusedCommand) Kind() Kind { return KindCommit }
