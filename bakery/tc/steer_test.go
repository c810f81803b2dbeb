package tc

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSteerOrder: downloads first, then by address and length; text as people read it.
func TestSteerOrder(t *testing.T) {
	steer := func(prefix string, upload bool) Steer {
		return Steer{Prefix: netip.MustParsePrefix(prefix), Upload: upload, Class: 0x10004}
	}
	want := []Steer{steer("10.0.0.0/8", false), steer("10.0.0.0/9", false), steer("10.0.0.1/32", false), steer("::/0", false), steer("10.0.0.0/8", true)}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareSteers)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := want[4].String(); got != "10.0.0.0/8 up → 1:4 cpu 0" {
		t.Error(got)
	}
	if CompareSteers(want[0], Steer{Prefix: want[0].Prefix, Class: 7}) != 0 {
		t.Error("two classes for one prefix can both be")
	}
}

// TestPairSteers: each of both lists comes once, in order, with its partner.
func TestPairSteers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string, class Handle) []Steer {
			var list []Steer
			for _, n := range rapid.SliceOfDistinct(rapid.ByteRange(0, 9), rapid.ID).Draw(t, label) {
				a := netip.AddrFrom4([4]byte{10, 0, 0, n / 2})
				list = append(list, Steer{Prefix: netip.PrefixFrom(a, 32), Upload: n%2 == 1, Class: class})
			}
			slices.SortFunc(list, CompareSteers)
			return list
		}
		a, b := draw("a", 1), draw("b", 2)
		var gotA, gotB, order []Steer
		for x, y := range PairSteers(a, b) {
			if x != nil && y != nil && CompareSteers(*x, *y) != 0 {
				t.Errorf("%v is paired with %v", x, y)
			}
			if x != nil {
				gotA, order = append(gotA, *x), append(order, *x)
			}
			if y != nil {
				gotB = append(gotB, *y)
			}
			if x == nil {
				order = append(order, *y)
			}
		}
		if !slices.Equal(gotA, a) || !slices.Equal(gotB, b) {
			t.Errorf("%v and %v, want %v and %v", gotA, gotB, a, b)
		}
		if !slices.IsSortedFunc(order, CompareSteers) || len(slices.CompactFunc(slices.Clone(order), func(x, y Steer) bool { return CompareSteers(x, y) == 0 })) != len(order) {
			t.Errorf("out of order, or not paired: %v", order)
		}
	})
	for range PairSteers([]Steer{{Class: 1}, {Class: 2, Upload: true}}, nil) {
		break // may end early
	}
}
