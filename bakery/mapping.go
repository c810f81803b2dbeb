package bakery

import (
	"fmt"
	"net/netip"
	"strings"

	"lqosd/bakery/tc"
)

// Mapping steers a prefix to a class.
type Mapping struct {
	Prefix    netip.Prefix `json:"prefix"`
	Upload    bool         `json:"upload"`
	Handle    tc.Handle    `json:"tc_handle"`
	CPU       uint32       `json:"cpu"`
	CircuitID uint64       `json:"circuit_id"` // 0: none
	DeviceID  uint64       `json:"device_id"`  // 0: none
	// Circuit tells whose the prefix is, and is the key of its counters: CircuitID, or else
	// the hash of the circuit or site that had the class when the mapping was made, or else
	// the handle.
	Circuit uint64 `json:"circuit"`
	// Generation is that of the Tree when the prefix was mapped last: a claim of an older one
	// stands in nobody's way.
	Generation uint64 `json:"generation"`
	// Stated says that a batch has it: the next one that leaves it out removes it.
	Stated bool `json:"stated,omitempty"`
}

// named reports a mapping whose circuit a client named.
func (m Mapping) named() bool { return m.Circuit != uint64(m.Handle) }

func mappingLess(a, b Mapping) bool {
	if a.Upload != b.Upload {
		return b.Upload
	}
	return comparePrefixes(a, b) < 0
}

// Mapping is the mapping of a prefix in one direction.
func (t *Tree) Mapping(p netip.Prefix, upload bool) (Mapping, bool) {
	return t.mappings.Get(Mapping{Prefix: p, Upload: upload})
}

func comparePrefixes(a, b Mapping) int {
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return a.Prefix.Bits() - b.Prefix.Bits()
}

// parsePrefix reads an address or a prefix: host bits are dropped, an
// IPv4-mapped IPv6 address is the IPv4 address.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no IP address", s)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no IP prefix", s)
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

func (t *Tree) foldMapping(c MapIPToFlow) error {
	m, err := t.mapping(c)
	if err != nil {
		return err
	}
	t.mappings.Set(m)
	return nil
}

// mapping is what the command makes of t now.
func (t *Tree) mapping(c MapIPToFlow) (Mapping, error) {
	p, err := parsePrefix(c.Address)
	if err != nil {
		return Mapping{}, err
	}
	h := tc.Handle(c.Handle)
	if h.Major() == 0 || h.Minor() == 0 || h == tc.Root {
		return Mapping{}, fmt.Errorf("tc_handle %s: not a class", h)
	}
	m := Mapping{Prefix: p, Upload: c.Upload, Handle: h, CPU: c.CPU, Generation: t.Generation}
	if c.CircuitID != nil {
		m.CircuitID = *c.CircuitID
	}
	if c.DeviceID != nil {
		m.DeviceID = *c.DeviceID
	}
	m.Circuit = t.circuitOf(m)
	return m, nil
}

// circuitOf tells whose the prefix of a mapping is. The class is looked up on the link of
// its direction where that is known, then on the others in order: a handle that both have
// belongs to the same circuit.
func (t *Tree) circuitOf(m Mapping) uint64 {
	if m.CircuitID != 0 {
		return m.CircuitID
	}
	if t.Setup != nil {
		if n, ok := t.Note(t.Setup.Roles().Link(m.Upload), m.Handle); ok && n.names() {
			return uint64(n.Hash)
		}
	}
	for _, link := range t.state.Links() {
		if n, ok := t.Note(link, m.Handle); ok && n.names() {
			return uint64(n.Hash)
		}
	}
	return uint64(m.Handle)
}

func (t *Tree) foldUnmapping(c DelIPFlow) error {
	p, err := parsePrefix(c.Address)
	if err != nil {
		return err
	}
	t.mappings.Delete(Mapping{Prefix: p, Upload: c.Upload})
	return nil
}
