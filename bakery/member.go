package bakery

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"lqosd/bakery/tc"
)

// Bandwidths are the rates of a site or circuit in both directions, in Mbit/s: min is
// guaranteed, max the upper bound.
type Bandwidths struct {
	DownMin float32 `json:"download_bandwidth_min"`
	UpMin   float32 `json:"upload_bandwidth_min"`
	DownMax float32 `json:"download_bandwidth_max"`
	UpMax   float32 `json:"upload_bandwidth_max"`
}

// mbps are rate and ceil of a direction. A number of 32 bits stands for the shortest decimal
// number that rounds to it: clients mean 999.9, not 999.900024.
func (b Bandwidths) mbps(upload bool) (rate, ceil float64) {
	if upload {
		return decimal(b.UpMin), decimal(b.UpMax)
	}
	return decimal(b.DownMin), decimal(b.DownMax)
}

func decimal(f float32) float64 {
	if d := float64(f); d == math.Trunc(d) && math.Abs(d) < 1<<24 { // all these are numbers of 32 bits
		return d
	}
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return d
}

func (b Bandwidths) check() error {
	for _, upload := range []bool{false, true} {
		rate, ceil := b.mbps(upload)
		for _, mbps := range []float64{rate, ceil} {
			if _, err := programmedRate(mbps); err != nil {
				return err
			}
		}
	}
	return nil
}

// AddSite states a site within a batch: a class in each direction.
type AddSite struct {
	SiteHash int64  `json:"site_hash"`
	Parent   uint32 `json:"parent_class_id"` // class or queue, major<<16|minor
	UpParent uint32 `json:"up_parent_class_id"`
	Minor    uint16 `json:"class_minor"` // in both directions; the majors are the parents'
	Bandwidths
}

// AddCircuit states a circuit within a batch: a class in each direction, their leaves, and the
// addresses that are steered to them.
type AddCircuit struct {
	CircuitHash int64   `json:"circuit_hash"`
	Name        *string `json:"circuit_name"`
	SiteName    *string `json:"site_name"`
	Parent      uint32  `json:"parent_class_id"`
	UpParent    uint32  `json:"up_parent_class_id"`
	Minor       uint16  `json:"class_minor"`
	Bandwidths
	Major       uint16  `json:"class_major"`
	UpMajor     uint16  `json:"up_class_major"`
	Addresses   string  `json:"ip_addresses"` // addresses and prefixes, with commas between them
	SQMOverride *string `json:"sqm_override"` // in place of the default leaf; nil or "": the default
}

// Member is a site or a circuit of a batch: one of the two is set.
type Member struct {
	Site    *AddSite    `json:"site,omitempty"`
	Circuit *AddCircuit `json:"circuit,omitempty"`
}

// branch is what a member is in one direction.
type branch struct {
	parent, class tc.Handle
	rate, ceil    float64 // Mbit/s
}

func (m Member) branch(upload bool) branch {
	parent, minor, b := m.parent(upload)
	class := tc.NewHandle(parent.Major(), minor)
	if c := m.Circuit; c != nil {
		class = tc.NewHandle(c.Major, minor)
		if upload {
			class = tc.NewHandle(c.UpMajor, minor)
		}
	}
	rate, ceil := b.mbps(upload)
	return branch{parent: parent, class: class, rate: rate, ceil: ceil}
}

func (m Member) parent(upload bool) (parent tc.Handle, minor uint16, b Bandwidths) {
	var down, up uint32
	if s := m.Site; s != nil {
		down, up, minor, b = s.Parent, s.UpParent, s.Minor, s.Bandwidths
	} else {
		c := m.Circuit
		down, up, minor, b = c.Parent, c.UpParent, c.Minor, c.Bandwidths
	}
	if upload {
		return tc.Handle(up), minor, b
	}
	return tc.Handle(down), minor, b
}

// note is what the Tree remembers of the member's classes.
func (m Member) note() Note {
	if s := m.Site; s != nil {
		return Note{Role: RoleSite, Hash: s.SiteHash}
	}
	n := Note{Role: RoleCircuit, Hash: m.Circuit.CircuitHash}
	if m.Circuit.Name != nil {
		n.Comment = *m.Circuit.Name
	}
	return n
}

// name is how errors call the member.
func (m Member) name() string {
	n := m.note()
	n.Comment = clip(n.Comment)
	return n.Name(0)
}

// CheckedMember is a Member with all that can be said of it before it is added to a Batch.
type CheckedMember struct {
	Member

	err      error
	classes  [2]tc.Handle // by direction
	parents  [2]tc.Handle
	prefixes []netip.Prefix
	size     int // in the record, in bytes
}

// CheckMember checks a Member by itself; what is wrong is refused when it is added.
func CheckMember(m Member) CheckedMember {
	down, up := m.branch(false), m.branch(true)
	c := CheckedMember{Member: m, classes: [2]tc.Handle{down.class, up.class}, parents: [2]tc.Handle{down.parent, up.parent}}
	if c.err = m.check(); c.err != nil {
		return c
	}
	c.size = memberSize(m)
	if m.Circuit != nil {
		c.prefixes, _ = m.Circuit.prefixes() // checked
	}
	return c
}

// check finds what is wrong with a member whatever the others are.
func (m Member) check() error {
	_, minor, b := m.parent(false)
	if minor <= defaultNode {
		return fmt.Errorf("class_minor %x: 0, 1 and 2 are the queue's own", minor)
	}
	for _, upload := range []bool{false, true} {
		br := m.branch(upload)
		switch p := br.parent; {
		case p.Major() == 0 || p == tc.Root || p.Minor() == defaultNode:
			return fmt.Errorf("parent %s%s: neither a queue nor a site", p, direction(upload))
		case br.class.Major() != p.Major():
			return fmt.Errorf("class %s%s: its parent %s is in another queue", br.class, direction(upload), p)
		case br.class == p:
			return fmt.Errorf("class %s%s: its parent is the class itself", br.class, direction(upload))
		}
	}
	if err := b.check(); err != nil {
		return err
	}
	if m.Circuit != nil {
		return m.Circuit.check()
	}
	return nil
}

func (c AddCircuit) check() error {
	for _, name := range []*string{c.Name, c.SiteName} {
		if name == nil {
			continue
		}
		if len(*name) > maxComment {
			return fmt.Errorf("a name has %d bytes: at most %d are kept", len(*name), maxComment)
		}
		if hasControl(*name) {
			return errors.New("a name holds a control character")
		}
	}
	if _, err := c.prefixes(); err != nil {
		return err
	}
	_, _, err := overrides(c.SQMOverride)
	return err
}

// prefixes are the addresses of the circuit.
func (c AddCircuit) prefixes() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for text := range strings.SplitSeq(c.Addresses, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := parsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("ip_addresses: %w", err)
		}
		list = append(list, p)
	}
	return list, nil
}

func direction(upload bool) string {
	if upload {
		return " (upload)"
	}
	return ""
}
