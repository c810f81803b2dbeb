package main

import (
	"fmt"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"lqosd/internal/testenv"
)

// TestLabStick measures circuits of a stick, where VLANs tell the directions, on a kernel that has VLANs.
func TestLabStick(t *testing.T) {
	for _, tags := range []struct {
		name   string
		aside  bool
		rounds int
	}{{"tags in the packets", false, 2}, {"tags beside the packets", true, 1}} {
		t.Run(tags.name, func(t *testing.T) {
			inCakeLab(t, testenv.LabOptions{Queues: 2 * shaperQueues, Stick: true, TagsAside: tags.aside}, func(s *shaper) {
				s.serve()
				slow, fast := labCircuit{n: 1, ceil: 5}, labCircuit{n: 2, ceil: 20}
				s.play(s.network(slow, fast))
				since := s.tally()
				for _, round := range []struct{ down, up labCircuit }{{slow, fast}, {fast, slow}}[:tags.rounds] {
					down, up := round.down.stream(), round.up.stream()
					up.Subscriber, up.Upload = testenv.Subscriber6(round.up.n), true
					s.lab.Measure(t, down, up)
				}
				since.wantDefaultsIdle()
				s.logDataplane()
				if n := s.verdicts("ingress", "aside"); (n > 1000) != tags.aside {
					t.Errorf("at ingress %d packets had no tag", n)
				}
				if n := s.verdicts("egress", "carried"); (n > 1000) == tags.aside {
					t.Errorf("%d packets brought what XDP found to egress", n)
				}
			})
		})
	}
}

// TestLabTrunk is TestLabCeils on a stick, on this kernel, which has several CPUs and may have no VLANs: BPF is the switch, and
// forwards on the shaper.
func TestLabTrunk(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.Root, testenv.TC, testenv.BPF)
		s := newShaper(t, testenv.LabOptions{Queues: 2 * shaperQueues, Trunk: true})
		s.switchVLANs()
		s.serve()
		s.measureCeils(labRound{})
		s.measureCeils(labRound{udp: true, six: true})
		s.wantSteered()
	})
}

// switchVLANs makes the switch give each host its VLAN, and the shaper forward from one VLAN to the other.
func (s *shaper) switchVLANs() {
	s.t.Helper()
	here := func(f func() error) error { return f() }
	s.retag(here, s.lab.ToInternet,
		retag{testenv.InternetVLAN, testenv.NetworkVLAN, s.lab.ToInternet},
		retag{testenv.NetworkVLAN, testenv.InternetVLAN, s.lab.ToInternet})
	s.retag(s.lab.Switch.Do, "internet", retag{0, testenv.InternetVLAN, "trunk"})
	s.retag(s.lab.Switch.Do, "network", retag{0, testenv.NetworkVLAN, "trunk"})
	s.retag(s.lab.Switch.Do, "trunk", retag{testenv.InternetVLAN, 0, "internet"}, retag{testenv.NetworkVLAN, 0, "network"})
}

// retag sends what arrives with a VLAN out with another, by a link. VLAN 0 is no tag.
type retag struct {
	from, to int
	out      string
}

func rule(n int) string { return fmt.Sprintf("rule %d", n) }

// instructions are those of rule n; R6 is the packet, R7 its VLAN.
func (r retag) instructions(n, out int) asm.Instructions {
	list := asm.Instructions{asm.JNE.Imm(asm.R7, int32(r.from), rule(n+1)).WithSymbol(rule(n))}
	if r.from != 0 {
		list = append(list, asm.Mov.Reg(asm.R1, asm.R6), asm.FnSkbVlanPop.Call())
	}
	if r.to != 0 {
		const tag = 0x0081 // 802.1Q, in network order
		list = append(list, asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, tag), asm.Mov.Imm(asm.R3, int32(r.to)), asm.FnSkbVlanPush.Call())
	}
	return append(list, asm.Mov.Imm(asm.R1, int32(out)), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return())
}

// retag makes a link do that, and drop all else, until the test ends.
func (s *shaper) retag(on func(func() error) error, in string, rules ...retag) {
	s.t.Helper()
	var l link.Link
	err := on(func() error {
		const vlanTCI = 24 // in struct __sk_buff of linux/bpf.h
		program := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMem(asm.R7, asm.R6, vlanTCI, asm.Word), asm.And.Imm(asm.R7, 0xfff)}
		for i, r := range rules {
			out, err := net.InterfaceByName(r.out)
			if err != nil {
				return err
			}
			program = append(program, r.instructions(i, out.Index)...)
		}
		program = append(program, asm.Mov.Imm(asm.R0, 2).WithSymbol(rule(len(rules))), asm.Return()) // TC_ACT_SHOT
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: program, License: "GPL"})
		if err != nil {
			return err
		}
		defer func() { _ = p.Close() }()
		from, err := net.InterfaceByName(in)
		if err != nil {
			return err
		}
		l, err = link.AttachTCX(link.TCXOptions{Interface: from.Index, Program: p, Attach: ebpf.AttachTCXIngress})
		return err
	})
	if err != nil {
		s.t.Fatalf("retagging on %s: %v", in, err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
}
