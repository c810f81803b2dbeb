package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
	"lqosd/xdp"
)

// planeRows measure what steers packets: its maps, and what its programs take for a packet.
var planeRows = []row{
	{
		key: "mappings", pairs: 9, goal: goal{atLeast: 5}, root: true, sizes: []int{1_000, 10_000, 100_000},
		what: "100,000 address mappings into the map of prefixes", against: "one update call for each",
		prepare: prepareMappings,
	},
	{
		key: "xdp_hit", pairs: 5, goal: goal{atMost: 2}, root: true,
		what: "a packet of a known IPv4 address through XDP", against: "one bare look-up in an LPM trie of 100,000 prefixes",
		prepare: packet{"ingress/IPv4/hit", "lookup"}.prepare,
	},
	{
		key: "xdp_hit_v6", pairs: 5, goal: goal{atMost: 2}, root: true,
		what: "a packet of a known IPv6 address through XDP", against: "one bare look-up in an LPM trie of 100,000 prefixes",
		prepare: packet{"ingress/IPv6/hit", "lookup"}.prepare,
	},
	{
		key: "xdp_miss", pairs: 5, root: true,
		what: "a packet of an address that isn't remembered through XDP", against: "one bare look-up in an LPM trie of 100,000 prefixes",
		prepare: packet{"ingress/IPv4/miss", "lookup"}.prepare,
	},
	{
		key: "xdp_pass", pairs: 5, root: true,
		what: "a packet of a known IPv4 address through XDP", against: "a program that only passes",
		prepare: packet{"ingress/IPv4/hit", "pass"}.prepare,
	},
}

// prepareMappings steers by the product's dataplane, and by calls of the kernel to its map.
func prepareMappings(ctx context.Context, s *stand) (pair, error) {
	if err := makeLinks(ctx, s); err != nil {
		return nil, err
	}
	dir, err := s.folder()
	if err != nil {
		return nil, err
	}
	plane, err := xdp.Open(ctx, xdp.Options{Layout: xdp.Layout{Internet: links[0], Network: links[1]}, BPFFS: dir, Mode: xdp.Generic})
	if err != nil {
		return nil, err
	}
	s.later(func() error { return errors.Join(plane.Close(), unix.Unmount(dir, unix.MNT_DETACH)) })
	steers := manySteers(s.size(100_000, 5_000))
	other, err := prefixesIn(dir)
	if err != nil {
		return nil, err
	}
	s.later(other.Close)
	if err := plane.Steer(ctx, steers, nil); err != nil {
		return nil, err
	}
	ready, err := entries(other)
	if err != nil {
		return nil, err
	}
	if len(ready) != len(steers) {
		return nil, fmt.Errorf("%d steers became %d entries", len(steers), len(ready))
	}
	units := func(d time.Duration) sample { return sample{took: d, units: len(ready), unit: "mapping"} }
	return func(ctx context.Context) (ours, single sample, err error) {
		if err := plane.Steer(ctx, nil, steers); err != nil {
			return ours, single, err
		}
		began := time.Now()
		if err := plane.Steer(ctx, steers, nil); err != nil {
			return ours, single, err
		}
		ours = units(time.Since(began))
		if err := plane.Steer(ctx, nil, steers); err != nil {
			return ours, single, err
		}
		began = time.Now()
		for _, e := range ready {
			if err := other.Put(e.key, e.value); err != nil {
				return ours, single, err
			}
		}
		return ours, units(time.Since(began)), nil
	}, nil
}

// manySteers is a network of which every subscriber has an IPv4 address and an IPv6 prefix, in both directions.
func manySteers(n int) []tc.Steer {
	list := make([]tc.Steer, 0, n)
	for i := 0; len(list) < n; i++ {
		a := netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)})
		b := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)})
		class := tc.NewHandle(uint16(i%16+1), uint16(4+i/16))
		for _, up := range []bool{false, true} {
			for _, p := range []netip.Prefix{netip.PrefixFrom(a, 32), netip.PrefixFrom(b, 56)} {
				list = append(list, tc.Steer{Prefix: p, Upload: up, Class: class, Circuit: uint64(i)})
			}
		}
	}
	return list[:n]
}

// prefixesIn opens the map of prefixes that is pinned below a folder.
func prefixesIn(dir string) (m *ebpf.Map, err error) {
	var name string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "prefixes" {
			name = path
		}
		return err
	})
	if err == nil && name == "" {
		err = fmt.Errorf("no map of prefixes below %s", dir)
	}
	if err != nil {
		return nil, err
	}
	return ebpf.LoadPinnedMap(name, nil)
}

// entry is one of a map, as the kernel takes it.
type entry struct{ key, value []byte }

// entries are those of a map, in the order of their keys: in that of the map's buckets each call would find them near to the one before.
func entries(m *ebpf.Map) (list []entry, err error) {
	var key, value []byte
	each := m.Iterate()
	for each.Next(&key, &value) {
		list = append(list, entry{bytes.Clone(key), bytes.Clone(value)})
	}
	slices.SortFunc(list, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	return list, each.Err()
}

// packet is a benchmark of package xdp, and one of the programs that it compares with.
type packet struct{ benchmark, with string }

func (p packet) prepare(_ context.Context, s *stand) (pair, error) {
	program := filepath.Join(s.bin, "xdp.test")
	name := "^BenchmarkPacket$/" + regexp.MustCompile(`[^/]+`).ReplaceAllString(p.benchmark, "^$0$")
	return func(ctx context.Context) (ours, other sample, err error) {
		out, err := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", name, "-test.benchtime", "1x").CombinedOutput()
		if err != nil {
			return ours, other, fmt.Errorf("%s: %w\n%s", program, err, out)
		}
		ns, times := figure(out, "ns/packet"), figure(out, "×"+p.with)
		if ns == 0 || times == 0 {
			return ours, other, fmt.Errorf("%s %s: no figures\n%s", program, name, out)
		}
		return packetTime(ns), packetTime(ns / times), nil
	}, nil
}

// packetTime is a time in nanoseconds; many packets, so that fractions aren't lost.
func packetTime(ns float64) sample {
	const packets = 1000
	return sample{took: time.Duration(ns * packets), units: packets, unit: "packet"}
}

// figure is the number before a unit in the output of a benchmark, 0 if there is none.
func figure(out []byte, unit string) float64 {
	m := regexp.MustCompile(`([0-9.]+) ` + regexp.QuoteMeta(unit) + `\b`).FindSubmatch(out)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return 0
	}
	return n
}
