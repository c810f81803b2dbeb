package xdp

import (
	"strings"
	"testing"

	"lqosd/bakery/kernel"
	"lqosd/internal/testenv"
)

// TestClsact: where there is no TCX, filters at clsact do it, from Open to Detach.
func TestClsact(t *testing.T) {
	inLab(t, func(l lab) {
		l.seams.noTCX = true
		testClsact(l)
	})
}

// TestClsactInVM is the same on a kernel that really has no TCX, with the bpffs where it usually is.
func TestClsactInVM(t *testing.T) {
	testenv.InVM(t, func(t *testing.T) {
		l := newLab(t)
		l.options.BPFFS = ""
		testClsact(l)
	})
}

func testClsact(l lab) {
	l.Helper()
	p := l.open()
	if s := l.status(p).Links[0]; s.Egress.Kind != "" || s.Egress.Why == "" || s.Ingress.Kind != kindXDP {
		l.Errorf("without filters: %+v", s)
	}
	l.close(p)

	l.options.Filters = kernel.EgressFilters{}
	p = l.open()
	l.wantAttached(p, kindClsact)
	l.wantFilters(p)
	l.steer(p, someSteers, nil)
	send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1"))
	traffic, err := p.Traffic(l.Context())
	if err != nil || len(traffic) != 1 || traffic[0].Down.Packets != 1 {
		l.Errorf("%+v %v", traffic, err)
	}
	before := l.state(p)
	l.close(p)

	p = l.open()
	l.wantSame(before, l.state(p))
	l.wantAttached(p, kindClsact)
	l.wantFilters(p)
	if n := l.status(p).Writes; n != 0 {
		l.Errorf("%d entries were written", n)
	}
	run(l, "tc", "qdisc", "del", "dev", "v0", "clsact")
	p.look()
	l.wantFilters(p)
	l.close(p)

	l.seams.spec = otherPrograms
	p = l.open()
	l.wantFilters(p)
	if err := p.SetLayout(l.Context(), Layout{Internet: "v0", Network: "p1"}); err != nil {
		l.Fatal(err)
	}
	l.wantFilters(p)
	if out := run(l, "tc", "qdisc", "show", "dev", "v1"); strings.Contains(out, "clsact") {
		l.Error("a link that isn't in the layout any more:", out)
	}
	rename := func(from, to string) {
		for _, c := range []string{from + " down", from + " name " + to, to + " up"} { // not every kernel renames what is up
			run(l, "ip", append([]string{"link", "set"}, strings.Fields(c)...)...)
		}
		p.look()
	}
	rename("p1", "p9")
	if out := run(l, "tc", "qdisc", "show", "dev", "p9"); strings.Contains(out, "clsact") {
		l.Error("a link that has another name now:", out)
	}
	rename("p9", "p1")
	l.wantFilters(p)
	ids := l.state(p)
	l.close(p)

	run(l, "tc", "qdisc", "add", "dev", "v1", "clsact") // another's: it stays
	removed, err := Detach(l.options)
	if err != nil || len(removed) != 5 {
		l.Error(removed, err)
	}
	l.wantGone(ids)
	for name, want := range map[string]bool{"v0": false, "p1": false, "v1": true} {
		if out := run(l, "tc", "qdisc", "show", "dev", name); strings.Contains(out, "clsact") != want {
			l.Error(name, out)
		}
	}
}

// wantFilters wants the programs of p in our filters, once.
func (l lab) wantFilters(p *Plane) {
	l.Helper()
	for _, at := range p.layout.places() {
		id, err := idOf(p.objects.programs[at.role.leave()])
		got, there, err2 := l.options.Filters.Egress(at.link, filterName)
		if err != nil || err2 != nil || !there || got != uint32(id) {
			l.Errorf("link %s: program %d %v, want %d; %v %v", at.link, got, there, id, err, err2)
		}
		if out := run(l, "tc", "filter", "show", "dev", at.link, "egress"); strings.Count(out, "direct-action") != 1 {
			l.Error(out)
		}
	}
}
