package xdp

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// model is what prefixes has, as a list.
type model map[modelKey]bpfSteer

type modelKey struct {
	direction uint32
	prefix    netip.Prefix
}

// find is the steer of the longest prefix that has the address.
func (m model) find(direction uint32, a netip.Addr) (bpfSteer, bool) {
	longest := -1
	var found bpfSteer
	for k, s := range m {
		if k.direction == direction && k.prefix.Contains(a) && k.prefix.Bits() > longest {
			longest, found = k.prefix.Bits(), s
		}
	}
	return found, longest >= 0
}

// put adds a prefix to the model and to the programs' map, with values of its own.
func (r *rig) model(m model, direction uint32, p netip.Prefix) {
	r.t.Helper()
	n := uint32(len(m)) + 1
	s := bpfSteer{Circuit: uint64(n%1000) << 40, Class: n<<16 | (n + 7), Cpu: n}
	m[modelKey{direction, p}] = s
	r.put(direction, p, s)
}

// wantAsModel gives all programs of two links a packet of an address.
func (r *rig) wantAsModel(t reporter, m model, a netip.Addr) {
	t.Helper()
	for _, h := range r.hooks() {
		frame := toOrFrom(h.direction, a)
		o := r.run(h.program, frame)
		if s, ok := m.find(h.direction, a); ok {
			verdict := "found"
			if h.at == egress { // as ingress looked it up
				verdict = "cached"
			}
			h.wantSteered(t, o, frame, verdict, s)
		} else {
			h.wantLeftAlone(t, o, frame, "unknown")
		}
	}
}

// flip is the address with one bit changed, counted from the front.
func flip(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	flipped, _ := netip.AddrFromSlice(b)
	return flipped
}

var prefixAddresses = []string{"100.77.154.201", "2001:db8:a5a5:5a5a:9999:6666:1234:fedc"}

// TestPrefixLengths has one prefix at a time, of every length: the addresses that differ in a bit of it are not in it, those
// that differ in a bit behind it are.
func TestPrefixLengths(t *testing.T) {
	for _, direction := range []uint32{wayDown, wayUp} {
		for _, text := range prefixAddresses {
			a := netip.MustParseAddr(text)
			r := newRig(t)
			for bits := range a.BitLen() + 1 {
				m := model{}
				p := netip.PrefixFrom(a, bits).Masked()
				r.model(m, direction, p)
				for _, other := range around(a, bits) {
					r.forget()
					r.wantAsModel(t, m, other)
				}
				r.must(r.Prefixes.Delete(prefixKey(direction, p)))
				if t.Failed() {
					t.Fatalf("%s", p)
				}
			}
		}
	}
}

// around are the address, and those that differ from it in the bits at both sides of a prefix's end, and in the outermost.
func around(a netip.Addr, bits int) []netip.Addr {
	addresses := []netip.Addr{a}
	for _, bit := range []int{0, bits - 1, bits, a.BitLen() - 1} {
		if bit >= 0 && bit < a.BitLen() {
			addresses = append(addresses, flip(a, bit))
		}
	}
	return addresses
}

// TestNestedPrefixes has prefixes of all lengths in each other: of an address that leaves them at bit n it is the one of length n.
func TestNestedPrefixes(t *testing.T) {
	for _, text := range prefixAddresses {
		a := netip.MustParseAddr(text)
		r, m := newRig(t), model{}
		for _, direction := range []uint32{wayUp, wayDown} {
			for bits := range a.BitLen() + 1 {
				r.model(m, direction, netip.PrefixFrom(a, bits).Masked())
			}
		}
		r.wantAsModel(t, m, a)
		for bit := range a.BitLen() {
			r.wantAsModel(t, m, flip(a, bit))
		}
	}
}

// TestPrefixesOfBothKinds has an IPv4 address and IPv6 addresses that end with it: none is taken for another. Prefixes
// as short as ::/0 have IPv4 in them; those of IPv4 are longer.
func TestPrefixesOfBothKinds(t *testing.T) {
	r, m := newRig(t), model{}
	v4 := netip.MustParseAddr("100.64.1.2")
	for _, p := range []string{"100.64.1.0/24", "::/97", "2001:db8::/32", "::6440:102/128"} {
		for _, direction := range []uint32{wayDown, wayUp} {
			r.model(m, direction, netip.MustParsePrefix(p))
		}
	}
	for _, a := range []netip.Addr{v4, netip.MustParseAddr("::100.64.1.2"), netip.MustParseAddr("2001:db8::6440:102"), netip.MustParseAddr("64:ff9b::100.64.1.2")} {
		r.wantAsModel(t, m, a)
	}
	r.model(m, wayDown, netip.MustParsePrefix("::/0"))
	r.model(m, wayUp, netip.MustParsePrefix("::/80"))
	r.forget()
	r.wantAsModel(t, m, v4)
	r.wantAsModel(t, m, netip.MustParseAddr("198.51.100.1"))
}

// TestPrefixesAsModel plays prefixes that come and go against the model.
func TestPrefixesAsModel(t *testing.T) {
	r := newRig(t)
	rapid.Check(t, func(t *rapid.T) {
		m := model{}
		for _, p := range rapid.SliceOfN(genPrefix(), 1, 12).Draw(t, "prefixes") {
			r.model(m, rapid.SampledFrom([]uint32{wayDown, wayUp}).Draw(t, "direction"), p)
		}
		defer func() {
			for k := range m {
				r.must(r.Prefixes.Delete(prefixKey(k.direction, k.prefix)))
			}
		}()
		r.forget()
		asked := map[netip.Addr]bool{}
		for _, p := range rapid.SliceOfN(genPrefix(), 1, 8).Draw(t, "addresses") {
			if a := genWithin(p).Draw(t, "address"); !asked[a] {
				asked[a] = true
				r.wantAsModel(t, m, a)
			}
		}
		for k := range m {
			if rapid.Bool().Draw(t, fmt.Sprint(k, " goes")) {
				r.must(r.Prefixes.Delete(prefixKey(k.direction, k.prefix)))
				delete(m, k)
			}
		}
		r.forget()
		for a := range asked {
			r.wantAsModel(t, m, a)
		}
	})
}

// genPrefix makes prefixes that often are in each other: their addresses differ in few bits from one of two.
func genPrefix() *rapid.Generator[netip.Prefix] {
	return rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := netip.MustParseAddr(rapid.SampledFrom(prefixAddresses).Draw(t, "near"))
		for _, bit := range rapid.SliceOfN(rapid.IntRange(0, a.BitLen()-1), 0, 2).Draw(t, "flipped") {
			a = flip(a, bit)
		}
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
	})
}

// genWithin makes addresses of a prefix.
func genWithin(p netip.Prefix) *rapid.Generator[netip.Addr] {
	return rapid.Custom(func(t *rapid.T) netip.Addr {
		a := p.Addr()
		for _, bit := range rapid.SliceOfN(rapid.IntRange(0, a.BitLen()-1), 0, 3).Draw(t, "flipped") {
			if bit >= p.Bits() {
				a = flip(a, bit)
			}
		}
		return a
	})
}
