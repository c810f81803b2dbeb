package tc

import (
	"errors"
	"fmt"
	"math"
)

// minQuantum is one full Ethernet frame with a VLAN tag: a class whose quantum
// is smaller can be passed over for several rounds. Clients use the same floor.
const minQuantum = 1522

// Quantum is how many bytes HTB serves from a class before its next sibling:
// max(1522, floor(ceilMbps × 125000 / r2q)), always from the ceil. r2q 0 is an
// error, and so is a ceil that is NaN, infinite or negative, or a quantum over
// 32 bits.
func Quantum(ceilMbps float64, r2q uint64) (uint64, error) {
	if r2q == 0 {
		return 0, errors.New("quantum: r2q is 0")
	}
	if math.IsNaN(ceilMbps) || math.IsInf(ceilMbps, 0) || ceilMbps < 0 {
		return 0, fmt.Errorf("quantum: ceil %v Mbit/s: want a finite number, 0 or more", ceilMbps)
	}
	q := math.Floor(ceilMbps * 125000 / float64(r2q))
	if q > math.MaxUint32 {
		return 0, fmt.Errorf("quantum: %v bytes for ceil %v Mbit/s and r2q %d: more than 32 bits", q, ceilMbps, r2q)
	}
	return max(minQuantum, uint64(q)), nil
}

// StartR2Q is the r2q that fits a capacity: from 10 up by 1 while
// capacityMbps × 125000 / r2q, the quantum of a class as fast as the link, is
// over 60000 bytes. It is the closed form of that count, so the result is right
// for any finite capacity and 10 for all others.
func StartR2Q(capacityMbps float64) uint64 {
	const start, largest = 10, 60000
	bytes := capacityMbps * 125000
	if math.IsNaN(bytes) || bytes/start <= largest {
		return start
	}
	if bytes >= largest*(1<<53) {
		return 1 << 53
	}
	r2q := max(start, uint64(bytes/largest))
	for r2q > start && bytes/float64(r2q-1) <= largest {
		r2q--
	}
	for bytes/float64(r2q) > largest {
		r2q++
	}
	return r2q
}
