package kernel

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"lqosd/internal/testenv"
)

// passes is a program that lets the next one decide.
func passes(t *testing.T) (program *ebpf.Program, id uint32) {
	t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	number, _ := info.ID()
	return p, uint32(number)
}

// wantEgress wants a program in our filter on v0; 0 wants none.
func (l lab) wantEgress(want uint32) {
	l.Helper()
	got, there, err := EgressFilters{}.Egress("v0", "ours")
	if err != nil || got != want || there != (want != 0) {
		l.Errorf("egress has %d %v %v, want %d", got, there, err, want)
	}
}

// TestEgressFilters: our filter comes, changes and goes, and nothing else does.
func TestEgressFilters(t *testing.T) {
	inLab(t, func(l lab) {
		testenv.Need(l.T, testenv.BPF)
		var f EgressFilters
		one, oneID := passes(l.T)
		two, twoID := passes(l.T)
		must := func(err error) {
			l.Helper()
			if err != nil {
				l.Fatal(err)
			}
		}
		l.wantEgress(0)
		must(f.DetachEgress("v0", "ours"))
		must(f.AttachEgress("v0", one.FD(), "ours"))
		l.wantEgress(oneID)
		if _, there, err := f.Egress("v0", "another's"); there || err != nil {
			l.Error("a filter of another name is ours:", err)
		}
		must(f.AttachEgress("v0", two.FD(), "ours"))
		l.wantEgress(twoID)
		if out := run(l, "", "tc", "filter", "show", "dev", "v0", "egress"); strings.Count(out, "direct-action") != 1 {
			l.Error(out)
		}
		must(f.DetachEgress("v0", "ours"))
		l.wantEgress(0)
		if out := run(l, "", "tc", "qdisc", "show", "dev", "v0"); strings.Contains(out, "clsact") {
			l.Error("clsact with nothing in it stayed:", out)
		}
	})
}

// TestEgressFiltersOfOthers stay, and so does the clsact that they are in.
func TestEgressFiltersOfOthers(t *testing.T) {
	for _, side := range []string{"ingress", "egress"} {
		t.Run(side, func(t *testing.T) {
			inLab(t, func(l lab) {
				testenv.Need(l.T, testenv.BPF)
				var f EgressFilters
				one, id := passes(l.T)
				l.batch("qdisc add dev v0 clsact", "filter add dev v0 "+side+" protocol ip u32 match u32 0 0 flowid 1:1")
				before := run(l, "", "tc", "filter", "show", "dev", "v0", side)
				if err := f.AttachEgress("v0", one.FD(), "ours"); err != nil {
					l.Fatal(err)
				}
				l.wantEgress(id)
				if err := f.DetachEgress("v0", "ours"); err != nil {
					l.Fatal(err)
				}
				l.wantEgress(0)
				if after := run(l, "", "tc", "filter", "show", "dev", "v0", side); before == "" || after != before {
					l.Errorf("was\n%s, is\n%s", before, after)
				}
			})
		})
	}
}

// TestEgressFilterRefused: what is in the way is said.
func TestEgressFilterRefused(t *testing.T) {
	inLab(t, func(l lab) {
		testenv.Need(l.T, testenv.BPF)
		var f EgressFilters
		one, _ := passes(l.T)
		l.batch("qdisc add dev v0 ingress")
		l.wantEgress(0)
		if err := f.AttachEgress("v0", one.FD(), "ours"); err == nil || !strings.Contains(err.Error(), "ingress qdisc") {
			l.Error(err)
		}
		if err := f.AttachEgress("nowhere", one.FD(), "ours"); err == nil {
			l.Error("attached to no link")
		}
		if err := f.DetachEgress("nowhere", "ours"); err != nil {
			l.Error(err)
		}
	})
}
