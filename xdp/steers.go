package xdp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"lqosd/bakery/tc"
)

// Steers reads the steers that the programs go by, in any order.
func (p *Plane) Steers(ctx context.Context) (steers []tc.Steer, err error) {
	err = p.during(func() error { steers, err = p.readSteers(ctx); return err })
	return steers, err
}

// readSteers reads the steers. Keys that aren't of our making are nobody's: they go.
func (p *Plane) readSteers(ctx context.Context) ([]tc.Steer, error) {
	p.steering.Lock() // a torn read is one that somebody writes beside
	defer p.steering.Unlock()
	c, err := readSteers(ctx, p.objects.maps[bpfMapPrefixes], p.room)
	if err == nil && len(c.strays) > 0 {
		p.options.Logger.Warn("drift", "what", "somebody put keys that mean nothing in the map of prefixes; they are removed", "keys", len(c.strays))
		err = p.removeStrays(ctx, c.strays)
	}
	if err == nil {
		err = p.correct(c.lengths)
	}
	if err == nil {
		p.room = len(c.steers)
		p.steers.Store(int64(len(c.steers)))
	}
	return c.steers, err
}

// removeStrays removes keys, and makes the programs forget what they remember of them.
func (p *Plane) removeStrays(ctx context.Context, strays []bpfPrefix) error {
	err := p.announce(p.lengths)
	if err == nil {
		var n int
		n, err = deleteAll(ctx, p.objects.maps[bpfMapPrefixes], strays)
		p.wrote.Add(uint64(n))
	}
	if err = errors.Join(err, p.forget()); err != nil {
		return fmt.Errorf("removing keys: %w", err)
	}
	return nil
}

// content is what the map of prefixes has.
type content struct {
	steers  []tc.Steer
	lengths lengths     // of theirs
	strays  []bpfPrefix // keys that no steer has
}

// readSteers reads the steers, of which there are about so many.
func readSteers(ctx context.Context, prefixes *ebpf.Map, about int) (content, error) {
	c := content{steers: make([]tc.Steer, 0, about)}
	err := readAll(ctx, prefixes, func(keys []bpfPrefix, values []bpfSteer) {
		for i := range keys {
			if s, ok := steerOf(keys[i], values[i]); ok {
				c.steers = append(c.steers, s)
				c.lengths.add(keys[i].Space, s.Prefix.Bits())
			} else {
				c.strays = append(c.strays, keys[i])
			}
		}
	})
	if err != nil {
		return content{}, fmt.Errorf("reading steers: %w", err)
	}
	return c, nil
}

// Steer adds or changes what is in set, then removes what is in drop, then makes the programs
// forget what they remembered of both. What both are empty for writes nothing. After an error
// some of it may have been done.
func (p *Plane) Steer(ctx context.Context, set, drop []tc.Steer) error {
	if len(set) == 0 && len(drop) == 0 {
		return nil
	}
	there, gone := bundleOf(set), bundleOf(drop)
	if len(there.refused) > 0 {
		return fmt.Errorf("steer %s: no prefix, or one with host bits, or IPv4 as IPv6", there.refused[0])
	}
	return p.during(func() error {
		p.steering.Lock()
		defer p.steering.Unlock()
		return p.writeSteers(ctx, there, gone)
	})
}

// writeSteers is the writing part of Steer. The programs read the epoch before they look an address up: what they
// remember under the new one, they looked up after the last write. Lengths that nothing has any more are withdrawn when the
// steers are read.
func (p *Plane) writeSteers(ctx context.Context, set, gone bundle) error {
	prefixes := p.objects.maps[bpfMapPrefixes]
	err := p.announce(p.lengths.with(set.lengths))
	if err == nil {
		var n int
		n, err = set.write(ctx, prefixes)
		p.wrote.Add(uint64(n))
		p.room += n
	}
	if err == nil {
		var n int
		n, err = gone.remove(ctx, prefixes)
		p.wrote.Add(uint64(n))
		p.room = max(p.room-n, 0)
	}
	err = then(err, func() error { return p.seams.step("steers written") })
	if err = errors.Join(err, p.forget()); err != nil {
		return fmt.Errorf("steering: %w", err)
	}
	return nil
}

// Forget makes the programs look every address up again.
func (p *Plane) Forget() error {
	return p.during(func() error {
		p.steering.Lock()
		defer p.steering.Unlock()
		return p.forget()
	})
}

// spaceBits are those of a key of prefixes before the bits of the address.
const spaceBits = 32

// Directions as the programs have them, and what makes a space of one: DOWN, UP and IPV6 of maps.h.
const (
	down       = 0
	up         = 1
	familyIPv6 = 2
)

// canBeKey refuses what is no prefix, has host bits, or is IPv4 as IPv6.
func canBeKey(p netip.Prefix) bool {
	a := p.Addr()
	return p.IsValid() && !a.Is4In6() && (p.Bits() == a.BitLen() || p == p.Masked())
}

// keyOf is the key of a steer whose prefix can be one.
func keyOf(s *tc.Steer) bpfPrefix {
	k := bpfPrefix{Length: spaceBits + uint32(s.Prefix.Bits()), Space: spaceOf(s)}
	if a := s.Prefix.Addr(); a.Is4() {
		bytes := a.As4()
		k.Address[0] = binary.NativeEndian.Uint32(bytes[:])
	} else {
		bytes := a.As16()
		for i := range k.Address {
			k.Address[i] = binary.NativeEndian.Uint32(bytes[4*i:])
		}
	}
	return k
}

// spaceOf is the space that a steer is in.
func spaceOf(s *tc.Steer) uint32 {
	space := uint32(down)
	if s.Upload {
		space = up
	}
	if !s.Prefix.Addr().Is4() {
		space += familyIPv6
	}
	return space
}

// steerOf is the inverse of keyOf; false for a key that it doesn't make.
func steerOf(k bpfPrefix, v bpfSteer) (tc.Steer, bool) {
	var bytes [16]byte
	for i, word := range k.Address {
		binary.NativeEndian.PutUint32(bytes[4*i:], word)
	}
	address := netip.AddrFrom16(bytes)
	if k.Space < familyIPv6 {
		address = netip.AddrFrom4([4]byte(bytes[:4]))
	}
	prefix := netip.PrefixFrom(address, int(k.Length)-spaceBits)
	s := tc.Steer{Prefix: prefix, Upload: k.Space&up == up, Class: tc.Handle(v.Class), CPU: v.Cpu, Circuit: v.Circuit}
	return s, canBeKey(prefix) && keyOf(&s) == k
}
