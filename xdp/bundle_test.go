package xdp

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// TestLanes: lanes have about the same number of the addresses of a network, and all steers of an address in their order.
func TestLanes(t *testing.T) {
	steers := manySteers(30_000)
	for lanes := 1; lanes <= lanesMost; lanes++ {
		b := bundle{steers: steers, lanes: lanes, lane: make([]uint8, len(steers))}
		b.assign()
		seen := map[bpfPrefix]int{}
		for lane := range lanes {
			n := 0
			for k := range b.entries(lane) {
				n++
				seen[k]++
			}
			if share := len(steers) / lanes; n < share*9/10 || n > share*11/10 {
				t.Errorf("lane %d of %d has %d of %d", lane, lanes, n, len(steers))
			}
		}
		for i := range steers {
			if n := seen[keyOf(&steers[i])]; n != 1 {
				t.Fatalf("%d lanes: %s is in %d", lanes, steers[i], n)
			}
		}
	}
}

// TestLastCounts: of a prefix that comes several times in a call the last counts, also in one so large that several goroutines write.
func TestLastCounts(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		want := manySteers(3 * laneSteers)
		var set []tc.Steer
		for _, s := range want {
			other := s
			other.Class += 100_000
			set = append(set, other, s)
		}
		for range 5 {
			l.steer(p, set, nil)
			l.wantSteers(p, want)
			l.steer(p, nil, want)
			l.wantSteers(p, nil)
		}
	})
}

// TestFullAtOnce: a map that several goroutines fill is said to be full, and is.
func TestFullAtOnce(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.spec = smallMaps
		p := l.open()
		defer l.close(p)
		err := p.Steer(l.Context(), manySteers(laneSteers), nil)
		if want := "steering: after 6000 of 16384 entries: there is room for 6000: no space left on device"; !errors.Is(err, unix.ENOSPC) || err.Error() != want {
			l.Errorf("%v", err)
		}
		got, err := p.Steers(l.Context())
		if err != nil || len(got) != 6000 {
			l.Error(len(got), err)
		}
		if n := l.status(p).Writes; n < 6000 || n > 6100 {
			l.Errorf("%d writes", n)
		}
	})
}

// TestDropOfNothing: what can't be a key is dropped as what isn't there is.
func TestDropOfNothing(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		l.steer(p, nil, []tc.Steer{{}, {Prefix: netip.MustParsePrefix("100.64.0.1/24")}, someSteers[2]})
		l.wantSteers(p, slices.Clone(someSteers[:2]))
	})
}
