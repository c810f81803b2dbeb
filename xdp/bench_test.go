package xdp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// benchPrefixes are as many as 25,000 subscribers have, each with an IPv4 address and an IPv6 prefix, in two directions.
const benchPrefixes = 100_000

// BenchmarkPacket tells what a program costs per packet, by the kernel's own clock (BPF_PROG_RUN), and how many times
// that is a program that only lets packets pass, and one that does nothing but to look the address up in a trie of the same prefixes,
// which is the kernel's own map for that.
// Each figure is the best of several rounds, in which the three take turns.
//
// The packet is the same over and over, so that all memory is near: the trie gains most by that.
func BenchmarkPacket(b *testing.B) {
	r := newBenchRig(b)
	v4, v6 := netip.MustParseAddr("100.64.48.57"), netip.MustParseAddr("2001:db8:1234:5600::1")
	far4, far6 := netip.MustParseAddr("198.18.0.57"), netip.MustParseAddr("2001:db9::1") // of no prefix
	stranger := netip.MustParseAddr("198.51.100.1")
	const own, other = 0, 1
	for _, c := range []struct {
		name    string
		program *ebpf.Program
		address netip.Addr
		cpu     uint32
		longer  int // lengths that are looked for before
	}{
		{"ingress/IPv4/hit", r.again.Enter, v4, own, 0},
		{"ingress/IPv4/hit,redirected", r.again.Enter, v4, other, 0},
		{"ingress/IPv4/miss", r.again.EnterAnew, v4, own, 0},
		{"ingress/IPv4/miss,5lengths", r.again.EnterAnew, far4, own, 4},
		{"ingress/IPv6/hit", r.again.Enter, v6, own, 0},
		{"ingress/IPv6/hit,redirected", r.again.Enter, v6, other, 0},
		{"ingress/IPv6/miss", r.again.EnterAnew, v6, own, 0},
		{"ingress/IPv6/miss,5lengths", r.again.EnterAnew, far6, own, 4},
		{"ingress/unknown", r.again.Enter, stranger, own, 0},
		{"egress/IPv4/hit", r.again.Leave, v4, own, 0},
		{"egress/IPv4/miss", r.again.LeaveAnew, v4, own, 0},
		{"egress/IPv6/hit", r.again.Leave, v6, own, 0},
		{"egress/unknown", r.again.Leave, stranger, own, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.address != stranger {
				r.steerAddress(c.address, c.longer, c.cpu)
			}
			onCPU(b, own)
			ns := r.best(b, toOrFrom(wayDown, c.address), c.program, r.bareLookup(b, c.program.Type(), c.address), r.pass(b, c.program.Type()))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ns[0], "ns/packet")
			b.ReportMetric(ns[0]/ns[1], "×lookup")
			b.ReportMetric(ns[0]/ns[2], "×pass")
		})
	}
}

// BenchmarkLoad tells what it costs to write 100,000 prefixes into an empty map, in batches and one by one.
func BenchmarkLoad(b *testing.B) {
	keys, values := manyPrefixes()
	var batched, single time.Duration
	for b.Loop() {
		r := loadRig(b)
		start := time.Now()
		for i := 0; i < len(keys); i += 4096 {
			end := min(i+4096, len(keys))
			_, err := r.Prefixes.BatchUpdate(keys[i:end], values[i:end], nil)
			r.must(err)
		}
		batched += time.Since(start)
		r.must(r.Close())

		r = loadRig(b)
		start = time.Now()
		for i := range keys {
			r.must(r.Prefixes.Put(keys[i], values[i]))
		}
		single += time.Since(start)
		r.must(r.Close())
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(b.N*len(keys)) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each(batched), "ns/prefix")
	b.ReportMetric(each(single), "ns/prefix-singly")
	b.ReportMetric(each(single)/each(batched), "×batch")
}

// loadRig has room for all prefixes.
func loadRig(b *testing.B) *rig {
	b.Helper()
	spec, err := loadBpf()
	if err != nil {
		b.Fatal(err)
	}
	return newRigWith(b, spec, &struct{}{})
}

func manyPrefixes() (keys []bpfPrefix, values []bpfSteer) {
	for i := range uint32(benchPrefixes / 4) {
		v4 := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64 + byte(i>>16), byte(i >> 8), byte(i)}), 32)
		v6 := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 8), byte(i)}), 56)
		for _, direction := range []uint32{wayDown, wayUp} {
			for _, p := range []netip.Prefix{v4, v6} {
				keys = append(keys, prefixKey(direction, p))
				values = append(values, bpfSteer{Circuit: uint64(i), Class: 0x1_0003 + i%1000})
			}
		}
	}
	return keys, values
}

// benchRig is a rig with many prefixes, and programs that can be run over and over.
type benchRig struct {
	*rig
	again again
	trie  *ebpf.Map
}

// newTrie has prefixes in a map of the kernel's own for them.
func newTrie(b *testing.B, keys []bpfPrefix, values []bpfSteer) *ebpf.Map {
	b.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 24, ValueSize: 16, MaxEntries: 1 << 19, Flags: unix.BPF_F_NO_PREALLOC})
	if err == nil {
		b.Cleanup(func() { _ = m.Close() })
		_, err = m.BatchUpdate(keys, values, nil)
	}
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// again are the programs of direction down, each called by one that makes the next run be as the first.
type again struct {
	Enter     *ebpf.Program `ebpf:"again_enter"`
	EnterAnew *ebpf.Program `ebpf:"again_enter_anew"`
	Leave     *ebpf.Program `ebpf:"again_leave"`
	LeaveAnew *ebpf.Program `ebpf:"again_leave_anew"`
}

func newBenchRig(b *testing.B) *benchRig {
	b.Helper()
	spec, err := loadBpf()
	if err != nil {
		b.Fatal(err)
	}
	for name, anew := range map[string]bool{"": false, "_anew": true} {
		spec.Programs["again_enter"+name] = repeatable(spec.Programs[bpfProgEnterInternet], anew)
		spec.Programs["again_leave"+name] = repeatable(spec.Programs[bpfProgLeaveNetwork], anew)
	}
	r := &benchRig{}
	r.rig = newRigWith(b, spec, &r.again)
	b.Cleanup(func() {
		r.must(_BpfClose(r.again.Enter, r.again.EnterAnew, r.again.Leave, r.again.LeaveAnew))
	})
	keys, values := manyPrefixes()
	_, err = r.Prefixes.BatchUpdate(keys, values, nil)
	r.must(err)
	for _, k := range keys {
		r.lengths.add(k.Space, int(k.Length)-spaceBits)
	}
	r.forget()
	r.trie = newTrie(b, keys, values)
	if ebpf.MustPossibleCPU() > 1 {
		r.must(r.Cpus.Put(uint32(1), uint32(64)))
	}
	return r
}

// repeatable calls the program. After XDP it takes the metadata off again, which there is room for but once; anew makes
// the cache forget before.
func repeatable(p *ebpf.ProgramSpec, anew bool) *ebpf.ProgramSpec {
	p = p.Copy()
	called := p.Name
	p.Name = "again"
	insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("again")}
	if anew {
		insns = append(insns,
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, 0).WithReference(bpfMapSettings),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "call"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), // the epoch
			asm.Add.Imm(asm.R1, 1),
			asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		)
	}
	insns = append(insns, asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("call"), asm.Call.Label(called))
	if p.Type == ebpf.XDP {
		insns = append(insns,
			asm.Mov.Reg(asm.R7, asm.R0),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, carriedBytes),
			asm.FnXdpAdjustMeta.Call(),
			asm.Mov.Reg(asm.R0, asm.R7),
		)
	}
	p.Instructions = append(append(insns, asm.Return()), withoutBTF(p.Instructions)...)
	return p
}

// pass lets packets pass.
func (r *benchRig) pass(b *testing.B, typ ebpf.ProgramType) *ebpf.Program {
	b.Helper()
	return r.assemble(b, typ, nil)
}

// bareLookup is one lookup in the trie, and nothing else.
func (r *benchRig) bareLookup(b *testing.B, typ ebpf.ProgramType, address netip.Addr) *ebpf.Program {
	b.Helper()
	key := prefixKey(wayDown, netip.PrefixFrom(address, address.BitLen()))
	var insns asm.Instructions
	for i, word := range append([]uint32{key.Length, key.Space}, key.Address[:]...) {
		insns = append(insns, asm.StoreImm(asm.RFP, int16(4*i-24), int64(int32(word)), asm.Word))
	}
	return r.assemble(b, typ, append(insns,
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -24),
		asm.LoadMapPtr(asm.R1, r.trie.FD()),
		asm.FnMapLookupElem.Call(),
	))
}

// assemble makes a program of instructions, and lets packets pass then.
func (r *benchRig) assemble(b *testing.B, typ ebpf.ProgramType, insns asm.Instructions) *ebpf.Program {
	b.Helper()
	pass := int32(xdpPass)
	if typ == ebpf.SchedCLS {
		pass = -1
	}
	insns = append(insns, asm.Mov.Imm(asm.R0, pass), asm.Return())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: typ, Instructions: insns, License: "GPL"})
	r.must(err)
	b.Cleanup(func() { r.must(p.Close()) })
	return p
}

// steerAddress has the address handled by a CPU, by a prefix for which so many longer ones are looked for in vain.
func (r *benchRig) steerAddress(address netip.Addr, longer int, cpu uint32) {
	was := r.lengths
	p := netip.PrefixFrom(address, address.BitLen()-longer).Masked()
	k := prefixKey(wayDown, p)
	r.must(r.Prefixes.Put(k, bpfSteer{Circuit: 1, Class: 0x1_0003, Cpu: cpu}))
	for n := range longer + 1 {
		r.lengths.add(k.Space, p.Bits()+n)
	}
	r.forget()
	r.lengths = was
}

// best is what each of the programs takes per packet, in ns, at its best.
func (r *benchRig) best(b *testing.B, frame []byte, programs ...*ebpf.Program) []float64 {
	b.Helper()
	ns := make([]float64, len(programs))
	for b.Loop() {
		for i, p := range programs {
			const repeat, rounds = 100_000, 10
			for range rounds {
				_, d, err := p.Benchmark(frame, repeat, nil)
				r.must(err)
				if took := float64(d.Nanoseconds()); ns[i] == 0 || took < ns[i] {
					ns[i] = took
				}
			}
		}
	}
	return ns
}
