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
}

func mappingLess(a, b Mapping) bool {
	if a.Upload != b.Upload {
		return b.Upload
	}
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c < 0
	}
	return a.Prefix.Bits() < b.Prefix.Bits()
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
	p, err := parsePrefix(c.Address)
	if err != nil {
		return err
	}
	h := tc.Handle(c.Handle)
	if h.Major() == 0 || h.Minor() == 0 || h == tc.Root {
		return fmt.Errorf("tc_handle %s: not a class", h)
	}
	m := Mapping{Prefix: p, Upload: c.Upload, Handle: h, CPU: c.CPU}
	if c.CircuitID != nil {
		m.CircuitID = *c.CircuitID
	}
	if c.DeviceID != nil {
		m.DeviceID = *c.DeviceID
	}
	t.mappings.Set(m)
	return nil
}

func (t *Tree) foldUnmapping(c DelIPFlow) error {
	p, err := parsePrefix(c.Address)
	if err != nil {
		return err
	}
	t.mappings.Delete(Mapping{Prefix: p, Upload: c.Upload})
	return nil
}
