package xdp

import (
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
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
	// Else links speak up by themselves.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
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

func (l lab) steer(p *Plane, set, drop []tc.Steer) {
	l.Helper()
	if err := p.Steer(l.Context(), set, drop); err != nil {
		l.Fatal(err)
	}
}

// mapsFolder is where the maps of a lab are pinned, if there is one version of them.
func (l lab) mapsFolder() string {
	l.Helper()
	found, err := filepath.Glob(filepath.Join(l.options.BPFFS, ourFolder, "*", "v*"))
	if err != nil || len(found) != 1 {
		l.Fatal("maps:", found, err)
	}
	return found[0]
}

// wantFolders wants so many folders with a prefix.
func (l lab) wantFolders(prefix string, want int) {
	l.Helper()
	found, err := filepath.Glob(filepath.Join(l.options.BPFFS, ourFolder, "*", prefix+"*"))
	if err != nil || len(found) != want {
		l.Error("folders:", found, err)
	}
}

func (l lab) wantSame(before, after map[string]uint32) {
	l.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		l.Errorf("ids changed:\n%s", diff)
	}
}

// wantSteers wants p to have these steers, which are sorted.
func (l lab) wantSteers(p *Plane, want []tc.Steer) {
	l.Helper()
	got, err := p.Steers(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	slices.SortFunc(got, tc.CompareSteers)
	if !slices.Equal(got, want) {
		l.Errorf("%d steers %v, want %d", len(got), got[:min(len(got), 5)], len(want))
	}
}

// wantAttached wants the programs of p on the links of its layout, as the kernel sees it, and egress of a kind.
func (l lab) wantAttached(p *Plane, egress string) {
	l.Helper()
	for _, at := range p.layout.places() {
		i := slices.IndexFunc(l.status(p).Links, func(s LinkStatus) bool { return s.Link == at.link })
		s := l.status(p).Links[i]
		if s.Role != at.role || s.Ingress.Kind != kindXDP || s.Egress.Kind != egress || s.Ingress.Since.IsZero() || s.Egress.Since.IsZero() {
			l.Errorf("%+v", s)
		}
		d, err := lookUp(at.link)
		enter := at.role.enter()
		if s.Stays != "" {
			enter = at.role.stay()
		}
		id, err2 := idOf(p.objects.programs[enter])
		if err != nil || err2 != nil || max(d.native, d.generic) != uint32(id) || s.Ingress.Program != uint32(id) {
			l.Errorf("link %s has %+v, want program %d; %v %v", at.link, d, id, err, err2)
		}
		if egress != kindTCX {
			continue
		}
		programs, err := link.QueryPrograms(link.QueryOptions{Target: d.index, Attach: ebpf.AttachTCXEgress})
		id, err2 = idOf(p.objects.programs[at.role.leave()])
		if err != nil || err2 != nil || len(programs.Programs) != 1 || programs.Programs[0].ID != id {
			l.Errorf("link %s has %+v at egress, want program %d; %v %v", at.link, programs, id, err, err2)
		}
	}
}

// wantGone wants the kernel to have none of what state told; it removes some of it a moment later.
func (l lab) wantGone(ids map[string]uint32) {
	l.Helper()
	l.eventually("all is gone", func() bool {
		for name, id := range ids {
			var err error
			var closer io.Closer
			switch kind, _, _ := strings.Cut(name, " "); kind {
			case "map":
				closer, err = ebpf.NewMapFromID(ebpf.MapID(id))
			case "program":
				closer, err = ebpf.NewProgramFromID(ebpf.ProgramID(id))
			case "link":
				closer, err = link.NewFromID(link.ID(id))
			}
			if err == nil {
				_ = closer.Close()
				return false
			}
		}
		return true
	})
}

// eventually waits until something is so.
func (l lab) eventually(what string, so func() bool) {
	l.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			l.Fatal("not so: " + what)
		}
	}
}

var someSteers = []tc.Steer{
	{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Class: 0x10004, CPU: 0, Circuit: 7},
	{Prefix: netip.MustParsePrefix("2001:db8::/64"), Class: 0x10005, CPU: 1, Circuit: 1<<63 + 8},
	{Prefix: netip.MustParsePrefix("100.64.0.1/32"), Upload: true, Class: 0x20004, CPU: 1, Circuit: 7},
}
