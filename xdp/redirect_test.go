package xdp

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"lqosd/bakery/tc"
)

// wantStays wants v0 to have the program of its mode and reason; "" means that its packets may move.
func (l lab) wantStays(p *Plane, reason string) {
	l.Helper()
	l.wantAttached(p, kindTCX)
	if s := l.status(p).Links[0].Stays; (s == "") != (reason == "") || !strings.Contains(s, reason) {
		l.Errorf("packets stay because %q, want %q", s, reason)
	}
}

// TestStays: packets may be handed to other CPUs only where nothing of them is beside them, and never in generic mode. Whoever changes the
// rule replaces the program in one step.
func TestStays(t *testing.T) {
	inLab(t, func(l lab) {
		var ids map[string]uint32
		for _, c := range []struct {
			mode     Mode
			redirect Redirect
			cards    bool
			want     string
		}{
			{Auto, RedirectAuto, false, "a veth's peer"},
			{Native, RedirectAlways, false, ""},
			{Native, RedirectNever, true, "the configuration"},
			{Native, RedirectAuto, true, ""},
			{Auto, RedirectAuto, false, "a veth's peer"},
			{Generic, RedirectAlways, true, "generic XDP"},
			{Auto, RedirectAlways, true, "generic XDP"}, // as it was
		} {
			l.options.Mode, l.options.Redirect, l.seams.cards = c.mode, c.redirect, c.cards
			p := l.open()
			l.wantStays(p, c.want)
			now := l.state(p)
			for name, id := range ids {
				if strings.HasPrefix(name, "link ") && now[name] != id && c.mode != Generic {
					l.Errorf("%+v: %s was %d, is %d", c, name, id, now[name])
				}
			}
			ids = now
			l.close(p)
		}
	})
}

// TestOtherKinds: what is below a link of software may take tags off.
func TestOtherKinds(t *testing.T) {
	inLab(t, func(l lab) {
		run(l, "ip", "tuntap", "add", "tap0", "mode", "tap")
		run(l, "ip", "link", "set", "tap0", "up")
		l.options.Layout.Internet = "tap0"
		p := l.open()
		defer l.close(p)
		l.wantStays(p, "a tun's peer")
	})
}

// taken says which features of v0 take tags off.
func (l lab) taken(link string) string {
	l.Helper()
	f, err := openFeatures(link)
	if err != nil {
		l.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	on, err := f.active(tagFeatures)
	if err != nil {
		l.Fatal(err)
	}
	return strings.Join(on, " ")
}

// TestTags: a card leaves tags in the packets while the programs are attached, also when somebody switches it back, and at the end it
// does as before.
func TestTags(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.cards = true
		before := l.taken("v0")
		if !strings.Contains(before, "rx-vlan-hw-parse") || !strings.Contains(run(l, "ethtool", "-k", "v0"), "rx-vlan-offload: on") {
			l.Fatalf("at first v0 has %q", before)
		}
		p := l.open()
		l.wantStays(p, "")
		want := func(when, want string) {
			l.Helper()
			if got := l.taken("v0"); got != want {
				l.Errorf("%s v0 has %q, want %q", when, got, want)
			}
		}
		want("after Open", "")
		run(l, "ethtool", "-K", "v0", "rxvlan", "on")
		p.spread()
		want("after somebody meddled", "")
		if err := p.SetLayout(l.Context(), Layout{Internet: "p0", Network: "v1"}); err != nil {
			l.Fatal(err)
		}
		want("out of the layout", before)
		if err := p.SetLayout(l.Context(), twoLinks); err != nil {
			l.Fatal(err)
		}
		want("in the layout", "")
		l.close(p)
		l.close(l.open())
		removed, err := Detach(l.options)
		if err != nil || !strings.Contains(strings.Join(removed, "\n"), "VLAN tags on v0: "+before+" is on again") {
			l.Error(removed, err)
		}
		want("after Detach", before)
	})
}

// TestFixedTags: packets of a card that doesn't leave tags where they are stay on their CPU, as soon as that is seen.
func TestFixedTags(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.cards = true
		p := l.open()
		defer l.close(p)
		l.wantStays(p, "")
		were := tagFeatures
		defer func() { tagFeatures = were }()
		tagFeatures = []string{"loopback"} // that of lo stands in: no veth has one that is fixed
		fixed := &attached{place: place{link: "lo"}, index: 1}
		p.showTags(fixed)
		p.attached["v0"].tags = fixed.tags
		p.look()
		l.wantStays(p, "loopback of link lo can't be switched off")
	})
}

// TestNothingLost has a bridge between the links, and a packet of a class that another CPU works for: with its VLAN tag beside it, in both
// modes, it arrives with the tag.
func TestNothingLost(t *testing.T) {
	for _, c := range []struct {
		mode   Mode
		tagged bool
	}{{Native, true}, {Generic, false}, {Generic, true}} {
		name := string(c.mode)
		if c.tagged {
			name += ", with a tag"
		}
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l lab) {
				if runtime.NumCPU() == 1 {
					return // there is no other
				}
				onCPU(l.T, 0)
				run(l, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
				for _, name := range []string{"v0", "v1"} {
					run(l, "ip", "link", "set", name, "master", "br0")
				}
				run(l, "ip", "link", "set", "br0", "up")
				l.options.Mode = c.mode
				p := l.open()
				defer l.close(p)
				l.steer(p, []tc.Steer{{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 0x10004, CPU: 1, Circuit: 7}}, nil)
				if c.tagged {
					l.tcx("p0", ebpf.AttachTCXEgress, pushesTag(100))
				}
				arrived := l.countTags("p1")
				var got [2]uint64
				l.eventually("packets arrive", func() bool { // the bridge takes a moment
					send(l.T, "p0", udpPacket("192.0.2.1", "100.64.0.1"))
					got = arrived()
					return got[0]+got[1] >= 10
				})
				if (got[0] > 0) == c.tagged || (got[1] > 0) != c.tagged {
					l.Errorf("%d packets without, %d with a tag arrived", got[0], got[1])
				}
			})
		})
	}
}
