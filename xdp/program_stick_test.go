package xdp

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
)

// The VLANs of a stick: one has bits that the other hasn't, and both have bits of the upper byte.
const internetVLAN, networkVLAN = 0x0a64, 0x0b9b

func newStick(t testing.TB) *rig {
	t.Helper()
	r := newRigWithSubscriber(t)
	r.control(bpfControl{Epoch: 1, InternetVlan: internetVLAN, NetworkVlan: networkVLAN})
	return r
}

func (r *rig) stickHooks() []hook {
	return []hook{
		{"from the internet", r.EnterStick, ingress, wayDown},
		{"from the network", r.EnterStick, ingress, wayUp},
		{"to the network", r.LeaveStick, egress, wayDown},
		{"to the internet", r.LeaveStick, egress, wayUp},
	}
}

// vlan is the VLAN of a stick's packets that the hook sees.
func (h hook) vlan() string {
	if (h.at == ingress) == (h.direction == wayDown) {
		return "a64" // internet
	}
	return "b9b"
}

// TestStickShapes has the outermost tag decide about the direction, whatever its priority and its kind, and whatever is in it.
func TestStickShapes(t *testing.T) {
	r := newStick(t)
	for _, h := range r.stickHooks() {
		for _, head := range []string{
			"8100 0VID 0800", "8100 fVID 0800", "88a8 0VID 0800", "8100 0VID 86dd", "88a8 1VID 8100 0b9b 86dd", "88a8 1VID 8100 0a64 0800",
			"88a8 1VID 8100 0000 0800", "8100 0VID 8864 11 00 0007 002e 0021",
		} {
			s := shape{name: head, head: inVLAN(head, h.vlan()), ip: ipv4}
			if s.is6() {
				s.ip = ipv6
			}
			t.Run(h.name+"/"+head, func(t *testing.T) {
				frame := s.frame(s.addresses(h.direction))
				r.forget()
				h.wantSteered(t, r.run(h.program, frame), frame, "found", h.steer())
				h.wantSteered(t, r.run(h.program, frame), frame, "cached", h.steer())
			})
		}
	}
}

// inVLAN puts a VLAN into a shape's head.
func inVLAN(head, vlan string) string {
	for i := range head {
		if head[i:min(i+3, len(head))] == "VID" {
			return head[:i] + vlan + head[i+3:]
		}
	}
	panic("no VID in " + head)
}

// TestStickAside leaves packets alone that are in neither VLAN.
func TestStickAside(t *testing.T) {
	r := newStick(t)
	for _, h := range r.stickHooks() {
		h.direction = wayDown // that is how they are counted
		for _, head := range []string{
			"0800", "8100 0000 0800", "8100 e000 0800", "8100 0001 0800", "8100 0a65 0800", "8100 0264 0800", "88a8 0001 8100 0a64 0800",
			"8864 11 00 0007 002e 0021", "0806 0001",
		} {
			frame := shape{head: head, ip: ipv4}.frame(shapeNamed("IPv4").addresses(wayDown))
			h.wantLeftAlone(t, r.run(h.program, frame), frame, "aside")
		}
	}
}

// TestStickWithoutVLANs has a stick that wasn't told its VLANs: 0 is none, and no tag with it is of one.
func TestStickWithoutVLANs(t *testing.T) {
	r := newRigWithSubscriber(t)
	for _, h := range r.stickHooks() {
		h.direction = wayDown
		for _, head := range []string{"0800", "8100 0000 0800"} {
			frame := shape{head: head, ip: ipv4}.frame(shapeNamed("IPv4").addresses(wayDown))
			h.wantLeftAlone(t, r.run(h.program, frame), frame, "aside")
		}
	}
}

// TestStickTruncated cuts packets in the VLANs everywhere.
func TestStickTruncated(t *testing.T) {
	r := newStick(t)
	for _, h := range r.stickHooks() {
		s := shape{head: inVLAN("88a8 0VID 8100 0064 8864 11 00 0007 0042 0057", h.vlan()), ip: ipv6}
		frame := s.frame(s.addresses(h.direction))
		r.forget()
		r.run(h.program, frame)
		for n := ethernetBytes; n < len(frame); n++ {
			cut := frame[:n:n]
			o := r.runCut(h, frame, n)
			switch {
			case n < ethernetBytes+4:
				aside := h
				aside.direction = wayDown
				aside.wantLeftAlone(t, o, cut, "aside")
			case n < s.needs():
				h.wantLeftAlone(t, o, cut, "short")
			default:
				h.wantSteered(t, o, cut, "cached", h.steer())
			}
			if t.Failed() {
				t.Fatalf("%s: of %d bytes, %d", h.name, len(frame), n)
			}
		}
	}
}

// TestStickTagOutsideOfTheData has the tag that the card will insert: it is the outermost, and what the data has is in it.
func TestStickTagOutsideOfTheData(t *testing.T) {
	r := newStick(t)
	leave := r.seen(r.LeaveStick)
	for _, c := range []struct {
		name, head string
		tci        uint32
		want       *hook // nil: aside
	}{
		{"to the network", "0800", networkVLAN, &hook{at: egress, direction: wayDown}},
		{"to the network, with priority", "0800", 0xe000 | networkVLAN, &hook{at: egress, direction: wayDown}},
		{"to the internet", "0800", internetVLAN, &hook{at: egress, direction: wayUp}},
		{"the internet's in the network's", "8100 0a64 0800", networkVLAN, &hook{at: egress, direction: wayDown}},
		{"the network's in the internet's", "8100 0b9b 0800", internetVLAN, &hook{at: egress, direction: wayUp}},
		{"two tags in the data", "88a8 0001 8100 0b9b 0800", internetVLAN, &hook{at: egress, direction: wayUp}},
		{"the network's in another", "8100 0b9b 0800", 5, nil},
		{"another", "0800", 5, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.forget()
			h := hook{at: egress, direction: wayDown}
			if c.want != nil {
				h = *c.want
			}
			frame := shape{head: c.head, ip: ipv4}.frame(shapeNamed("IPv4").addresses(h.direction))
			o := r.runWith(leave, frame, skb{CB: [5]uint32{observedTag: c.tci}})
			o.frame = frame // BPF_PROG_RUN doesn't show the tag, nor where it was put
			if c.want == nil {
				h.wantLeftAlone(t, o, frame, "aside")
			} else {
				h.wantSteered(t, o, frame, "found", h.steer())
			}
		})
	}
}

// TestQueue has the class decide about the tx queue: the major counts from 1 as skb->queue_mapping does.
func TestQueue(t *testing.T) {
	r := newStick(t)
	for _, c := range []struct {
		class, queue uint32
	}{{0x1_0003, 1}, {0x10_0003, 16}, {0x7ffe_ffff, 0x7ffe}, {0, 0}} {
		a := netip.MustParseAddr("100.64.1.2")
		r.steer(wayDown, "100.64.1.2/32", bpfSteer{Class: c.class})
		r.steer(wayUp, "100.64.1.2/32", bpfSteer{Class: c.class})
		for _, p := range []struct {
			program   *ebpf.Program
			direction uint32
			tci       uint32
		}{{r.LeaveNetwork, wayDown, 0}, {r.LeaveInternet, wayUp, 0}, {r.LeaveStick, wayDown, networkVLAN}, {r.LeaveStick, wayUp, internetVLAN}} {
			r.forget()
			o := r.runWith(r.seen(p.program), toOrFrom(p.direction, a), skb{Priority: 6, CB: [5]uint32{observedTag: p.tci}})
			if o.queue != c.queue || o.priority != c.class {
				t.Errorf("%s: priority %#x, queue %d, want %#x, %d", p.program, o.priority, o.queue, c.class, c.queue)
			}
		}
	}
	stranger := toOrFrom(wayDown, netip.MustParseAddr("198.51.100.1"))
	if o := r.runWith(r.seen(r.LeaveNetwork), stranger, skb{Priority: 6}); o.priority != 6 || o.queue != 0 {
		t.Errorf("a stranger's packet: priority %#x, queue %d, want both as they were", o.priority, o.queue)
	}
}
