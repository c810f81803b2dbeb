package xdp

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// running lets Run of p run while body does.
func (l lab) running(p *Plane, body func()) {
	l.Helper()
	ctx, cancel := context.WithCancel(l.Context())
	ended := make(chan error, 1) // one
	go func() { ended <- p.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			l.Error(err)
		}
	}()
	body()
}

// TestLinkComesBack: a link that is not there yet is waited for, and one that comes back with another index gets the
// programs again.
func TestLinkComesBack(t *testing.T) {
	inLab(t, func(l lab) {
		run(l, "ip", "link", "del", "v1")
		p := l.open()
		defer l.close(p)
		if s := l.status(p).Links[1]; s.Index != 0 || s.Ingress.Why == "" || s.Egress.Why == "" {
			l.Errorf("%+v", s)
		}
		l.running(p, func() {
			for range 2 {
				addLink(l, "1")
				l.eventually("v1 has programs", func() bool { return l.status(p).Links[1].Egress.Kind != "" })
				l.wantAttached(p, kindTCX)
				run(l, "ip", "link", "del", "v1")
				l.eventually("v1 is gone", func() bool { return l.status(p).Links[1].Index == 0 })
			}
		})
		if s := l.status(p).Links[0]; s.Ingress.Kind != kindXDP || s.Egress.Kind != kindTCX {
			l.Errorf("%+v", s)
		}
	})
}

// TestRename: a link that got the name of the one in the layout is that one.
func TestRename(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		for _, c := range []string{"v1 down", "p1 down", "v1 name v9", "p1 name v1", "v1 up", "v9 up"} {
			run(l, "ip", append([]string{"link", "set"}, strings.Fields(c)...)...)
		}
		p.look()
		l.wantAttached(p, kindTCX)
		if d, err := lookUp("v9"); err != nil || d.native+d.generic != 0 {
			l.Error("the link that isn't ours any more has a program:", d, err)
		}
	})
}

// TestOtherLinks: a process that finds another layout than the last one had takes the programs from the links of that.
func TestOtherLinks(t *testing.T) {
	inLab(t, func(l lab) {
		l.close(l.open())
		l.options.Layout = Layout{Internet: "v0", Network: "p1"}
		p := l.open()
		defer l.close(p)
		l.wantAttached(p, kindTCX)
		if d, err := lookUp("v1"); err != nil || d.native+d.generic != 0 {
			l.Error("v1 has a program still:", d, err)
		}
		if pins, err := os.ReadDir(p.directory.in(linksFolder)); err != nil || len(pins) != 4 {
			l.Error(pins, err)
		}
	})
}

// TestMeddling: what somebody detaches is attached again.
func TestMeddling(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.running(p, func() {
			for name, b := range p.links {
				info, err := b.Info()
				if err != nil {
					l.Fatal(err)
				}
				meddler, err := link.NewFromID(info.ID)
				if err != nil {
					l.Fatal(err)
				}
				if err := meddler.Detach(); err != nil {
					l.Fatal(name, err)
				}
				_ = meddler.Close()
			}
			l.eventually("all is attached again", func() bool {
				for _, at := range twoLinks.places() {
					d, err := lookUp(at.link)
					programs, err2 := link.QueryPrograms(link.QueryOptions{Target: d.index, Attach: ebpf.AttachTCXEgress})
					if err != nil || err2 != nil || d.native == 0 || len(programs.Programs) == 0 {
						return false
					}
				}
				return true
			})
		})
		l.wantAttached(p, kindTCX)
	})
}

// TestForeignXDP: another's XDP program is left alone, and said. When it goes, ours comes.
func TestForeignXDP(t *testing.T) {
	inLab(t, func(l lab) {
		other, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
		})
		if err != nil {
			l.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		for _, flags := range []link.XDPAttachFlags{link.XDPDriverMode, link.XDPGenericMode} {
			d, err := lookUp("v0")
			if err != nil {
				l.Fatal(err)
			}
			foreign, err := link.AttachXDP(link.XDPOptions{Program: other, Interface: d.index, Flags: flags})
			if err != nil {
				l.Fatal(err)
			}
			p := l.open()
			s := l.status(p).Links[0]
			if s.Ingress.Kind != "" || !strings.Contains(s.Ingress.Why, "another's XDP program") || s.Egress.Kind != kindTCX {
				l.Errorf("%+v", s)
			}
			id, err := idOf(other)
			if d, err2 := lookUp("v0"); err != nil || err2 != nil || max(d.native, d.generic) != uint32(id) {
				l.Error("the other's program is gone:", d, err, err2)
			}
			if err := foreign.Close(); err != nil {
				l.Fatal(err)
			}
			p.attached["v0"].ingress.again = p.attached["v0"].ingress.again.Add(-retryPause)
			p.look()
			l.wantAttached(p, kindTCX)
			l.close(p)
			if _, err := Detach(l.options); err != nil {
				l.Fatal(err)
			}
		}
	})
}

// TestGeneric: asked for, or where the driver can't, XDP is attached generically; changed, it is attached anew.
func TestGeneric(t *testing.T) {
	inLab(t, func(l lab) {
		for _, mode := range []Mode{Generic, Auto, Native, Auto} {
			l.options.Mode = mode
			p := l.open()
			l.wantAttached(p, kindTCX)
			want := mode
			if mode == Auto { // as it was
				want = map[bool]Mode{true: Generic, false: Native}[l.status(p).Links[0].Ingress.Fallback != ""]
			}
			for _, s := range l.status(p).Links {
				if s.Ingress.Mode != want || s.Egress.Mode != "" {
					l.Errorf("asked for %q: %+v", mode, s)
				}
			}
			l.close(p)
		}
	})
}

// TestFallback: a driver that refuses XDP (veth, when its peer has a big MTU and it takes no fragments) gets it generically.
func TestFallback(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.spec = withoutFrags
		run(l, "ip", "link", "set", "p0", "mtu", "9000")
		p := l.open()
		defer l.close(p)
		l.wantAttached(p, kindTCX)
		s := l.status(p).Links
		if s[0].Ingress.Mode != Generic || s[0].Ingress.Fallback == "" || s[1].Ingress.Mode != Native {
			l.Errorf("%+v", s)
		}
		l.options.Mode = Native
	})
}

// withoutFrags are the programs as they are on kernels before 5.18.
func withoutFrags() (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		p.Flags &^= xdpHasFrags
	}
	return spec, nil
}

// TestSetLayout moves the programs: two links, a stick, the other way round.
func TestSetLayout(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		for _, layout := range []Layout{
			{Internet: "v0", Network: "v0", InternetVLAN: 3, NetworkVLAN: 4},
			{Internet: "v1", Network: "v1", InternetVLAN: 5, NetworkVLAN: 6},
			{Internet: "v1", Network: "v0"},
			{Internet: "p0", Network: "p1"},
		} {
			if err := p.SetLayout(l.Context(), layout); err != nil {
				l.Fatal(err)
			}
			l.wantAttached(p, kindTCX)
			l.wantSteers(p, someSteers)
			var c bpfControl
			if err := p.objects.maps[bpfMapSettings].Lookup(uint32(0), &c); err != nil {
				l.Fatal(err)
			}
			if c.InternetVlan != layout.InternetVLAN || c.NetworkVlan != layout.NetworkVLAN {
				l.Errorf("%+v", c)
			}
			for _, name := range []string{"v0", "v1", "p0", "p1"} {
				wanted := name == layout.Internet || name == layout.Network
				if d, err := lookUp(name); err != nil || (d.native != 0) != wanted {
					l.Errorf("link %s has %+v, %v", name, d, err)
				}
			}
		}
	})
}

// TestForeignTCX: another's program at egress, which lets no later one have the packets, doesn't take them from ours.
func TestForeignTCX(t *testing.T) {
	inLab(t, func(l lab) {
		other, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.SchedCLS, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, // TCX_PASS: the end
		})
		if err != nil {
			l.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		d, err := lookUp("v1")
		if err != nil {
			l.Fatal(err)
		}
		foreign, err := link.AttachTCX(link.TCXOptions{Interface: d.index, Program: other, Attach: ebpf.AttachTCXEgress})
		if err != nil {
			l.Fatal(err)
		}
		defer func() { _ = foreign.Close() }()
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		l.wantSteered()
	})
}

// TestBlind: while links can't be looked at, as without a free descriptor, what is attached stays; what went is released afterwards.
func TestBlind(t *testing.T) {
	inLab(t, func(l lab) {
		blind := false
		l.seams.lookUp = func(name string) (device, error) {
			if blind {
				return device{}, unix.EMFILE
			}
			return lookUp(name)
		}
		p := l.open()
		before := l.state(p)
		blind = true
		p.look()
		if err := p.SetLayout(l.Context(), Layout{Internet: "v1", Network: "p1"}); err != nil {
			l.Fatal(err)
		}
		l.close(p)
		p = l.open() // which knows nothing of the links
		if s := l.status(p).Links[0]; !strings.Contains(s.Ingress.Why, unix.EMFILE.Error()) {
			l.Errorf("%+v", s)
		}
		l.close(p)
		blind = false
		p = l.open()
		defer l.close(p)
		l.wantSame(before, l.state(p))
		l.wantAttached(p, kindTCX)
	})
}
