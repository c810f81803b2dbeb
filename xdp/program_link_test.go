package xdp

import (
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"lqosd/internal/testenv"
)

// pair is a link and its peer, with a socket that sends on the link.
type pair struct {
	*rig
	link, peer *net.Interface
	socket     int
}

func newPair(t *testing.T, r *rig) pair {
	t.Helper()
	for _, line := range []string{
		"link add v0 mtu 9000 type veth peer name v1 mtu 9000",
		"link set v0 addrgenmode none", "link set v1 addrgenmode none", // so that IPv6 says nothing by itself
		"link set v1 up", "link set v0 up", // the second one is ready at once, the first a little later
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	p := pair{rig: r}
	var err error
	p.link, err = net.InterfaceByName("v0")
	r.must(err)
	p.peer, err = net.InterfaceByName("v1")
	r.must(err)
	p.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	r.must(err)
	t.Cleanup(func() { r.must(unix.Close(p.socket)) })
	r.must(unix.SetsockoptInt(p.socket, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	r.must(unix.Bind(p.socket, &unix.SockaddrLinklayer{Ifindex: p.link.Index}))
	return p
}

// send sends a frame. Of a long one, only so many bytes are in the linear part of the packet, and the others in pages.
func (p pair) send(frame []byte, linear byte) {
	p.t.Helper()
	virtio := []byte{0, 0, linear, 0, 0, 0, 0, 0, 0, 0} // struct virtio_net_hdr: hdr_len is its third field
	_, err := unix.Write(p.socket, append(virtio, frame...))
	p.must(err)
}

// at attaches a program for the rest of the test; where is AttachTCXEgress of the link, or AttachTCXIngress or AttachXDP of the peer.
func (p pair) at(t *testing.T, where ebpf.AttachType, program *ebpf.Program) {
	t.Helper()
	var l link.Link
	var err error
	switch where {
	case ebpf.AttachXDP:
		l, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: p.peer.Index, Flags: link.XDPDriverMode})
	case ebpf.AttachTCXIngress:
		l, err = link.AttachTCX(link.TCXOptions{Program: program, Interface: p.peer.Index, Attach: where})
	default:
		l, err = link.AttachTCX(link.TCXOptions{Program: program, Interface: p.link.Index, Attach: where})
	}
	p.must(err)
	t.Cleanup(func() { p.must(l.Close()) })
}

// wantCounted waits until one packet has been counted as one of the verdicts since before.
func (p pair) wantCounted(before numbers, wants ...string) string {
	p.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(2 * time.Minute)
	for {
		counted := p.allCounts().since(before)
		for _, want := range wants {
			if strings.Contains(counted, want+" 1 packets") {
				return counted
			}
		}
		select {
		case <-tick.C:
		case <-timeout:
			p.t.Fatalf("counted\n%s\nwant one of %q", counted, wants)
		}
	}
}

// TestHeadersInPages has packets at egress whose linear part ends with the Ethernet header, or inside the next.
func TestHeadersInPages(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		p := newPair(t, newRigWithSubscriber(t))
		p.at(t, ebpf.AttachTCXEgress, p.LeaveNetwork)
		h := hook{at: egress, direction: wayDown}
		for _, s := range shapes {
			if s.other > 0 {
				continue
			}
			for _, linear := range []byte{14, 17, 21, 33, 60, 70, 90} {
				frame := append(s.frame(s.addresses(wayDown)), make([]byte, 5000)...)
				p.forget()
				counts, circuits := p.allCounts(), p.allCircuits()
				p.send(frame, linear)
				o := outcome{wire: len(frame), counted: p.allCounts().since(counts), circuits: p.allCircuits().since(circuits)}
				o.action, o.frame, o.priority = h.pass(), frame, steerDown.Class // not seen here
				h.wantSteered(t, o, frame, "found", steerDown)
				if t.Failed() {
					t.Fatalf("%s, %d bytes linear", s.name, linear)
				}
			}
		}
	})
}

// TestStickTagInPages has the tag that decides behind the linear part.
func TestStickTagInPages(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		p := newPair(t, newStick(t))
		p.at(t, ebpf.AttachTCXEgress, p.LeaveStick)
		for _, h := range p.stickHooks()[2:] {
			s := shape{head: inVLAN("8100 0VID 86dd", h.vlan()), ip: ipv6}
			frame := append(s.frame(s.addresses(h.direction)), make([]byte, 5000)...)
			counts := p.allCounts()
			p.send(frame, 14)
			if got, want := p.allCounts().since(counts), h.counted("found", len(frame)); got != want {
				t.Errorf("%s: counted %q, want %q", h.name, got, want)
			}
		}
	})
}

// TestCarried has what XDP found on a link used where the packet leaves. For the time of the test it leaves where it came in:
// programs of that kind are taken there, too, and the way between isn't ours.
func TestCarried(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		p := newPair(t, newStick(t))
		neighbour := bpfSteer{Circuit: 3, Class: 0x4_0004}
		p.steer(wayDown, "100.64.1.3/32", neighbour)
		fromInternet := toOrFrom(wayDown, netip.MustParseAddr("100.64.1.2"))
		toNeighbour := frameOf(addresses{from: netip.MustParseAddr("100.64.1.2"), to: netip.MustParseAddr("100.64.1.3")})
		tagged := shape{head: "8100 0a64 0800", ip: ipv4}
		for _, c := range []struct {
			name         string
			enter, leave *ebpf.Program
			frame        []byte
			want         []string // one line each of what was counted
			circuits     string
		}{
			{"down", p.EnterInternet, p.LeaveNetwork, fromInternet, []string{"ingress down found", "egress down carried"}, "0xc100000001 down"},
			{"up", p.EnterNetwork, p.LeaveInternet, toNeighbour, []string{"ingress up found", "egress up carried"}, "0xc200000002 up"},
			{"from subscriber to subscriber", p.EnterNetwork, p.LeaveNetwork, toNeighbour, []string{"ingress up found", "egress down found"}, "0x3 down"},
			{"unknown", p.EnterInternet, p.LeaveNetwork, toOrFrom(wayDown, netip.MustParseAddr("198.51.100.1")), []string{"ingress down unknown", "egress down unknown"}, ""},
			{"a stick's, back into its VLAN", p.EnterStick, p.LeaveStick, tagged.frame(addresses{from: netip.MustParseAddr("100.64.1.2"), to: netip.MustParseAddr("100.64.1.3")}),
				[]string{"ingress down found", "egress up found"}, "0xc200000002 up"},
		} {
			t.Run(c.name, func(t *testing.T) {
				p.at(t, ebpf.AttachXDP, c.enter)
				p.at(t, ebpf.AttachTCXIngress, c.leave)
				p.forget()
				counts, circuits := p.allCounts(), p.allCircuits()
				p.send(c.frame, 14)
				got := p.wantCounted(counts, c.want[1])
				if !strings.Contains(got, c.want[0]+" 1 packets") {
					t.Errorf("counted\n%s\nwant %q", got, c.want)
				}
				if got := p.allCircuits().since(circuits); !strings.HasPrefix(got, c.circuits) {
					t.Errorf("added %q, want %q", got, c.circuits)
				}
			})
		}
	})
}

// TestHandedOver has packets go to another CPU for real. Whether what was found goes with them depends on the kernel.
func TestHandedOver(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		onCPU(t, 0)
		if ebpf.MustPossibleCPU() == 1 {
			return // there is no other
		}
		p := newPair(t, newRig(t))
		p.control(bpfControl{Epoch: 1, Cpus: 2})
		p.must(p.Cpus.Put(uint32(1), uint32(64)))
		p.steer(wayDown, "100.64.1.2/32", bpfSteer{Circuit: 7, Class: 0x1_0003, Cpu: 1})
		p.at(t, ebpf.AttachXDP, p.EnterInternet)
		p.at(t, ebpf.AttachTCXIngress, p.LeaveNetwork)
		counts := p.allCounts()
		p.send(toOrFrom(wayDown, netip.MustParseAddr("100.64.1.2")), 14)
		got := p.wantCounted(counts, "egress down carried", "egress down cached")
		if !strings.Contains(got, "ingress down redirected 1 packets") {
			t.Errorf("counted\n%s\nwant one redirected", got)
		}
		t.Log(got)
	})
}
