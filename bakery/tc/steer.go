package tc

import (
	"fmt"
	"iter"
	"net/netip"
)

// Steer sends the packets of an address prefix, in one direction, to a class. A packet
// that goes down is told by its destination, one that goes up by its source, and the
// longest prefix counts. What no Steer matches goes to the default class of a queue.
type Steer struct {
	Prefix netip.Prefix // no host bits set; IPv4 as IPv4
	Upload bool         // packets from the subscriber; else those to him
	Class  Handle       // on the link by which the packets leave; its major − 1 is the tx queue
	CPU    uint32       // that does the work of the class's queue
	// Circuit is the key of the counters that the packets are added to.
	Circuit uint64
}

// CompareSteers orders Steers: downloads first, then by address and prefix length. It is
// 0 for two that can't both be.
func CompareSteers(a, b Steer) int {
	if a.Upload != b.Upload {
		if b.Upload {
			return -1
		}
		return 1
	}
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return a.Prefix.Bits() - b.Prefix.Bits()
}

// String is "100.64.0.1/32 down → 1:4 cpu 0".
func (s Steer) String() string {
	direction := "down"
	if s.Upload {
		direction = "up"
	}
	return fmt.Sprintf("%s %s → %s cpu %d", s.Prefix, direction, s.Class, s.CPU)
}

// PairSteers goes through two lists in the order of CompareSteers, and pairs what can't both be. It gives nil for what only
// the other list has; what it gives must not be written.
func PairSteers(a, b []Steer) iter.Seq2[*Steer, *Steer] {
	return func(yield func(*Steer, *Steer) bool) {
		for len(a) > 0 || len(b) > 0 {
			var order int
			switch {
			case len(a) == 0:
				order = 1
			case len(b) == 0:
				order = -1
			default:
				order = CompareSteers(a[0], b[0])
			}
			var left, right *Steer
			if order <= 0 {
				left, a = &a[0], a[1:]
			}
			if order >= 0 {
				right, b = &b[0], b[1:]
			}
			if !yield(left, right) {
				return
			}
		}
	}
}
