package xdp

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"lqosd/bakery/tc"
)

// TestOnlyLengthsToldOf has prefixes of all lengths in each other, and tells the programs of some: it is the longest of those that
// they find, whichever they are.
func TestOnlyLengthsToldOf(t *testing.T) {
	r, all := newRig(t), model{}
	for _, text := range prefixAddresses {
		a := netip.MustParseAddr(text)
		for _, direction := range []uint32{wayUp, wayDown} {
			for bits := range a.BitLen() + 1 {
				r.model(all, direction, netip.PrefixFrom(a, bits).Masked())
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		told := model{}
		r.lengths = lengths{}
		for _, text := range prefixAddresses {
			a := netip.MustParseAddr(text)
			for _, bits := range rapid.SliceOfN(rapid.IntRange(0, a.BitLen()), 0, 4).Draw(t, "lengths near "+text) {
				k := modelKey{rapid.SampledFrom([]uint32{wayDown, wayUp}).Draw(t, "direction"), netip.PrefixFrom(a, bits).Masked()}
				told[k] = all[k]
				key := prefixKey(k.direction, k.prefix)
				r.lengths.add(key.Space, bits)
			}
		}
		r.forget()
		for k := range told {
			r.wantAsModel(t, told, k.prefix.Addr())
			r.forget()
			r.wantAsModel(t, told, flip(netip.MustParseAddr(prefixAddresses[k.prefix.Addr().BitLen()/128]), max(k.prefix.Bits()-1, 0)))
			r.forget()
		}
	})
}

// told are the lengths that the programs of p are told of.
func (l lab) told(p *Plane) lengths {
	l.Helper()
	told, err := readLengths(p.objects.maps[bpfMapSettings])
	if err != nil {
		l.Fatal(err)
	}
	return told
}

// class is what the programs of p find for an address; 0 for nothing.
func (l lab) class(p *Plane, upload bool, a netip.Addr) tc.Handle {
	l.Helper()
	program, direction := p.objects.programs[bpfProgEnterInternet], wayDown
	if upload {
		program, direction = p.objects.programs[bpfProgEnterNetwork], wayUp
	}
	frame := toOrFrom(direction, a)
	md := xdpMD{DataEnd: uint32(len(frame))}
	o := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256), Context: md, ContextOut: &md}
	if _, err := program.Run(&o); err != nil {
		l.Fatal(err)
	}
	if md.Data == 0 {
		return 0
	}
	var c carried
	if err := binary.Read(bytes.NewReader(o.DataOut), binary.NativeEndian, &c); err != nil {
		l.Fatal(err)
	}
	return tc.Handle(c.Class)
}

// steerModel is what the map should have.
type steerModel map[steerKey]tc.Steer

type steerKey struct {
	prefix netip.Prefix
	upload bool
}

func (m steerModel) class(upload bool, a netip.Addr) tc.Handle {
	longest, class := -1, tc.Handle(0)
	for k, s := range m {
		if k.upload == upload && k.prefix.Contains(a) && k.prefix.Bits() > longest {
			longest, class = k.prefix.Bits(), s.Class
		}
	}
	return class
}

func (m steerModel) lengths() lengths {
	return bundleOf(slices.Collect(maps.Values(m))).lengths
}

// TestSteersAreFound sets and drops prefixes of all lengths at random, and somebody meddles with the lengths: the programs find the
// longest that there is, and are told of the lengths that there are.
func TestSteersAreFound(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		steers := rapid.Custom(func(t *rapid.T) tc.Steer {
			return tc.Steer{
				Prefix: genPrefix().Draw(t, "prefix"), Upload: rapid.Bool().Draw(t, "upload"),
				Class: tc.Handle(rapid.Uint32Min(1).Draw(t, "class")),
			}
		})
		rapid.Check(l.T, func(t *rapid.T) {
			must := func(err error) {
				if err != nil {
					t.Fatal(err)
				}
			}
			have, err := p.Steers(context.Background())
			must(err)
			must(p.Steer(context.Background(), nil, have))
			m := steerModel{}
			var addresses []netip.Addr
			for range rapid.IntRange(1, 6).Draw(t, "calls") {
				set := rapid.SliceOfN(steers, 0, 8).Draw(t, "set")
				drop := slices.DeleteFunc(slices.Collect(maps.Values(m)), func(tc.Steer) bool { return rapid.Bool().Draw(t, "stays") })
				must(p.Steer(context.Background(), set, drop))
				for _, s := range set {
					m[steerKey{s.Prefix, s.Upload}] = s
					addresses = append(addresses, genWithin(s.Prefix).Draw(t, "address"))
				}
				for _, s := range drop {
					delete(m, steerKey{s.Prefix, s.Upload})
				}
				if told := l.told(p); told.with(m.lengths()) != told {
					t.Fatalf("told of %x, without all of %x", told, m.lengths())
				}
				switch rapid.SampledFrom([]string{"nothing", "read", "meddle, read", "meddle, keep"}).Draw(t, "then") {
				case "read":
					_, err = p.Steers(context.Background())
					must(err)
				case "meddle, read":
					must(p.adjust(func(c *bpfControl) { c.Lengths = lengths{1: {1: 7}} }))
					_, err = p.Steers(context.Background())
					must(err)
				case "meddle, keep":
					must(p.adjust(func(c *bpfControl) { c.Lengths = lengths{2: {1}} }))
					p.reconfigure()
				}
				for _, a := range addresses {
					for _, upload := range []bool{false, true} {
						if got, want := l.class(p, upload, a), m.class(upload, a); got != want {
							t.Fatalf("%s, upload %v: class %s, want %s", a, upload, got, want)
						}
					}
				}
			}
			_, err = p.Steers(context.Background())
			must(err)
			if told := l.told(p); told != m.lengths() {
				t.Fatalf("told of %x, want %x", told, m.lengths())
			}
		})
	})
}

// TestLengthsMeddled: what somebody else put in the map, or took out of the settings, is found once that was seen, though the programs
// remembered something else.
func TestLengthsMeddled(t *testing.T) {
	a := netip.MustParseAddr("100.64.0.1")
	wide := tc.Steer{Prefix: netip.MustParsePrefix("100.64.0.0/16"), Class: 0x10009}
	exact := tc.Steer{Prefix: netip.PrefixFrom(a, 32), Class: 0x10004}
	for name, meddle := range map[string]struct {
		with func(*Plane) error
		see  func(*Plane) error
	}{
		"an entry": {
			func(p *Plane) error {
				return p.objects.maps[bpfMapPrefixes].Put(keyOf(&exact), bpfSteer{Class: 0x10004})
			},
			func(p *Plane) error { _, err := p.Steers(context.Background()); return err },
		},
		"the settings": {
			func(p *Plane) error {
				if err := p.Steer(context.Background(), []tc.Steer{exact}, nil); err != nil {
					return err
				}
				return p.adjust(func(c *bpfControl) { c.Lengths = bundleOf([]tc.Steer{wide}).lengths; c.Epoch++ })
			},
			func(p *Plane) error { p.reconfigure(); return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l lab) {
				p := l.open()
				defer l.close(p)
				l.steer(p, []tc.Steer{wide}, nil)
				if err := meddle.with(p); err != nil {
					l.Fatal(err)
				}
				for range 2 { // looked up, and remembered
					if got := l.class(p, false, a); got != wide.Class {
						l.Errorf("class %s before it was seen", got)
					}
				}
				if err := meddle.see(p); err != nil {
					l.Fatal(err)
				}
				if got := l.class(p, false, a); got != exact.Class {
					l.Errorf("class %s, want %s", got, exact.Class)
				}
				if got, want := l.told(p), bundleOf([]tc.Steer{wide, exact}).lengths; got != want {
					l.Errorf("told of %x, want %x", got, want)
				}
			})
		})
	}
}

// TestLengthsTakenOver: who takes the maps over knows the lengths, and is right also if they were too few.
func TestLengthsTakenOver(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers, nil)
		told := l.told(p)
		l.close(p)
		p = l.open()
		if p.lengths != told || told == (lengths{}) {
			l.Errorf("it knows of %x, and they are %x", p.lengths, told)
		}
		l.steer(p, []tc.Steer{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Class: 5}}, nil)
		if got := l.class(p, false, someSteers[0].Prefix.Addr()); got != someSteers[0].Class {
			l.Errorf("class %s", got)
		}
		if err := p.adjust(func(c *bpfControl) { c.Lengths = lengths{}; c.Epoch++ }); err != nil {
			l.Fatal(err)
		}
		if got := l.class(p, false, someSteers[0].Prefix.Addr()); got != 0 {
			l.Errorf("class %s without lengths", got)
		}
		l.close(p)
		p = l.open()
		defer l.close(p)
		if _, err := p.Steers(l.Context()); err != nil {
			l.Fatal(err)
		}
		if got := l.class(p, false, someSteers[0].Prefix.Addr()); got != someSteers[0].Class {
			l.Errorf("class %s", got)
		}
	})
}
