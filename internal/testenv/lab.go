package testenv

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
)

// The VLANs of a [Lab] on a stick.
const (
	InternetVLAN = 2
	NetworkVLAN  = 3
)

// subscribers is how many subscribers the network has.
const subscribers = 32

// LabOptions say how a [Lab] is made. The zero value has two links, with two queues each.
type LabOptions struct {
	Queues int  // tx and rx queues of the shaper's links; 0 means 2
	Stick  bool // one link, with the VLANs; needs 8021q, which not every kernel has
	// TagsAside leaves VLAN tags beside the packets, where XDP can't see them, as links do that take them off in hardware.
	TagsAside bool
	// Trunk is a stick for kernels without 8021q: nothing connects the links of the switch, nor is there a bridge. The test does
	// that, with BPF.
	Trunk bool
}

// Lab is three hosts on one machine. The shaper is the test's own namespace: call [NewLab] inside of [InNetns] or [InVM].
//
//	Internet ──────── eth0  br0  eth1 ──────── Network, with the addresses of all subscribers
//	198.51.100.1     the test's namespace      203.0.113.1 …
//	fd00:100::1                                fd00:113::1 …
//
// On a stick the wire of eth0 ends at a switch, with a VLAN to each host, and br0 connects eth0.2 and eth0.3. With a trunk
// the switch has the links trunk, internet and network.
//
// The hosts send what a wire can carry: whole frames, none above the MTU of 1500, and checksums that are right. One thing
// is not as with wires: a sender's socket knows what of it waits in the shaper, so that TCP keeps queues short (tcp_limit_output_bytes in the
// kernel's ip-sysctl), unless the shaper's link has an XDP program: then a frame is a copy.
type Lab struct {
	Internet, Network     *Host
	Switch                *Host  // of a stick
	ToInternet, ToNetwork string // the shaper's links; on a stick the same

	urgent atomic.Bool // iperf3 runs before all other work of the host
}

// NewLab makes a lab. What passes through the bridge is shaped by nobody yet.
func NewLab(t testing.TB, options LabOptions) *Lab {
	t.Helper()
	Need(t, Iperf3)
	l := &Lab{Internet: newHost(t, "internet"), Network: newHost(t, "network"), ToInternet: "eth0", ToNetwork: "eth1"}
	w := wiring{t: t, queues: cmp.Or(options.Queues, 2), tagsAside: options.TagsAside}
	switch {
	case options.Trunk:
		w.trunk(l)
		w.port(l, "internet", l.Internet)
		w.port(l, "network", l.Network)
	case options.Stick:
		w.trunk(l)
		w.bridge(w.vlan(l, l.Internet, InternetVLAN), w.vlan(l, l.Network, NetworkVLAN))
	default:
		w.link(l.ToInternet, l.Internet, "far")
		w.link(l.ToNetwork, l.Network, "far")
		w.bridge(l.ToInternet, l.ToNetwork)
	}
	l.addressInternet(t)
	l.addressNetwork(t)
	return l
}

// wiring lays the wires of a lab.
type wiring struct {
	t         testing.TB
	queues    int
	tagsAside bool
}

func (w wiring) command(line string) {
	w.t.Helper()
	words := strings.Fields(line)
	if out, err := exec.CommandContext(w.t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// link connects a link of the shaper with a host, where it is called far.
func (w wiring) link(name string, host *Host, far string) {
	w.t.Helper()
	w.command(fmt.Sprintf("ip link add %s numtxqueues %d numrxqueues %d type veth peer name %s netns %d",
		name, w.queues, w.queues, far, host.thread))
	// A veth hands over what its sender left to the card, beside the packet; what XDP redirects arrives without that.
	features := "tx off tso off gso off"
	if !w.tagsAside {
		features += " txvlan off"
	}
	host.Command(w.t, "ethtool -K "+far+" "+features)
	host.Command(w.t, "ip link set "+far+" up")
	w.command("ip link set " + name + " up")
}

// trunk connects the shaper with a switch, by one link.
func (w wiring) trunk(l *Lab) {
	w.t.Helper()
	l.ToNetwork = l.ToInternet
	l.Switch = newHost(w.t, "switch")
	w.link(l.ToInternet, l.Switch, "trunk")
}

// vlan gives a VLAN of the trunk to a host, and returns the shaper's link of it.
func (w wiring) vlan(l *Lab, host *Host, id int) string {
	w.t.Helper()
	// The trunk's address otherwise, and the bridge would see one host at two ports.
	address := fmt.Sprintf("02:00:00:00:00:%02x", id)
	l.Switch.Command(w.t, fmt.Sprintf("ip link add link trunk name far address %s netns %d type vlan id %d", address, host.thread, id))
	host.Command(w.t, "ip link set far up")
	name := fmt.Sprintf("%s.%d", l.ToInternet, id)
	w.command(fmt.Sprintf("ip link add link %s name %s type vlan id %d", l.ToInternet, name, id))
	w.command("ip link set " + name + " up")
	return name
}

// port connects a host with the switch.
func (w wiring) port(l *Lab, name string, host *Host) {
	w.t.Helper()
	l.Switch.Command(w.t, fmt.Sprintf("ip link add %s type veth peer name far netns %d", name, host.thread))
	host.Command(w.t, "ethtool -K far tx off tso off gso off")
	host.Command(w.t, "ip link set far up")
	l.Switch.Command(w.t, "ip link set "+name+" up")
}

// bridge connects links of the shaper.
func (w wiring) bridge(names ...string) {
	w.t.Helper()
	w.command("ip link add br0 type bridge mcast_snooping 0")
	for _, name := range names {
		w.command("ip link set " + name + " master br0")
	}
	w.command("ip link set br0 up")
}

var (
	internet4 = netip.MustParseAddr("198.51.100.1") // TEST-NET-2 and 3, RFC 5737
	network4  = netip.MustParsePrefix("203.0.113.0/24")
	internet6 = netip.MustParseAddr("fd00:100::1") // unique local, RFC 4193
	network6  = netip.MustParsePrefix("fd00:113::/64")
)

// Subscriber is the IPv4 address of a subscriber, from 1 to 32.
func Subscriber(n int) netip.Addr {
	a := network4.Addr().As4()
	a[3] = byte(n)
	return netip.AddrFrom4(a)
}

// Subscriber6 is the IPv6 address of a subscriber.
func Subscriber6(n int) netip.Addr {
	a := network6.Addr().As16()
	a[15] = byte(n)
	return netip.AddrFrom16(a)
}

// internetFor is the address in the internet that a subscriber's can talk to.
func internetFor(subscriber netip.Addr) netip.Addr {
	if subscriber.Is4() {
		return internet4
	}
	return internet6
}

func (l *Lab) addressInternet(t testing.TB) {
	t.Helper()
	l.address(t, l.Internet, []string{
		"addr add " + internet4.String() + "/32 dev far",
		"addr add " + internet6.String() + "/128 dev far nodad",
		"route add " + network4.String() + " dev far src " + internet4.String(),
		"route add " + network6.String() + " dev far",
	})
}

func (l *Lab) addressNetwork(t testing.TB) {
	t.Helper()
	var lines []string
	for n := 1; n <= subscribers; n++ {
		lines = append(lines, "addr add "+Subscriber(n).String()+"/32 dev far",
			"addr add "+Subscriber6(n).String()+"/128 dev far nodad")
	}
	l.address(t, l.Network, append(lines, "route add "+internet4.String()+"/32 dev far src "+Subscriber(1).String(),
		"route add "+internet6.String()+"/128 dev far"))
}

// address gives a host its addresses and routes, in lines of ip -batch.
func (l *Lab) address(t testing.TB, h *Host, lines []string) {
	t.Helper()
	// Nobody else has link-local addresses here: asking around for a second (RFC 4862) only holds tests up.
	if err := h.Do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/far/accept_dad", []byte("0"), 0) }); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "ip", "-batch", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(strings.Join(lines, "\n")), &out, &out
	err := h.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("addresses of host %s: %v\n%s", h.Name, err, &out)
	}
}
