package xdp

import (
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
