package xdp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

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
	steers, strays, err := readSteers(ctx, p.objects.maps[bpfMapPrefixes], p.room)
	if err == nil && len(strays) > 0 {
		p.options.Logger.Warn("drift", "what", "somebody put keys that mean nothing in the map of prefixes; they are removed", "keys", len(strays))
		err = p.writeSteers(ctx, nil, strays)
	}
	if err == nil {
		p.room = len(steers)
		p.steers.Store(int64(len(steers)))
	}
	return steers, err
}

// readSteers reads the steers, of which there are about so many.
func readSteers(ctx context.Context, prefixes *ebpf.Map, about int) (steers []tc.Steer, strays []bpfPrefix, err error) {
	steers = make([]tc.Steer, 0, about)
	err = readAll(ctx, prefixes, func(keys []bpfPrefix, values []bpfSteer) {
		for i := range keys {
			if s, ok := steerOf(keys[i], values[i]); ok {
				steers = append(steers, s)
			} else {
				strays = append(strays, keys[i])
			}
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading steers: %w", err)
	}
	return steers, strays, nil
}

// Steer adds or changes what is in set, then removes what is in drop, then makes the programs
// forget what they remembered of both. What both are empty for writes nothing. After an error
// some of it may have been done.
func (p *Plane) Steer(ctx context.Context, set, drop []tc.Steer) error {
	if len(set) == 0 && len(drop) == 0 {
		return nil
	}
	gone := make([]bpfPrefix, len(drop))
	for _, s := range set {
		if !s.Prefix.IsValid() || s.Prefix != s.Prefix.Masked() || s.Prefix.Addr().Is4In6() {
			return fmt.Errorf("steer %s: no prefix, or one with host bits, or IPv4 as IPv6", s)
		}
	}
	for i, s := range drop {
		gone[i] = keyOf(s)
	}
	return p.during(func() error {
		p.steering.Lock()
		defer p.steering.Unlock()
		return p.writeSteers(ctx, set, gone)
	})
}

// writeSteers is the writing part of Steer. The programs read the epoch before they look an address up: what they
// remember under the new one, they looked up after the last write.
func (p *Plane) writeSteers(ctx context.Context, set []tc.Steer, gone []bpfPrefix) error {
	prefixes := p.objects.maps[bpfMapPrefixes]
	n, err := writeAll(ctx, prefixes, len(set), func(i int) (bpfPrefix, bpfSteer) {
		return keyOf(set[i]), bpfSteer{Circuit: set[i].Circuit, Class: uint32(set[i].Class), Cpu: set[i].CPU}
	})
	p.wrote.Add(uint64(n))
	p.room += n
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("there is room for %d: %w", prefixes.MaxEntries(), err)
	}
	if err == nil {
		n, err = deleteAll(ctx, prefixes, gone)
		p.wrote.Add(uint64(n))
		p.room = max(p.room-n, 0)
	}
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

func keyOf(s tc.Steer) bpfPrefix {
	k := bpfPrefix{Length: spaceBits + uint32(s.Prefix.Bits()), Space: down}
	if s.Upload {
		k.Space = up
	}
	address := s.Prefix.Addr()
	if address.Is6() {
		k.Space += familyIPv6
	}
	for i, bytes := 0, address.AsSlice(); len(bytes) > 0; i, bytes = i+1, bytes[4:] {
		k.Address[i] = binary.NativeEndian.Uint32(bytes)
	}
	return k
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
	return s, prefix.IsValid() && keyOf(s) == k
}
