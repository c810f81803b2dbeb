package xdp

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
)

// shape is one way for a packet to have a header or two.
type shape struct {
	name string
	// head is what stands between the MAC addresses and the IP header, in hexadecimal, blanks where they help.
	head string
	// ip makes the IP header, nil where there is none that the programs could find.
	ip func(addresses) []byte
	// other is how much of the frame it takes to see that it is neither IPv4 nor IPv6; 0 if it is one.
	other int
}

// addresses are source and destination of a packet.
type addresses struct{ from, to netip.Addr }

var shapes = []shape{
	{name: "IPv4", head: "0800", ip: ipv4},
	{name: "IPv4 with one option", head: "0800", ip: ipv4WithOptions(1)},
	{name: "IPv4 with ten options", head: "0800", ip: ipv4WithOptions(10)},
	{name: "IPv4, first fragment", head: "0800", ip: ipv4Fragment(0x2000)},
	{name: "IPv4, middle fragment", head: "0800", ip: ipv4Fragment(0x20b9)},
	{name: "IPv4, last fragment", head: "0800", ip: ipv4Fragment(0x0172)},
	{name: "IPv6", head: "86dd", ip: ipv6},
	{name: "IPv6 with hop-by-hop options", head: "86dd", ip: ipv6With(0, "3a00 0502 0000 0100")},
	{name: "IPv6 with routing and destination options", head: "86dd", ip: ipv6With(43, "3c00 0400 0000 0000  1100 0104 0000 0000")},
	{name: "IPv6, first fragment", head: "86dd", ip: ipv6With(44, "1100 0001 dead beef")},
	{name: "IPv6, last fragment", head: "86dd", ip: ipv6With(44, "1100 05a8 dead beef")},

	{name: "VLAN, IPv4", head: "8100 0064 0800", ip: ipv4},
	{name: "VLAN, IPv6", head: "8100 0064 86dd", ip: ipv6},
	{name: "802.1ad alone, IPv4", head: "88a8 0064 0800", ip: ipv4},
	{name: "priority tag, IPv4", head: "8100 e000 0800", ip: ipv4},
	{name: "QinQ, IPv4", head: "88a8 0064 8100 00c8 0800", ip: ipv4},
	{name: "QinQ, IPv6", head: "88a8 0064 8100 00c8 86dd", ip: ipv6},
	{name: "QinQ by 802.1Q twice, IPv6", head: "8100 0064 8100 00c8 86dd", ip: ipv6},

	{name: "PPPoE, IPv4", head: "8864 11 00 0007 002e 0021", ip: ipv4},
	{name: "PPPoE, IPv6", head: "8864 11 00 0007 0042 0057", ip: ipv6},
	{name: "VLAN, PPPoE, IPv4", head: "8100 0064 8864 11 00 0007 002e 0021", ip: ipv4},
	{name: "QinQ, PPPoE, IPv6", head: "88a8 0064 8100 00c8 8864 11 00 0007 0042 0057", ip: ipv6},
	{name: "QinQ, PPPoE, IPv4", head: "88a8 0064 8100 00c8 8864 11 00 0007 002e 0021", ip: ipv4},

	{name: "ARP", head: "0806 0001 0800 06 04 0001", other: 14},
	{name: "three tags", head: "88a8 0064 8100 00c8 8100 012c 0800", ip: ipv4, other: 22},
	{name: "VLAN, ARP", head: "8100 0064 0806 0001 0800 06 04 0001", other: 18},
	{name: "MPLS", head: "8847 0001 01ff", ip: ipv4, other: 14},
	{name: "802.3 with a length", head: "0040 4242 03", ip: ipv4, other: 14},
	{name: "PPPoE discovery", head: "8863 11 09 0000 0004 0101 0000", ip: ipv4, other: 14},
	{name: "PPPoE, LCP", head: "8864 11 00 0007 000a c021 0900 0008", ip: ipv4, other: 22},
	{name: "PPPoE, IPCP", head: "8864 11 00 0007 000a 8021 0900 0008", ip: ipv4, other: 22},
	{name: "PPPoE of another version", head: "8864 21 00 0007 002e 0021", ip: ipv4, other: 22},
	{name: "PPPoE with a code", head: "8864 11 a7 0007 002e 0021", ip: ipv4, other: 22},
	{name: "VLAN, PPPoE, LCP", head: "8100 0064 8864 11 00 0007 000a c021 0900 0008", ip: ipv4, other: 26},
}

// frame is a packet of the shape, MAC addresses first, with something behind its headers.
func (s shape) frame(a addresses) []byte {
	f := append(unhex("020000000001 020000000002"), unhex(s.head)...)
	if s.ip != nil {
		f = append(f, s.ip(a)...)
	}
	return append(f, "what is behind the headers"...)
}

// needs is how much of the frame it takes to see the addresses, or that it has none.
func (s shape) needs() int {
	if s.other > 0 {
		return s.other
	}
	header := 20
	if s.is6() {
		header = 40
	}
	return 12 + len(unhex(s.head)) + header
}

// is6 says whether the shape's addresses are IPv6.
func (s shape) is6() bool {
	return s.other == 0 && (strings.HasSuffix(s.head, "86dd") || strings.HasSuffix(s.head, "0057"))
}

// addresses are those of a subscriber and of somebody in the internet, as the shape has them, seen in a direction.
func (s shape) addresses(direction uint32) addresses {
	subscriber, internet := netip.MustParseAddr("100.64.1.2"), netip.MustParseAddr("192.0.2.9")
	if s.is6() {
		subscriber, internet = netip.MustParseAddr("2001:db8:1::2"), netip.MustParseAddr("2001:db8:ffff::9")
	}
	if direction == wayUp {
		return addresses{from: subscriber, to: internet}
	}
	return addresses{from: internet, to: subscriber}
}

// shapeNamed is one of shapes.
func shapeNamed(name string) shape {
	for _, s := range shapes {
		if s.name == name {
			return s
		}
	}
	panic("no shape is called " + name)
}

// frameOf is a plain IPv4 or IPv6 packet.
func frameOf(a addresses) []byte {
	if a.from.Is4() {
		return shapeNamed("IPv4").frame(a)
	}
	return shapeNamed("IPv6").frame(a)
}

// toOrFrom is a packet that the address gets, or sends if the direction is up.
func toOrFrom(direction uint32, subscriber netip.Addr) []byte {
	internet := netip.MustParseAddr("192.0.2.9")
	if subscriber.Is6() {
		internet = netip.MustParseAddr("2001:db8:ffff::9")
	}
	if direction == wayUp {
		return frameOf(addresses{from: subscriber, to: internet})
	}
	return frameOf(addresses{from: internet, to: subscriber})
}

// ipv4 is a header of RFC 791 without options.
func ipv4(a addresses) []byte {
	h := unhex("45 00 0034 1234 4000 40 11 0000")
	return append(append(h, a.from.AsSlice()...), a.to.AsSlice()...)
}

func ipv4WithOptions(words int) func(addresses) []byte {
	return func(a addresses) []byte {
		h := append(ipv4(a), make([]byte, 4*words)...)
		h[0] += byte(words)
		for i := 20; i < len(h); i++ {
			h[i] = 1 // no operation
		}
		return h
	}
}

// ipv4Fragment has more-fragments and offset as given.
func ipv4Fragment(flagsOffset uint16) func(addresses) []byte {
	return func(a addresses) []byte {
		h := ipv4(a)
		binary.BigEndian.PutUint16(h[6:], flagsOffset)
		return h
	}
}

// ipv6 is a header of RFC 8200.
func ipv6(a addresses) []byte { return ipv6With(17, "")(a) }

func ipv6With(next byte, extensions string) func(addresses) []byte {
	return func(a addresses) []byte {
		h := unhex("6012 3456 0020 00 40")
		h[6] = next
		h = append(append(h, a.from.AsSlice()...), a.to.AsSlice()...)
		return append(h, unhex(extensions)...)
	}
}

func unhex(text string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}
