package xdp

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"lqosd/bakery/tc"
)

// manySteers are n of each direction, IPv4 and IPv6 in turns, sorted.
func manySteers(n int) []tc.Steer {
	list := make([]tc.Steer, 0, 2*n)
	for i := range n {
		prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(64 + i>>16), byte(i >> 8), byte(i)}), 32)
		if i%2 == 1 {
			address := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			binary.BigEndian.PutUint32(address[4:], uint32(i))
			prefix = netip.PrefixFrom(netip.AddrFrom16(address), 64)
		}
		for _, upload := range []bool{false, true} {
			list = append(list, tc.Steer{Prefix: prefix, Upload: upload, Class: tc.Handle(i), CPU: uint32(i % 3), Circuit: uint64(i) << 32})
		}
	}
	slices.SortFunc(list, tc.CompareSteers)
	return list
}

// TestManySteers sets, reads and drops a hundred thousand.
func TestManySteers(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		steers := manySteers(50_000)
		took := func(what string, since time.Time) { l.Logf("%d steers %s in %v", len(steers), what, time.Since(since)) }
		start := time.Now()
		l.steer(p, steers, nil)
		took("set", start)
		start = time.Now()
		l.wantSteers(p, steers)
		took("read", start)
		for _, m := range l.status(p).Maps {
			if m.Name == bpfMapPrefixes && m.Entries != len(steers) {
				l.Errorf("%+v", m)
			}
		}
		start = time.Now()
		if err := p.sweep(l.Context(), start); err != nil {
			l.Error(err)
		}
		took("looked through for a sweep", start)
		start = time.Now()
		l.steer(p, nil, steers[:60_000])
		took("(60,000 of them) dropped", start)
		l.wantSteers(p, steers[60_000:])
	})
}

// TestSteersModel sets and drops at random; what is in the map is what a model says, to the last write.
func TestSteersModel(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		type key struct {
			prefix netip.Prefix
			upload bool
		}
		prefixes := rapid.Custom(func(t *rapid.T) netip.Prefix {
			if rapid.Bool().Draw(t, "v4") {
				a := netip.AddrFrom4([4]byte{100, 64, byte(rapid.IntRange(0, 3).Draw(t, "c")), byte(rapid.IntRange(0, 3).Draw(t, "d"))})
				return netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			}
			a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(rapid.IntRange(0, 3).Draw(t, "last"))})
			return netip.PrefixFrom(a, rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
		})
		steers := rapid.Custom(func(t *rapid.T) tc.Steer {
			return tc.Steer{
				Prefix: prefixes.Draw(t, "prefix"), Upload: rapid.Bool().Draw(t, "upload"), Class: tc.Handle(rapid.Uint32().Draw(t, "class")),
				CPU: rapid.Uint32().Draw(t, "cpu"), Circuit: rapid.Uint64().Draw(t, "circuit"),
			}
		})
		lists := rapid.SliceOfN(steers, 0, 20)
		rapid.Check(l.T, func(t *rapid.T) {
			have, err := p.Steers(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Steer(context.Background(), nil, have); err != nil {
				t.Fatal(err)
			}
			model := map[key]tc.Steer{}
			for range rapid.IntRange(1, 8).Draw(t, "calls") {
				set, drop := lists.Draw(t, "set"), lists.Draw(t, "drop")
				epoch := l.epoch(p)
				if err := p.Steer(context.Background(), set, drop); err != nil {
					t.Fatal(err)
				}
				want := epoch
				if len(set)+len(drop) > 0 {
					want++
				}
				if got := l.epoch(p); got != want {
					t.Fatalf("epoch %d after %d", got, epoch)
				}
				for _, s := range set {
					model[key{s.Prefix, s.Upload}] = s
				}
				for _, s := range drop {
					delete(model, key{s.Prefix, s.Upload})
				}
				got, err := p.Steers(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(got, tc.CompareSteers)
				if want := slices.SortedFunc(maps.Values(model), tc.CompareSteers); !slices.Equal(got, want) {
					t.Fatalf("got %v\nwant %v", got, want)
				}
			}
		})
	})
}

func (l lab) epoch(p *Plane) uint64 {
	l.Helper()
	var c bpfControl
	if err := p.objects.maps[bpfMapSettings].Lookup(uint32(0), &c); err != nil {
		l.Fatal(err)
	}
	return c.Epoch
}

// TestSteerRefuses: what can't be a key changes nothing; nothing to do writes nothing.
func TestSteerRefuses(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		writes := l.status(p).Writes
		for _, bad := range []netip.Prefix{
			{}, netip.PrefixFrom(netip.MustParseAddr("100.64.0.1"), 24), netip.MustParsePrefix("::ffff:100.64.0.1/128"),
		} {
			if err := p.Steer(l.Context(), append(slices.Clone(someSteers), tc.Steer{Prefix: bad}), nil); err == nil {
				l.Errorf("%v was taken", bad)
			}
		}
		l.steer(p, nil, nil)
		l.steer(p, []tc.Steer{}, []tc.Steer{})
		if n := l.status(p).Writes; n != writes {
			l.Errorf("%d entries were written", n-writes)
		}
		l.wantSteers(p, nil)
		ctx, cancel := context.WithCancel(l.Context())
		cancel()
		if err := p.Steer(ctx, someSteers, nil); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}

// TestFull: a map that is full is said, with its size; what was there stays.
func TestFull(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.spec = smallMaps
		p := l.open()
		defer l.close(p)
		steers := manySteers(5000)
		l.steer(p, steers[:5000], nil)
		err := p.Steer(l.Context(), steers[5000:], nil)
		if !errors.Is(err, unix.ENOSPC) {
			l.Error(err)
		}
		l.Log(err)
		got, err := p.Steers(l.Context())
		if err != nil || len(got) != 6000 {
			l.Error(len(got), err)
		}
	})
}

// TestStale: what the programs remember of an address ends with every change of a steer.
func TestStale(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		for circuit := uint64(1); circuit <= 3; circuit++ {
			l.steer(p, []tc.Steer{{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 0x10004, Circuit: circuit}}, nil)
			for range 3 {
				send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1"))
			}
			traffic, err := p.Traffic(l.Context())
			i := slices.IndexFunc(traffic, func(t Traffic) bool { return t.Circuit == circuit })
			if err != nil || i < 0 || traffic[i].Down.Packets != 3 {
				l.Fatalf("circuit %d: %+v %v", circuit, traffic, err)
			}
			if seen := time.Since(traffic[i].Down.Seen); seen > time.Minute || seen < -time.Minute {
				l.Error("seen", seen, "ago")
			}
		}
		before := l.epoch(p)
		if err := p.Forget(); err != nil || l.epoch(p) != before+1 {
			l.Error(err, l.epoch(p), before)
		}
	})
}

// TestKilledBetweenSteersAndEpoch: what the programs remember of what a process changed, and was killed before it could make them forget, the
// next one makes them forget, though there is nothing to change any more.
func TestKilledBetweenSteersAndEpoch(t *testing.T) {
	inLab(t, func(l lab) {
		steers := func(circuit uint64) []tc.Steer {
			return []tc.Steer{{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 0x10004, Circuit: circuit}}
		}
		const packets = 3
		sends := func() {
			for range packets {
				send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1"))
			}
		}
		p := l.open()
		l.steer(p, steers(1), nil)
		sends()
		p.seams.step = func(name string) error {
			if name == "steers written" {
				runtime.Goexit()
			}
			return nil
		}
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			_ = p.Steer(l.Context(), steers(2), nil)
		}()
		<-killed
		before := l.epoch(p)
		l.close(p)
		p = l.open()
		defer func() { l.close(p) }()
		if got, err := p.Steers(l.Context()); err != nil || !slices.Equal(got, steers(2)) {
			l.Fatalf("%v %v", got, err)
		}
		sends()
		traffic, err := p.Traffic(l.Context())
		if i := slices.IndexFunc(traffic, func(t Traffic) bool { return t.Circuit == 2 }); err != nil || i < 0 || traffic[i].Down.Packets != packets {
			l.Errorf("the packets went elsewhere: %+v %v", traffic, err)
		}
		if got := l.epoch(p); got != before+1 {
			l.Errorf("epoch %d after %d", got, before)
		}
		l.close(p)
		p = l.open() // with nothing to mend
		if got := l.epoch(p); got != before+1 {
			l.Errorf("epoch %d after a start more", got)
		}
	})
}
