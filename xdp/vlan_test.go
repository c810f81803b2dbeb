package xdp

import (
	"encoding/binary"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// tcx attaches a program of a test to a link, until the test ends.
func (l lab) tcx(name string, where ebpf.AttachType, code asm.Instructions) {
	l.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	if err != nil {
		l.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	to, err := net.InterfaceByName(name)
	if err != nil {
		l.Fatal(err)
	}
	a, err := link.AttachTCX(link.TCXOptions{Interface: to.Index, Program: program, Attach: where})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = a.Close() })
}

// pushesTag puts a VLAN tag beside packets, as a VLAN device does.
func pushesTag(id int32) asm.Instructions {
	const tag = 0x0081 // 802.1Q, in network order
	return asm.Instructions{
		asm.Mov.Imm(asm.R2, tag), asm.Mov.Imm(asm.R3, id), asm.FnSkbVlanPush.Call(),
		asm.Mov.Imm(asm.R0, -1), asm.Return(),
	}
}

// countTags counts the IPv4 packets that arrive at a link, without and with a VLAN tag.
func (l lab) countTags(name string) func() [2]uint64 {
	l.Helper()
	const protocol, vlanPresent, ipv4 = 16, 20, 0x0008 // in struct __sk_buff of linux/bpf.h; in network order
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = counts.Close() })
	l.tcx(name, ebpf.AttachTCXIngress, asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, vlanPresent, asm.Word),
		asm.LoadMem(asm.R7, asm.R1, protocol, asm.Word),
		asm.JNE.Imm(asm.R7, ipv4, "out"),
		asm.StoreMem(asm.RFP, -4, asm.R6, asm.Word),
		asm.LoadMapPtr(asm.R1, counts.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, -1).WithSymbol("out"), asm.Return(),
	})
	return func() (n [2]uint64) {
		l.Helper()
		for i := range n {
			if err := counts.Lookup(uint32(i), &n[i]); err != nil {
				l.Fatal(err)
			}
		}
		return n
	}
}

// udpPacket is ipv4Packet with UDP in it, and what br_netfilter wants to be right.
func udpPacket(from, to string) []byte {
	frame := ipv4Packet(from, to)
	copy(frame[34:], []byte{0, 9, 0, 9, 0, 30})
	var sum uint32
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(frame[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(frame[24:], ^uint16(sum>>16+sum))
	return frame
}
