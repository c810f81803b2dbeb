package xdp

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// observed are the programs at egress, each called by another one that does to a packet what BPF_PROG_RUN can't, and
// shows what it doesn't show. The words of cb in struct __sk_buff say what.
type observed struct {
	LeaveInternet *ebpf.Program `ebpf:"see_leave_internet"`
	LeaveNetwork  *ebpf.Program `ebpf:"see_leave_network"`
	LeaveStick    *ebpf.Program `ebpf:"see_leave_stick"`
}

func (o *observed) Close() error { return _BpfClose(o.LeaveInternet, o.LeaveNetwork, o.LeaveStick) }

// Words of cb.
const (
	observedTag   = iota // give the packet a tag with this priority and VLAN, outside of its data; 0 for none
	observedCut          // cut it to this length; 0 for none
	observedQueue        // out: skb->queue_mapping
)

// addObserved adds programs for observed.
func addObserved(spec *ebpf.CollectionSpec) {
	for _, name := range []string{bpfProgLeaveInternet, bpfProgLeaveNetwork, bpfProgLeaveStick} {
		seen := spec.Programs[name].Copy()
		seen.Name = "see_" + name
		seen.Instructions = observe(name, seen.Instructions)
		spec.Programs[seen.Name] = seen
	}
}

func observe(name string, called asm.Instructions) asm.Instructions {
	const (
		queueMapping = 12
		cb           = 48
		vlan8021Q    = 0x0081 // in network order
	)
	word := func(i int16) int16 { return cb + 4*i }
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("see_" + name),

		asm.LoadMem(asm.R3, asm.R6, word(observedTag), asm.Word),
		asm.JEq.Imm(asm.R3, 0, "tagged"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, vlan8021Q),
		asm.FnSkbVlanPush.Call(),

		asm.LoadMem(asm.R2, asm.R6, word(observedCut), asm.Word).WithSymbol("tagged"),
		asm.JEq.Imm(asm.R2, 0, "cut"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnSkbChangeTail.Call(),

		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("cut"),
		asm.Call.Label(name),
		asm.LoadMem(asm.R1, asm.R6, queueMapping, asm.Word),
		asm.StoreMem(asm.R6, word(observedQueue), asm.R1, asm.Word),
		asm.Return(),
	}
	return append(insns, withoutBTF(called)...)
}

// withoutBTF is a program that one without BTF can call.
func withoutBTF(insns asm.Instructions) asm.Instructions {
	var bare asm.Instructions
	for _, ins := range insns {
		b := ins.WithMetadata(asm.Metadata{})
		if ref := ins.Reference(); ref != "" {
			b = b.WithReference(ref)
		}
		if symbol := ins.Symbol(); symbol != "" {
			b = b.WithSymbol(symbol)
		}
		bare = append(bare, b)
	}
	return bare
}

// seen is the program at egress as an observed one.
func (r *rig) seen(p *ebpf.Program) *ebpf.Program {
	switch p {
	case r.LeaveInternet:
		return r.observed.LeaveInternet
	case r.LeaveNetwork:
		return r.observed.LeaveNetwork
	case r.LeaveStick:
		return r.observed.LeaveStick
	}
	panic(fmt.Sprint(p, " is not a program at egress"))
}

// ethernetBytes is the least that BPF_PROG_RUN takes. At egress it wants whole IP headers, too: a packet is cut behind its back.
const ethernetBytes = 14

// runCut gives a program the first n bytes of a packet.
func (r *rig) runCut(h hook, frame []byte, n int) outcome {
	r.t.Helper()
	if h.at == ingress {
		return r.run(h.program, frame[:n:n])
	}
	return r.runWith(r.seen(h.program), frame, skb{CB: [5]uint32{observedCut: uint32(n)}})
}
