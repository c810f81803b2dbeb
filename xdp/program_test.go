package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"lqosd/internal/testenv"
)

// Values of xdp/bpf/maps.h and linux/bpf.h.
const (
	wayDown, wayUp  = uint32(0), uint32(1)
	ingress, egress = 0, 1

	xdpPass     = uint32(2)
	xdpRedirect = uint32(4)
	tcUnspec    = ^uint32(0)

	carriedMagic = 0x6c716f53
	carriedBytes = 24
)

var verdictNames = [...]string{"cached", "found", "unknown", "other", "short", "aside", "carried", "redirected"}

// rig is a set of loaded programs with maps of its own.
type rig struct {
	bpfObjects
	observed observed
	lengths  lengths // that the programs are told of
	t        testing.TB
}

func newRig(t testing.TB) *rig {
	t.Helper()
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	spec.Maps[bpfMapCircuits].MaxEntries = 1 << 10 // it is read as a whole, again and again
	spec.Maps[bpfMapPrefixes].MaxEntries = 1 << 10 // its memory is taken at once, and given back a while after the end of a test
	// The kernel refills what it takes entries from with its next interrupt (bpf_mem_refill in kernel/bpf/memalloc.c). In a
	// guest that waits for a CPU that may be many first packets later: each of them must find room.
	spec.Maps[bpfMapCircuits].Flags &^= unix.BPF_F_NO_PREALLOC
	var seen observed
	addObserved(spec)
	r := newRigWith(t, spec, &seen)
	r.observed = seen
	t.Cleanup(func() { r.must(seen.Close()) })
	return r
}

// newRigWith also fills in the struct that more points to, with programs that were added to the spec.
func newRigWith(t testing.TB, spec *ebpf.CollectionSpec, more any) *rig {
	t.Helper()
	testenv.Need(t, testenv.Root, testenv.BPF)
	r := &rig{t: t}
	spec.Maps[bpfMapCpus].MaxEntries = uint32(ebpf.MustPossibleCPU())
	loaded, err := ebpf.NewCollection(spec)
	r.must(err)
	defer loaded.Close()
	r.must(errors.Join(loaded.Assign(&r.bpfObjects), loaded.Assign(more)))
	t.Cleanup(func() { r.must(r.Close()) })
	r.control(bpfControl{Epoch: 1})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%+v", err) // with the verifier's log
	}
}

func (r *rig) control(c bpfControl) {
	r.t.Helper()
	c.Lengths = r.lengths
	r.must(r.Settings.Put(uint32(0), c))
}

// prefixKey is the key of prefixes for a direction and a prefix.
func prefixKey(direction uint32, p netip.Prefix) bpfPrefix {
	k := bpfPrefix{Length: 32 + uint32(p.Bits()), Space: direction}
	if p.Addr().Is6() {
		k.Space += 2
	}
	a := p.Addr().AsSlice()
	for i := range len(a) / 4 {
		k.Address[i] = binary.NativeEndian.Uint32(a[4*i:])
	}
	return k
}

func (r *rig) steer(direction uint32, prefix string, s bpfSteer) {
	r.t.Helper()
	r.put(direction, netip.MustParsePrefix(prefix), s)
}

// put adds a prefix, and tells the programs of its length.
func (r *rig) put(direction uint32, p netip.Prefix, s bpfSteer) {
	r.t.Helper()
	k, was := prefixKey(direction, p), r.lengths
	r.must(r.Prefixes.Put(k, s))
	if r.lengths.add(k.Space, p.Bits()); r.lengths != was {
		var c bpfControl
		r.must(r.Settings.Lookup(uint32(0), &c))
		r.control(c)
	}
}

// hook is one of the programs for two links.
type hook struct {
	name      string
	program   *ebpf.Program
	at        int
	direction uint32
}

// hooks are all of them.
func (r *rig) hooks() []hook {
	return []hook{
		{"from the internet", r.EnterInternet, ingress, wayDown},
		{"from the network", r.EnterNetwork, ingress, wayUp},
		{"to the network", r.LeaveNetwork, egress, wayDown},
		{"to the internet", r.LeaveInternet, egress, wayUp},
	}
}

// outcome is all that a program did.
type outcome struct {
	wire    int // bytes of the packet, as the kernel said
	action  uint32
	frame   []byte
	counted string // "ingress down cached 1 packets 64 bytes", one line each

	carried  *carried // at ingress: what is in front of the packet
	priority uint32   // at egress
	queue    uint32   // at egress, of an observed program
	circuits string   // at egress: what was added
}

// carried is struct carried of xdp/bpf/steer.c.
type carried struct {
	Magic     uint32
	Direction uint32
	Circuit   uint64
	Class     uint32
	CPU       uint32
}

// skb is struct __sk_buff of linux/bpf.h: what a program sees of a packet.
type skb struct {
	_            [3]uint32
	QueueMapping uint32
	_            [4]uint32
	Priority     uint32
	_            [3]uint32
	CB           [5]uint32
	_            [23]uint32
	WireLen      uint32
	GSOSegs      uint32
	_            uint64
	GSOSize      uint32
	_            [3]uint32
}

// xdpMD is struct xdp_md of linux/bpf.h.
type xdpMD struct{ Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32 }

// run gives a program a packet.
func (r *rig) run(p *ebpf.Program, frame []byte) outcome {
	r.t.Helper()
	return r.runWith(p, frame, skb{})
}

// runWith also says what the kernel knows about the packet. Only programs at egress get to see it.
func (r *rig) runWith(p *ebpf.Program, frame []byte, in skb) outcome {
	r.t.Helper()
	counts, circuits := r.allCounts(), r.allCircuits()
	opts := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	md, out := xdpMD{DataEnd: uint32(len(frame))}, skb{}
	if p.Type() == ebpf.XDP {
		opts.Context, opts.ContextOut = md, &md
	} else {
		opts.Context, opts.ContextOut = in, &out
	}
	action, err := p.Run(&opts)
	r.must(err)
	o := outcome{wire: max(len(frame), int(in.WireLen)), action: action, frame: opts.DataOut, priority: out.Priority, queue: out.CB[observedQueue]}
	if p.Type() == ebpf.XDP && md.Data > 0 {
		o.carried = &carried{}
		r.must(binary.Read(bytes.NewReader(o.frame[:md.Data]), binary.NativeEndian, o.carried))
		o.frame = o.frame[md.Data:]
	}
	o.counted, o.circuits = r.allCounts().since(counts), r.allCircuits().since(circuits)
	return o
}

// numbers are counters by name.
type numbers []number

type number struct {
	name           string
	packets, bytes uint64
}

func (n numbers) since(before numbers) string {
	was := map[string]number{}
	for _, b := range before {
		was[b.name] = b
	}
	var lines []string
	for _, now := range n {
		if b, ok := was[now.name]; now != b && (ok || now.packets > 0) {
			lines = append(lines, fmt.Sprintf("%s %d packets %d bytes", now.name, now.packets-b.packets, now.bytes-b.bytes))
		}
	}
	return strings.Join(lines, "\n")
}

func (r *rig) allCounts() numbers {
	r.t.Helper()
	var all numbers
	for v, name := range verdictNames {
		var perCPU []bpfVerdictCounts
		r.must(r.Counts.Lookup(uint32(v), &perCPU))
		for at, hook := range []string{"ingress", "egress"} {
			for direction, way := range []string{"down", "up"} {
				n := number{name: hook + " " + way + " " + name}
				for _, c := range perCPU {
					n.packets += c.Of[at][direction].Packets
					n.bytes += c.Of[at][direction].Bytes
				}
				all = append(all, n)
			}
		}
	}
	return all
}

func (r *rig) allCircuits() numbers {
	r.t.Helper()
	var all numbers
	var circuit uint64
	var traffic bpfTraffic
	for entries := r.Circuits.Iterate(); entries.Next(&circuit, &traffic); {
		for direction, way := range []string{"down", "up"} {
			f := traffic.Direction[direction]
			all = append(all, number{fmt.Sprintf("%#x %s", circuit, way), f.Packets, f.Bytes})
		}
	}
	return all
}

// counted is the line of one packet in an outcome.
func (h hook) counted(verdict string, wire int) string {
	return fmt.Sprintf("%s %s %s 1 packets %d bytes", []string{"ingress", "egress"}[h.at], h.way(), verdict, wire)
}

func (h hook) way() string { return []string{"down", "up"}[h.direction] }

// pass is what a program returns that lets the packet go on.
func (h hook) pass() uint32 {
	if h.at == ingress {
		return xdpPass
	}
	return tcUnspec
}

// reporter is what testing.T and rapid.T have in common.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// wantLeftAlone checks that nothing happened to a packet, but that it was counted.
func (h hook) wantLeftAlone(t reporter, o outcome, frame []byte, verdict string) {
	t.Helper()
	want := outcome{action: h.pass(), frame: frame, counted: h.counted(verdict, o.wire)}
	wantOutcome(t, o, want)
}

// wantSteered checks that a packet was steered, and went on otherwise unchanged.
func (h hook) wantSteered(t reporter, o outcome, frame []byte, verdict string, s bpfSteer) {
	t.Helper()
	want := outcome{action: h.pass(), frame: frame, counted: h.counted(verdict, o.wire)}
	if h.at == ingress {
		want.carried = &carried{Magic: carriedMagic, Direction: h.direction, Circuit: s.Circuit, Class: s.Class, CPU: s.Cpu}
	} else {
		want.priority = s.Class
		want.circuits = fmt.Sprintf("%#x %s 1 packets %d bytes", s.Circuit, h.way(), o.wire)
	}
	wantOutcome(t, o, want)
}

func wantOutcome(t reporter, got, want outcome) {
	t.Helper()
	g, w := got.String(), want.String()
	if g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func (o outcome) String() string {
	text := fmt.Sprintf("action %d, priority %x\nframe %x\ncounted %s\ncircuits %s", int32(o.action), o.priority, o.frame, o.counted, o.circuits)
	if o.carried != nil {
		text += fmt.Sprintf("\ncarried %+v", *o.carried)
	}
	return text
}

// A steer for each direction; no field has the same value in both.
var (
	steerDown = bpfSteer{Circuit: 0xc1_0000_0001, Class: 0x1_0004, Cpu: 0}
	steerUp   = bpfSteer{Circuit: 0xc2_0000_0002, Class: 0x3_0005, Cpu: 1}
)

// newRigWithSubscriber has the subscriber of shape.addresses in it, and the internet's addresses steered in the wrong
// direction each.
func newRigWithSubscriber(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	wrong := bpfSteer{Circuit: 0xbad, Class: 0xbad_0bad, Cpu: 0xbad}
	for _, p := range []string{"100.64.1.2/32", "2001:db8:1::/64"} {
		r.steer(wayDown, p, steerDown)
		r.steer(wayUp, p, steerUp)
	}
	for _, p := range []string{"192.0.2.0/28", "2001:db8:ffff::/48"} {
		r.steer(wayDown, p, wrong)
		r.steer(wayUp, p, wrong)
	}
	return r
}

func (h hook) steer() bpfSteer {
	if h.direction == wayUp {
		return steerUp
	}
	return steerDown
}

// TestShapes gives every program every kind of packet: the subscriber is found, whatever is around his address.
func TestShapes(t *testing.T) { testShapes(t, newRigWithSubscriber(t)) }

func testShapes(t *testing.T, r *rig) {
	for _, h := range r.hooks() {
		for _, s := range shapes {
			t.Run(h.name+"/"+s.name, func(t *testing.T) {
				frame := s.frame(s.addresses(h.direction))
				if s.other > 0 {
					h.wantLeftAlone(t, r.run(h.program, frame), frame, "other")
					return
				}
				r.forget()
				h.wantSteered(t, r.run(h.program, frame), frame, "found", h.steer())
				h.wantSteered(t, r.run(h.program, frame), frame, "cached", h.steer())
			})
		}
	}
}

// forget raises the epoch.
func (r *rig) forget() {
	r.t.Helper()
	var c bpfControl
	r.must(r.Settings.Lookup(uint32(0), &c))
	c.Epoch++
	r.control(c)
}

// TestTruncated ends packets of every shape at every length: they pass, and are short up to the last byte that counts.
func TestTruncated(t *testing.T) { testTruncated(t, newRigWithSubscriber(t), shapes) }

func testTruncated(t *testing.T, r *rig, shapes []shape) {
	for _, h := range r.hooks() {
		for _, s := range shapes {
			t.Run(h.name+"/"+s.name, func(t *testing.T) {
				frame := s.frame(s.addresses(h.direction))
				r.forget()
				r.run(h.program, frame) // so that the cache has it
				for n := ethernetBytes; n < len(frame); n++ {
					cut := frame[:n:n]
					o := r.runCut(h, frame, n)
					switch {
					case n < s.needs():
						h.wantLeftAlone(t, o, cut, "short")
					case s.other > 0:
						h.wantLeftAlone(t, o, cut, "other")
					default:
						h.wantSteered(t, o, cut, "cached", h.steer())
					}
					if t.Failed() {
						t.Fatalf("of %d bytes, %d", len(frame), n)
					}
				}
			})
		}
	}
}

// TestLyingHeaders has IP headers that say they are none.
func TestLyingHeaders(t *testing.T) {
	r := newRigWithSubscriber(t)
	for _, h := range r.hooks() {
		for _, s := range shapes {
			if s.other > 0 {
				continue
			}
			for first := range 256 {
				frame := s.frame(s.addresses(h.direction))
				frame[12+len(unhex(s.head))] = byte(first)
				o := r.run(h.program, frame)
				version, words := first>>4, first&0xf
				if s.is6() && version == 6 || !s.is6() && version == 4 && words >= 5 {
					if strings.Contains(o.counted, "short") {
						t.Fatalf("%s, %s: with %#x it is %s", h.name, s.name, first, o.counted)
					}
				} else {
					h.wantLeftAlone(t, o, frame, "short")
				}
			}
		}
	}
}

// TestUnknown leaves packets alone whose address has no prefix in the packet's direction.
func TestUnknown(t *testing.T) {
	r := newRig(t)
	r.steer(wayUp, "100.64.1.2/32", steerUp)
	r.steer(wayDown, "100.64.1.3/32", steerDown)
	r.steer(wayUp, "2001:db8:1::2/128", steerUp)
	r.steer(wayDown, "2001:db8:1::3/128", steerDown)
	for _, h := range r.hooks() {
		stranger := [...]string{wayDown: "100.64.1.2", wayUp: "100.64.1.3"}[h.direction]
		stranger6 := [...]string{wayDown: "2001:db8:1::2", wayUp: "2001:db8:1::3"}[h.direction]
		for _, address := range []string{stranger, stranger6} {
			frame := toOrFrom(h.direction, netip.MustParseAddr(address))
			for range 2 {
				h.wantLeftAlone(t, r.run(h.program, frame), frame, "unknown")
			}
		}
	}
}

// TestCache shows that the cache is used, that only another epoch makes it forget, and that it then does.
func TestCache(t *testing.T) {
	r := newRig(t)
	old, young := bpfSteer{Circuit: 1, Class: 0x1_0003}, bpfSteer{Circuit: 2, Class: 0x2_0004}
	for _, h := range r.hooks() {
		frame := toOrFrom(h.direction, netip.MustParseAddr("100.64.1.2"))
		r.forget()
		r.steer(h.direction, "100.64.1.2/32", old)
		h.wantSteered(t, r.run(h.program, frame), frame, "found", old)
		h.wantSteered(t, r.run(h.program, frame), frame, "cached", old)

		r.steer(h.direction, "100.64.1.2/32", young)
		h.wantSteered(t, r.run(h.program, frame), frame, "cached", old)
		r.forget()
		h.wantSteered(t, r.run(h.program, frame), frame, "found", young)
		h.wantSteered(t, r.run(h.program, frame), frame, "cached", young)

		r.must(r.Prefixes.Delete(prefixKey(h.direction, netip.MustParsePrefix("100.64.1.2/32"))))
		h.wantSteered(t, r.run(h.program, frame), frame, "cached", young)
		r.forget()
		h.wantLeftAlone(t, r.run(h.program, frame), frame, "unknown")

		// The epoch may go anywhere: only a different one counts. 1 << 32 differs in its upper half alone.
		r.steer(h.direction, "100.64.1.2/32", old)
		for _, epoch := range []uint64{7, 7 + 1<<32, 6, 1<<64 - 1, 0} {
			r.control(bpfControl{Epoch: epoch})
			h.wantSteered(t, r.run(h.program, frame), frame, "found", old)
			h.wantSteered(t, r.run(h.program, frame), frame, "cached", old)
		}
		r.control(bpfControl{Epoch: 1000})
	}
}

// TestJumboFrames has packets that fill several pages: they are steered, and their first page is counted.
func TestJumboFrames(t *testing.T) {
	r := newRigWithSubscriber(t)
	for _, h := range r.hooks()[:2] {
		frame := append(toOrFrom(h.direction, netip.MustParseAddr("100.64.1.2")), make([]byte, 9000)...)
		o := r.run(h.program, frame)
		var first int
		if _, err := fmt.Sscanf(o.counted, "ingress "+h.way()+" found 1 packets %d bytes", &first); err != nil || first < 2000 || first > 4096 {
			t.Errorf("%s: counted %q: %v", h.name, o.counted, err)
		}
		o.wire = first
		h.wantSteered(t, o, frame, "found", h.steer())
	}
}

// TestHooksShareTheCache has what ingress looked up in the cache at egress.
func TestHooksShareTheCache(t *testing.T) {
	r := newRigWithSubscriber(t)
	hooks := r.hooks()
	for direction := range []uint32{wayDown, wayUp} {
		in, out := hooks[direction], hooks[2+direction]
		frame := toOrFrom(in.direction, netip.MustParseAddr("100.64.1.2"))
		in.wantSteered(t, r.run(in.program, frame), frame, "found", in.steer())
		out.wantSteered(t, r.run(out.program, frame), frame, "cached", out.steer())
	}
}

// TestCircuitCounters has packets of two subscribers added to one circuit, and the segments of large ones counted.
func TestCircuitCounters(t *testing.T) {
	r := newRig(t)
	const circuit = 0xfedc_ba98_7654_3210
	for _, direction := range []uint32{wayDown, wayUp} {
		r.steer(direction, "100.64.1.2/32", bpfSteer{Circuit: circuit, Class: 0x1_0003})
		r.steer(direction, "2001:db8:1::/56", bpfSteer{Circuit: circuit, Class: 0x1_0003})
	}
	v4 := toOrFrom(wayDown, netip.MustParseAddr("100.64.1.2"))
	v6 := toOrFrom(wayDown, netip.MustParseAddr("2001:db8:1:f::1"))
	sent := toOrFrom(wayUp, netip.MustParseAddr("100.64.1.2"))

	before := coarse()
	r.run(r.LeaveNetwork, v4)
	r.runWith(r.LeaveNetwork, v6, skb{WireLen: 9000, GSOSegs: 6, GSOSize: 1400})
	r.run(r.LeaveInternet, sent)
	r.run(r.EnterInternet, v4) // ingress doesn't count again
	r.run(r.EnterNetwork, sent)
	after := coarse()

	var got bpfTraffic
	r.must(r.Circuits.Lookup(uint64(circuit), &got))
	for direction := range got.Direction {
		if seen := &got.Direction[direction].Seen; *seen < before || *seen > after {
			t.Errorf("direction %d: seen %d, want from %d to %d", direction, *seen, before, after)
		} else {
			*seen = 0
		}
	}
	want := bpfTraffic{Direction: [2]bpfFlow{
		wayDown: {Packets: 7, Bytes: uint64(len(v4)) + 9000},
		wayUp:   {Packets: 1, Bytes: uint64(len(sent))},
	}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// coarse is the clock that the programs read, in ns: it stands still between the kernel's ticks.
func coarse() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts); err != nil {
		panic(err)
	}
	return uint64(ts.Nano())
}
