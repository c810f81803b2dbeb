package xdp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"net/netip"
	"runtime"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// bundle are steers on their way into or out of prefixes, by several goroutines at once: the kernel's locks are those of buckets. The
// steers are spread over lanes by address, so that a lane has all of an address, in their order: of a prefix that comes twice the last
// counts.
type bundle struct {
	steers  []tc.Steer
	lanes   int
	lane    []uint8 // of each steer
	lengths lengths
	refused []tc.Steer // that can't be keys; they are in no lane
}

// There are as many lanes as processors, but no more than lanesMost, and none for fewer than laneSteers.
const (
	lanesMost  = 4
	laneSteers = 2 * batchSize
	noLane     = lanesMost
)

// bundleOf looks through steers.
func bundleOf(steers []tc.Steer) bundle {
	lanes := max(1, min(runtime.GOMAXPROCS(0), lanesMost, len(steers)/laneSteers))
	b := bundle{steers: steers, lanes: lanes, lane: make([]uint8, len(steers))}
	parts := make([]bundle, lanes)
	atOnce(lanes, func(i int) {
		from, to := len(steers)*i/lanes, len(steers)*(i+1)/lanes
		parts[i] = bundle{steers: steers[from:to], lanes: lanes, lane: b.lane[from:to]}
		parts[i].assign()
	})
	for _, p := range parts {
		b.lengths = b.lengths.with(p.lengths)
		b.refused = append(b.refused, p.refused...)
	}
	return b
}

// assign finds the lanes of the steers, and their lengths.
func (b *bundle) assign() {
	for i := range b.steers {
		s := &b.steers[i]
		if !canBeKey(s.Prefix) {
			b.lane[i], b.refused = noLane, append(b.refused, *s)
			continue
		}
		b.lane[i] = laneOf(s.Prefix.Addr(), b.lanes)
		b.lengths.add(spaceOf(s), s.Prefix.Bits())
	}
}

// laneOf spreads addresses, also such as follow one another: Fibonacci hashing (Knuth, The Art of Computer Programming, 6.4).
func laneOf(a netip.Addr, lanes int) uint8 {
	const goldenRatio = 0x9e3779b97f4a7c15 // of 2^64
	bytes := a.As16()
	hash := (binary.BigEndian.Uint64(bytes[:]) ^ binary.BigEndian.Uint64(bytes[8:])) * goldenRatio
	lane, _ := bits.Mul64(hash, uint64(lanes))
	return uint8(lane)
}

// entries are those of a lane.
func (b bundle) entries(lane int) iter.Seq2[bpfPrefix, bpfSteer] {
	return func(yield func(bpfPrefix, bpfSteer) bool) {
		for i, l := range b.lane {
			if int(l) != lane {
				continue
			}
			s := &b.steers[i]
			if !yield(keyOf(s), bpfSteer{Circuit: s.Circuit, Class: uint32(s.Class), Cpu: s.CPU}) {
				return
			}
		}
	}
}

// write adds or changes the entries; n is how many it did.
func (b bundle) write(ctx context.Context, prefixes *ebpf.Map) (n int, err error) {
	n, err = b.each(func(lane int) (int, error) { return writeAll(ctx, prefixes, len(b.steers)/b.lanes, b.entries(lane)) })
	if errors.Is(err, unix.E2BIG) { // what the kernel says of a hash map that is full
		err = fmt.Errorf("there is room for %d: %w", prefixes.MaxEntries(), unix.ENOSPC)
	}
	return n, b.after(n, err)
}

// remove removes the entries, but for those that aren't there; n is how many it did.
func (b bundle) remove(ctx context.Context, prefixes *ebpf.Map) (n int, err error) {
	n, err = b.each(func(lane int) (int, error) {
		keys := make([]bpfPrefix, 0, len(b.steers)/b.lanes)
		for k := range b.entries(lane) {
			keys = append(keys, k)
		}
		return deleteAll(ctx, prefixes, keys)
	})
	return n, b.after(n, err)
}

func (b bundle) after(n int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("after %d of %d entries: %w", n, len(b.steers), err)
}

// each does something for all lanes at once; n is what it sums up to.
func (b bundle) each(do func(lane int) (int, error)) (n int, err error) {
	did, errs := make([]int, b.lanes), make([]error, b.lanes)
	atOnce(b.lanes, func(lane int) { did[lane], errs[lane] = do(lane) })
	for _, d := range did {
		n += d
	}
	return n, errors.Join(errs...)
}

// atOnce does something for each number below n, each in a goroutine of its own unless there is but one.
func atOnce(n int, do func(int)) {
	if n == 1 {
		do(0)
		return
	}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
