package xdp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestRedirect hands packets to the CPU of their class: to none that doesn't work for us, and to the own one without a detour.
func TestRedirect(t *testing.T) {
	possible := uint32(ebpf.MustPossibleCPU())
	const own = 0
	for _, c := range []struct {
		name      string
		cpu, cpus uint32
		works     map[uint32]bool // CPUs in the map
		want      uint32
	}{
		{"own", own, 2, map[uint32]bool{0: true, 1: true}, xdpPass},
		{"another", 1, 2, map[uint32]bool{1: true}, xdpRedirect},
		{"another that isn't there", 1, 2, nil, xdpPass},
		{"the first above all", 2, 2, map[uint32]bool{0: true, 1: true}, xdpPass},
		{"modulo", 7, 2, map[uint32]bool{0: true, 1: true}, xdpRedirect},
		{"modulo of an odd number", 4, 3, map[uint32]bool{1: true}, xdpRedirect},
		{"the largest", ^uint32(0), 2, map[uint32]bool{1: true}, xdpRedirect},
		{"one CPU", 1, 1, map[uint32]bool{0: true, 1: true}, xdpPass},
		{"without settings", 1, 0, map[uint32]bool{1: true}, xdpRedirect},
		{"without settings, above the map", possible, 0, map[uint32]bool{1: true}, xdpPass},
	} {
		t.Run(c.name, func(t *testing.T) {
			onCPU(t, own)
			r := newRig(t)
			r.control(bpfControl{Epoch: 1, Cpus: c.cpus, InternetVlan: internetVLAN, NetworkVlan: networkVLAN})
			for cpu := range c.works {
				if cpu < possible { // with one CPU there is nobody else
					r.must(r.Cpus.Put(cpu, uint32(16)))
				}
			}
			for _, direction := range []uint32{wayDown, wayUp} {
				r.steer(direction, "100.64.1.2/32", bpfSteer{Class: 0x1_0003, Cpu: c.cpu})
			}
			want := c.want
			if possible == 1 {
				want = xdpPass
			}
			for _, h := range append(r.hooks()[:2], r.stickHooks()[:2]...) {
				frame := toOrFrom(h.direction, netip.MustParseAddr("100.64.1.2"))
				if h.program == r.EnterStick {
					s := shape{head: inVLAN("8100 0VID 0800", h.vlan()), ip: ipv4}
					frame = s.frame(s.addresses(h.direction))
				}
				r.forget()
				o := r.run(h.program, frame)
				counted := h.counted("found", len(frame))
				if want == xdpRedirect {
					counted += "\n" + h.counted("redirected", len(frame))
				}
				if o.action != want || o.counted != counted || o.carried == nil || o.carried.CPU != c.cpu {
					t.Errorf("%s: %s\nwant action %d, counted\n%s", h.name, o, want, counted)
				}
			}
		})
	}
}

// TestUnfinishedChecksum has TCP and UDP whose checksum is left to a card: they stay on their CPU, all others are handed over.
func TestUnfinishedChecksum(t *testing.T) {
	if ebpf.MustPossibleCPU() == 1 {
		return // there is no other CPU
	}
	onCPU(t, 0)
	r := newRigWithSubscriber(t)
	r.control(bpfControl{Epoch: 1, Cpus: 2})
	r.must(r.Cpus.Put(uint32(1), uint32(16)))
	for _, p := range []string{"100.64.1.2/32", "2001:db8:1::/64"} {
		r.steer(wayDown, p, bpfSteer{Class: 0x1_0003, Cpu: 1})
		r.steer(wayUp, p, bpfSteer{Class: 0x1_0003, Cpu: 1})
	}
	for i := range 4 { // hook and internet address
		h, carries := r.hooks()[i%2], i >= 2
		for _, name := range []string{"IPv4", "IPv4 with one option", "IPv4 with ten options", "IPv6", "QinQ, PPPoE, IPv4", "QinQ, PPPoE, IPv6"} {
			s := shapeNamed(name)
			for _, protocol := range []struct{ number, checksum, header int }{{6, 16, 20}, {17, 6, 8}} {
				a := s.addresses(h.direction)
				if carries {
					a = a.withInternet(h.direction, [...]byte{223, 255, 255, 250})
				}
				frame, transport := s.transport(a, byte(protocol.number), protocol.header+33)
				sum := pseudoSum(a, protocol.number, protocol.header+33)
				at := transport + protocol.checksum
				for _, c := range []struct {
					checksum uint16
					frame    []byte
					want     uint32
				}{
					{sum, frame, xdpPass},
					{^sum, frame, xdpRedirect},
					{sum + 1, frame, xdpRedirect},
					{sum ^ 0x100, frame, xdpRedirect},
					{0, frame, xdpRedirect},
					{sum, frame[:at+2], xdpPass},
					{sum, frame[:at+1], xdpRedirect}, // ends inside: there is nothing to see
				} {
					binary.BigEndian.PutUint16(frame[at:], c.checksum)
					if o := r.run(h.program, c.frame); o.action != c.want {
						t.Errorf("%s, %s, protocol %d, checksum %#x for %#x, %d of %d bytes: action %d, want %d",
							h.name, name, protocol.number, c.checksum, sum, len(c.frame), len(frame), o.action, c.want)
					}
				}
			}
		}
	}
}

// transport is a packet of the shape with so many bytes of a protocol behind its IP header, and where they begin.
func (s shape) transport(a addresses, protocol byte, length int) (frame []byte, at int) {
	frame = s.frame(a)
	ip := 12 + len(unhex(s.head))
	if s.is6() {
		at = ip + 40
		frame[ip+6] = protocol
		binary.BigEndian.PutUint16(frame[ip+4:], uint16(length))
	} else {
		at = ip + int(frame[ip]&0xf)*4
		frame[ip+9] = protocol
		binary.BigEndian.PutUint16(frame[ip+2:], uint16(at-ip+length))
	}
	return append(frame[:at], make([]byte, length)...), at
}

// withInternet changes the end of the address that isn't the subscriber's.
func (a addresses) withInternet(direction uint32, end [4]byte) addresses {
	change := &a.from
	if direction == wayUp {
		change = &a.to
	}
	b := change.AsSlice()
	copy(b[len(b)-4:], end[:])
	*change, _ = netip.AddrFromSlice(b)
	return a
}

// pseudoSum is the sum of the pseudo header, not inverted: RFC 9293, 3.1, and RFC 8200, 8.1.
func pseudoSum(a addresses, protocol, length int) uint16 {
	sum := uint32(protocol + length)
	for _, address := range []netip.Addr{a.from, a.to} {
		b := address.AsSlice()
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// onCPU keeps the test on one CPU.
func onCPU(t testing.TB, cpu int) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	var old, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.SchedSetaffinity(0, &old) })
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		t.Fatal(fmt.Errorf("staying on CPU %d: %w", cpu, err))
	}
}
