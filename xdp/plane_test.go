package xdp

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
	"lqosd/internal/testenv"
)

// lab is a network namespace with the links v0 and v1, of two queues, their peers p0 and p1, and
// a bpffs of its own.
type lab struct {
	*testing.T
	options Options
	seams   seams
}

// twoLinks is the layout of a lab.
var twoLinks = Layout{Internet: "v0", Network: "v1"}

// inLab runs body in a lab. Descriptors and goroutines that body leaves fail t.
func inLab(t *testing.T, body func(lab)) {
	t.Helper()
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.Root, testenv.BPF)
		body(newLab(t))
	})
}

// newLab makes the lab where t runs. The bpffs goes with the mount namespace of the test.
func newLab(t *testing.T) lab {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	testenv.NoLeakedFDs(t)
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	for _, l := range []string{"0", "1"} {
		addLink(t, l)
	}
	bpf := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(bpf, unix.MNT_DETACH) }) // a bpffs that Open has mounted
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	return lab{T: t, options: Options{Layout: twoLinks, BPFFS: bpf, Logger: log}, seams: defaultSeams()}
}

// addLink makes v0 and p0, for "0".
func addLink(t testing.TB, number string) {
	t.Helper()
	run(t, "ip", "link", "add", "v"+number, "numtxqueues", "2", "numrxqueues", "2", "type", "veth", "peer", "name", "p"+number)
	run(t, "ip", "link", "set", "v"+number, "up")
	run(t, "ip", "link", "set", "p"+number, "up")
}

// run runs a program and returns what it prints.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// open opens a Plane.
func (l lab) open() *Plane {
	l.Helper()
	p, err := open(l.Context(), l.options, l.seams)
	if err != nil {
		l.Fatal(err)
	}
	return p
}

func (l lab) close(p *Plane) {
	l.Helper()
	if err := p.Close(); err != nil {
		l.Fatal(err)
	}
}

// state is what may not change without need: ids of maps, programs and bpf_links.
func (l lab) state(p *Plane) map[string]uint32 {
	l.Helper()
	ids := map[string]uint32{}
	for name, m := range p.objects.maps {
		info, err := m.Info()
		if err != nil {
			l.Fatal(err)
		}
		id, _ := info.ID()
		ids["map "+name] = uint32(id)
	}
	for name, program := range p.objects.programs {
		id, err := idOf(program)
		if err != nil {
			l.Fatal(err)
		}
		ids["program "+name] = uint32(id)
	}
	for name, b := range p.links {
		info, err := b.Info()
		if err != nil {
			l.Fatal(err)
		}
		ids["link "+name] = uint32(info.ID)
		ids["program on "+name] = uint32(info.Program)
	}
	return ids
}

// status is that of p.
func (l lab) status(p *Plane) Status {
	l.Helper()
	s, err := p.Status(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	return s
}

// steers are those of p, sorted.
func (l lab) steers(p *Plane) []tc.Steer {
	l.Helper()
	s, err := p.Steers(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	slices.SortFunc(s, tc.CompareSteers)
	return s
}

var someSteers = []tc.Steer{
	{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 0x10004, CPU: 0, Circuit: 7},
	{Prefix: netip.MustParsePrefix("2001:db8::/64"), Class: 0x10005, CPU: 1, Circuit: 1<<63 + 8},
	{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Upload: true, Class: 0x20004, CPU: 1, Circuit: 7},
}

// TestReopen: who opens a Plane again finds all as it was, and writes nothing.
func TestReopen(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		for _, s := range l.status(p).Links {
			if s.Ingress.Kind != kindXDP || s.Egress.Kind != kindTCX {
				l.Fatalf("%+v", s)
			}
		}
		if err := p.Steer(l.Context(), someSteers, nil); err != nil {
			l.Fatal(err)
		}
		before := l.state(p)
		l.close(p)
		p = l.open()
		defer l.close(p)
		if diff := cmp.Diff(before, l.state(p)); diff != "" {
			l.Errorf("ids changed:\n%s", diff)
		}
		if diff := cmp.Diff(someSteers, l.steers(p), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			l.Errorf("steers changed:\n%s", diff)
		}
		if n := l.status(p).Writes; n != 0 {
			l.Errorf("%d entries were written", n)
		}
	})
}

// TestDetach: nothing is left.
func TestDetach(t *testing.T) {
	inLab(t, func(l lab) {
		if removed, err := Detach(l.options); len(removed) > 0 || err != nil {
			l.Fatal(removed, err)
		}
		l.close(l.open())
		removed, err := Detach(l.options)
		if err != nil {
			l.Fatal(err)
		}
		l.Log(strings.Join(removed, "\n"))
		if _, err := os.Stat(l.options.BPFFS + "/" + ourFolder); !os.IsNotExist(err) {
			l.Error("pins are left:", err)
		}
		if _, err := Look(context.Background(), l.options); err == nil {
			l.Error("Look found something")
		}
	})
}
