package bakery

import (
	"fmt"
	"math/bits"
	"slices"

	"lqosd/bakery/tc"
)

// Tags of members.
const (
	tagSite    = 1
	tagCircuit = 2
)

func (e *encoder) commit(c Commit) {
	e.mqSetup(c.Setup)
	e.float(c.Leaf.FastMbps)
	e.byte(byte(c.Leaf.SlowRTT))
	e.uvarint(uint64(len(c.Members)))
	size := 0
	for _, m := range c.Members {
		size += memberSize(m)
	}
	e.b = slices.Grow(e.b, size) // a large batch would outgrow it again and again
	for _, m := range c.Members {
		e.b = appendMember(e.b, m)
	}
}

// memberSize is what a member takes, in bytes.
func memberSize(m Member) int {
	const fixed = 1 + 8 + 4*4 // tag, hash, bandwidths
	if s := m.Site; s != nil {
		return fixed + uvarintSize(s.Parent) + uvarintSize(s.UpParent) + uvarintSize(s.Minor)
	}
	c := m.Circuit
	size := fixed + uvarintSize(c.Parent) + uvarintSize(c.UpParent) + uvarintSize(c.Minor) + uvarintSize(c.Major) + uvarintSize(c.UpMajor) +
		textSize(c.Addresses) + 1
	for _, s := range []*string{c.Name, c.SiteName, c.SQMOverride} {
		if s != nil {
			size += textSize(*s)
		}
	}
	return size
}

func textSize(s string) int { return uvarintSize(uint(len(s))) + len(s) }

func uvarintSize[T uint | uint16 | uint32](x T) int { return (bits.Len64(uint64(x)|1) + 6) / 7 }

func appendMember(dst []byte, m Member) []byte {
	e := encoder{dst}
	if s := m.Site; s != nil {
		e.byte(tagSite)
		e.uint64(uint64(s.SiteHash))
		e.place(s.Parent, s.UpParent, s.Minor, s.Bandwidths)
		return e.b
	}
	c := m.Circuit
	e.byte(tagCircuit)
	e.uint64(uint64(c.CircuitHash))
	e.place(c.Parent, c.UpParent, c.Minor, c.Bandwidths)
	e.uvarint(uint64(c.Major))
	e.uvarint(uint64(c.UpMajor))
	e.string(c.Addresses)
	e.flags(c.Name != nil, c.SiteName != nil, c.SQMOverride != nil)
	for _, s := range []*string{c.Name, c.SiteName, c.SQMOverride} {
		if s != nil {
			e.string(*s)
		}
	}
	return e.b
}

func (e *encoder) place(parent, upParent uint32, minor uint16, b Bandwidths) {
	e.uvarint(uint64(parent))
	e.uvarint(uint64(upParent))
	e.uvarint(uint64(minor))
	e.bandwidths(b)
}

func (e *encoder) bandwidths(b Bandwidths) {
	for _, f := range []float32{b.DownMin, b.UpMin, b.DownMax, b.UpMax} {
		e.float32(f)
	}
}

func (d *decoder) commit() Commit {
	c := Commit{Setup: d.mqSetup(), Leaf: LeafRule{FastMbps: d.float(), SlowRTT: SlowRTT(d.byte())}}
	if c.Leaf.SlowRTT > SlowRTTUpTo {
		d.fail(fmt.Errorf("unknown rule %d for slow plans", c.Leaf.SlowRTT))
	}
	n := d.count()
	if n > 0 {
		c.Members = make([]Member, 0, min(n, uint64(len(d.b)/minMember)+1))
	}
	for range n {
		if d.err != nil {
			break
		}
		c.Members = append(c.Members, d.member())
	}
	return c
}

// minMember is the least that a member takes, in bytes.
const minMember = 28

func (d *decoder) member() Member {
	switch tag := d.byte(); tag {
	case tagSite:
		s := &AddSite{SiteHash: int64(d.uint64())}
		d.place(&s.Parent, &s.UpParent, &s.Minor, &s.Bandwidths)
		return Member{Site: s}
	case tagCircuit:
		c := &AddCircuit{CircuitHash: int64(d.uint64())}
		d.place(&c.Parent, &c.UpParent, &c.Minor, &c.Bandwidths)
		c.Major, c.UpMajor, c.Addresses = d.uint16(), d.uint16(), d.string()
		flags := d.byte()
		for i, s := range []**string{&c.Name, &c.SiteName, &c.SQMOverride} {
			if flags&(1<<i) != 0 {
				text := d.string()
				*s = &text
			}
		}
		return Member{Circuit: c}
	default:
		d.fail(fmt.Errorf("unknown member %d", tag))
		return Member{Site: &AddSite{}}
	}
}

func (d *decoder) place(parent, upParent *uint32, minor *uint16, b *Bandwidths) {
	*parent, *upParent, *minor, *b = d.uint32(), d.uint32(), d.uint16(), d.bandwidths()
}

func (d *decoder) bandwidths() Bandwidths {
	return Bandwidths{DownMin: d.float32(), UpMin: d.float32(), DownMax: d.float32(), UpMax: d.float32()}
}

func (e *encoder) speed(c ChangeSiteSpeedLive) {
	e.uint64(uint64(c.SiteHash))
	e.bandwidths(c.Bandwidths)
	e.uvarint(c.R2Q)
	e.uvarint(uint64(len(c.Classes)))
	for _, s := range c.Classes {
		e.flags(false, false, s.Upload)
		e.string(s.Link)
		e.uvarint(uint64(s.Parent))
		e.uvarint(uint64(s.ID))
	}
}

func (d *decoder) speed() ChangeSiteSpeedLive {
	c := ChangeSiteSpeedLive{SiteHash: int64(d.uint64()), Bandwidths: d.bandwidths(), R2Q: d.uvarint()}
	for range d.count() {
		c.Classes = append(c.Classes, SiteClass{Upload: d.byte()&flagUpload != 0, Link: d.string(),
			Parent: tc.Handle(d.uint32()), ID: tc.Handle(d.uint32())})
	}
	return c
}
