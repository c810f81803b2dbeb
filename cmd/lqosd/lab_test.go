package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
	"lqosd/xdp"
)

// shaper is a daemon's place between the hosts of a lab. Each direction has two queues.
type shaper struct {
	*field
	lab   *testenv.Lab
	stick bool
}

const shaperQueues = 2

// inLab runs body on this kernel: every leaf is a pfifo.
func inLab(t *testing.T, body func(s *shaper), edit ...func(*lqosconf.Config)) {
	t.Helper()
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.Root, testenv.TC, testenv.BPF)
		body(newShaper(t, testenv.LabOptions{Queues: shaperQueues}, edit...))
	})
}

func newShaper(t *testing.T, options testenv.LabOptions, edit ...func(*lqosconf.Config)) *shaper {
	t.Helper()
	s := &shaper{lab: testenv.NewLab(t, options), stick: options.Stick || options.Trunk}
	dir := t.TempDir()
	c := lqosconf.Default()
	c.LqosDirectory, c.Bakery.StateDirectory, c.Bakery.Socket = dir, filepath.Join(dir, "state"), filepath.Join(dir, "bus")
	c.Bakery.Mode = lqosconf.ModeApply
	c.Queues.DefaultSQM = "pfifo"
	queues := options.Queues // a stick's are those of both directions
	c.Queues.OverrideAvailableQueues = &queues
	if s.stick {
		c.Bridge = nil
		c.SingleInterface = &lqosconf.SingleInterface{Interface: s.lab.ToInternet, InternetVLAN: testenv.InternetVLAN, NetworkVLAN: testenv.NetworkVLAN}
	} else {
		c.Bridge = &lqosconf.Bridge{ToInternet: s.lab.ToInternet, ToNetwork: s.lab.ToNetwork}
	}
	c.Bakery.BPFFS = ownBPFFS(t)
	if !options.TagsAside { // else the hosts keep nothing beside packets
		c.Bakery.CPURedirect = lqosconf.RedirectAlways
	}
	for _, change := range edit {
		change(&c)
	}
	text, err := c.TOML()
	if err != nil {
		t.Fatal(err)
	}
	s.field = &field{place: place{dir}, t: t, plain: true, conf: c, links: slices.Compact([]string{s.lab.ToInternet, s.lab.ToNetwork})}
	if err := os.WriteFile(s.config(), text, 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, "ip", "link", "add", "mark", "type", "veth", "peer", "name", peer("mark"))
	s.watch = newWatcher(t, "mark")
	return s
}

// ownBPFFS is a BPF file system that outlives a daemon, and ends with the test.
func ownBPFFS(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if err := unix.Mount("bpf", path, "bpf", 0, ""); err != nil {
		t.Fatalf("mounting a bpffs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return path
}

// labCircuit is a circuit of one subscriber of the lab, with the same ceil in both directions.
type labCircuit struct {
	n       int // of the subscriber
	ceil    float64
	sqm     string // "" for a pfifo that takes a tenth of a second to drain
	nobodys bool   // no address is mapped to it
}

// handle is its class. One circuit after the other takes the next queue.
func (s *shaper) handle(c labCircuit, upload bool) tc.Handle {
	major := uint16((c.n-1)%shaperQueues + 1)
	if s.stick && upload {
		major += shaperQueues
	}
	return tc.NewHandle(major, uint16(0x10+c.n))
}

func (s *shaper) linkOf(upload bool) string {
	if upload {
		return s.lab.ToInternet
	}
	return s.lab.ToNetwork
}

// network is a whole network, as clients send it.
func (s *shaper) network(circuits ...labCircuit) []golden.Request {
	list := []golden.Request{{Name: "BakeryMqSetup"}}
	for _, c := range circuits {
		for _, upload := range []bool{false, true} {
			list = append(append(list, s.class(c, upload)...), s.leaf(c, upload))
		}
		if !c.nobodys {
			list = append(list, s.mappings(c)...)
		}
	}
	return list
}

// labBurst is a little more than a tick of a virtual machine's kernel, 10 ms. So long its CPU may be with somebody else when HTB
// should send, also where the host of a test is such a machine, and HTB gives back no more of what it missed than the burst, by default one
// frame.
const labBurst = 12 * time.Millisecond

func (s *shaper) class(c labCircuit, upload bool) []golden.Request {
	h := s.handle(c, upload)
	bytes := int(c.ceil * 1e6 / 8 * labBurst.Seconds())
	burst := fmt.Sprintf("class change dev %s parent %x:1 classid %v htb rate %gmbit ceil %gmbit burst %d cburst %d prio 3 quantum 1522",
		s.linkOf(upload), h.Major(), h, c.ceil/2, c.ceil, bytes, bytes)
	return []golden.Request{
		s.request("BakeryAddCircuitHTBClass", map[string]any{"interface": s.linkOf(upload),
			"parent": fmt.Sprintf("0x%x:0x1", h.Major()), "classid": fmt.Sprintf("0x%x", h.Minor()), "rate_mbps": c.ceil / 2, "ceil_mbps": c.ceil,
			"circuit_hash": c.n, "comment": fmt.Sprintf("subscriber %d", c.n), "r2q": 10}),
		s.request("BakeryExecuteTCCommands", map[string]any{"commands": []string{burst}, "force_mode": false}), // only a tc line can say that
	}
}

func (s *shaper) leaf(c labCircuit, upload bool) golden.Request {
	h := s.handle(c, upload)
	sqm := c.sqm
	if sqm == "" {
		sqm = fmt.Sprintf("pfifo limit %d", max(50, int(c.ceil*10))) // frames of 1,500 bytes: 120 ms, and 5 Mbit/s twice that
	}
	return s.request("BakeryAddCircuitQdisc", map[string]any{"interface": s.linkOf(upload), "parent_major": h.Major(), "parent_minor": h.Minor(),
		"circuit_hash": c.n, "sqm_params": strings.Fields(sqm)})
}

func (s *shaper) mappings(c labCircuit) []golden.Request {
	var list []golden.Request
	for _, address := range []string{testenv.Subscriber(c.n).String(), testenv.Subscriber6(c.n).String()} {
		for _, upload := range []bool{false, true} {
			if upload && !s.stick {
				continue // on two links the one for downloads is for both
			}
			h := s.handle(c, upload)
			list = append(list, s.request("MapIpToFlow", map[string]any{"ip_address": address, "tc_handle": uint32(h), "cpu": h.Major() - 1, "upload": upload}))
		}
	}
	return list
}

func (s *shaper) request(name string, args map[string]any) golden.Request {
	s.t.Helper()
	text, err := json.Marshal(args)
	if err != nil {
		s.t.Fatal(err)
	}
	return golden.Request{Name: name, Args: text}
}

// sent is how many bytes each class of a link has sent.
func (s *shaper) sent(link string) map[tc.Handle]int64 {
	s.t.Helper()
	bytes := map[tc.Handle]int64{}
	var class tc.Handle
	for line := range strings.Lines(command(s.t, "tc", "-s", "class", "show", "dev", link)) {
		w := strings.Fields(line)
		switch {
		case len(w) > 2 && w[0] == "class":
			class = 0
			if w[1] == "htb" {
				var err error
				if class, err = tc.ParseHandle(w[2]); err != nil {
					s.t.Fatal(err)
				}
			}
		case len(w) > 1 && w[0] == "Sent" && class != 0:
			n, err := strconv.ParseInt(w[1], 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			bytes[class] += n
		}
	}
	return bytes
}

// tally is what the classes sent, and what the dataplane saw, since some moment.
type tally struct {
	s      *shaper
	before map[string]map[tc.Handle]int64
}

func (s *shaper) tally() tally {
	a := tally{s, map[string]map[tc.Handle]int64{}}
	for _, link := range s.links {
		a.before[link] = s.sent(link)
	}
	return a
}

// circuit is how many bytes a circuit's class of a direction sent.
func (a tally) circuit(c labCircuit, upload bool) int64 {
	a.s.t.Helper()
	link, h := a.s.linkOf(upload), a.s.handle(c, upload)
	return a.s.sent(link)[h] - a.before[link][h]
}

// defaults is how many bytes the default classes of all queues sent.
func (a tally) defaults() int64 {
	a.s.t.Helper()
	var sum int64
	for link, before := range a.before {
		for h, n := range a.s.sent(link) {
			if h.Minor() == 2 {
				sum += n - before[h]
			}
		}
	}
	return sum
}

// wantDefaultsIdle wants the default classes to have sent nothing but what the hosts say to find each other.
func (a tally) wantDefaultsIdle() {
	a.s.t.Helper()
	if n := a.defaults(); n > 100_000 {
		a.s.t.Errorf("the default classes sent %d bytes of what belongs to circuits", n)
	}
}

// logDataplane prints how packets were steered.
func (s *shaper) logDataplane() {
	s.t.Helper()
	var text strings.Builder
	s.status().Dataplane.rows(func(name, format string, args ...any) {
		fmt.Fprintf(&text, "%-14s "+format+"\n", append([]any{name}, args...)...)
	})
	s.t.Log("\n" + text.String())
}

// verdicts is how many packets a hook steered in a way, in both directions.
func (s *shaper) verdicts(hook, verdict string) (packets uint64) {
	s.t.Helper()
	d := s.status().Dataplane
	if d.Status == nil {
		s.t.Fatalf("dataplane: %s", d.State)
	}
	for _, v := range d.Verdicts {
		if v.Hook == hook && v.Verdict == verdict {
			packets += v.Packets
		}
	}
	return packets
}

// stream is a download of a circuit's subscriber.
func (c labCircuit) stream() testenv.Shaped {
	return testenv.Shaped{Stream: testenv.Stream{Subscriber: testenv.Subscriber(c.n), Time: 3 * time.Second}, Ceil: c.ceil}
}

// TestLabCeils measures circuits of 5, 20 and 100 Mbit/s, all of them at once: TCP and UDP, IPv4 and IPv6, up and down.
func TestLabCeils(t *testing.T) {
	inLab(t, func(s *shaper) {
		s.serve()
		for _, round := range []labRound{{}, {six: true}, {udp: true}, {udp: true, six: true}} {
			s.measureCeils(round)
		}
		s.wantSteered()
	})
}

// TestLabGeneric is TestLabCeils with generic XDP, which hands no packet to another CPU, whatever the configuration says.
func TestLabGeneric(t *testing.T) {
	inLab(t, func(s *shaper) {
		s.serve()
		s.measureCeils(labRound{})
		s.measureCeils(labRound{udp: true, six: true})
		s.logDataplane()
		if n := s.verdicts("ingress", "redirected"); n > 0 {
			t.Errorf("%d packets were handed to another CPU", n)
		}
		for _, l := range s.status().Dataplane.Links {
			if l.Ingress.Mode != xdp.Generic || l.Stays == "" {
				t.Errorf("%+v", l)
			}
		}
	}, func(c *lqosconf.Config) { c.Bakery.Dataplane = lqosconf.DataplaneGeneric })
}

// labRound says with what circuits are measured.
type labRound struct {
	udp bool
	six bool // downloads by IPv6 and uploads by IPv4; else the other way round
}

// measureCeils measures three circuits' downloads and three others' uploads: acknowledgements behind a full queue of the other
// direction would slow TCP down.
func (s *shaper) measureCeils(round labRound) {
	s.t.Helper()
	var circuits []labCircuit
	var streams []testenv.Shaped
	for i := range 6 {
		c := labCircuit{n: i + 1, ceil: []float64{5, 20, 100}[i%3]}
		p := c.stream()
		p.Upload = i >= 3
		if round.six != p.Upload {
			p.Subscriber = testenv.Subscriber6(c.n)
		}
		if round.udp {
			p.UDP = 1
		}
		circuits, streams = append(circuits, c), append(streams, p)
	}
	s.play(s.network(circuits...)) // once more changes nothing
	since := s.tally()
	s.lab.Measure(s.t, streams...)
	for i, c := range circuits {
		if got, want := since.circuit(c, streams[i].Upload), int64(c.ceil*1e6/8); got < want {
			s.t.Errorf("the class of %v sent %d bytes, want %d at least", streams[i].Stream, got, want)
		}
	}
	since.wantDefaultsIdle()
}

// wantSteered wants XDP to have handed packets to other CPUs, and what it found to have come to egress.
func (s *shaper) wantSteered() {
	s.t.Helper()
	s.logDataplane()
	if n := s.verdicts("ingress", "redirected"); n == 0 && runtime.NumCPU() > 1 {
		s.t.Error("no packet was handed to another CPU")
	}
	if n := s.verdicts("egress", "carried"); n == 0 {
		s.t.Error("no packet brought what XDP found to egress")
	}
}

// TestLabUnmapped has a subscriber whose circuit has no address: the default class takes his packets, as fast as they come. Then
// the address is mapped.
func TestLabUnmapped(t *testing.T) {
	inLab(t, func(s *shaper) {
		s.serve()
		c := labCircuit{n: 7, ceil: 5, nobodys: true}
		s.play(s.network(c))
		unmapped := testenv.Stream{Subscriber: testenv.Subscriber(c.n), Time: 2 * time.Second}
		upload := testenv.Stream{Subscriber: testenv.Subscriber6(c.n), Time: 2 * time.Second, Upload: true}
		since := s.tally()
		s.transferAtLeast(4*c.ceil, unmapped, upload)
		if down, up, n := since.circuit(c, false), since.circuit(c, true), since.defaults(); down+up > 0 || n < 2_000_000 {
			t.Errorf("the circuit's class sent %d and %d bytes without a mapping, the default class %d", down, up, n)
		}
		if n := s.verdicts("egress", "unknown"); n < 1000 {
			t.Errorf("only %d packets with an unknown address were counted", n)
		}

		s.play(s.mappings(c))
		since = s.tally()
		s.lab.Measure(t, c.stream())
		since.wantDefaultsIdle()
	})
}

// transferAtLeast makes streams that nothing shapes, and wants each to carry some Mbit/s, in one of five attempts: what else the
// machine does may disturb some.
func (s *shaper) transferAtLeast(least float64, streams ...testenv.Stream) {
	s.t.Helper()
	for attempt := 1; len(streams) > 0; attempt++ {
		list, err := s.lab.Transfer(s.t.Context(), streams...)
		if err != nil {
			s.t.Log(err)
		}
		var slow []testenv.Stream
		for i, r := range list {
			s.t.Logf("%v, unmapped: %.1f Mbit/s", streams[i], r.Goodput())
			if r.Goodput() < least {
				slow = append(slow, streams[i])
			}
		}
		if streams = slow; attempt == 5 && len(slow) > 0 {
			s.t.Fatalf("without a mapping %v never carried %.1f Mbit/s", slow, least)
		}
	}
}
