package xdp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// TestAnotherBPFFS: what another bpffs keeps on the links goes when ours comes, and what isn't of our making stays.
func TestAnotherBPFFS(t *testing.T) {
	inLab(t, func(l lab) {
		first := l.options.BPFFS
		p := l.open()
		l.close(p)
		l.options.BPFFS = l.TempDir()
		l.Cleanup(func() { _ = unix.Unmount(l.options.BPFFS, unix.MNT_DETACH) })
		p = l.open()
		defer l.close(p)
		l.wantAttached(p, kindTCX)
		ours := l.pinned(p)
		for _, at := range twoLinks.places() {
			d, err := lookUp(at.link)
			if err != nil {
				l.Fatal(err)
			}
			r, err := link.QueryPrograms(link.QueryOptions{Target: d.index, Attach: ebpf.AttachTCXEgress})
			if err != nil || len(r.Programs) != 1 || !slices.Contains(ours, r.Programs[0].ID) || !slices.Contains(ours, ebpf.ProgramID(d.native)) {
				l.Errorf("%s: %+v and XDP %d, want those of %v (%v)", at.link, r, d.native, ours, err)
			}
		}
		// The way back is the same.
		back := l
		back.options.BPFFS = first
		q := back.open()
		l.wantAttached(q, kindTCX)
		l.close(q)
	})
}

// pinned are the programs of p's bpf_links.
func (l lab) pinned(p *Plane) []ebpf.ProgramID {
	l.Helper()
	p.attaching.Lock()
	defer p.attaching.Unlock()
	return p.pinnedPrograms()
}

// TestBPFFSFolder: a folder with something in it isn't mounted over.
func TestBPFFSFolder(t *testing.T) {
	inLab(t, func(l lab) {
		l.options.BPFFS = l.TempDir()
		if err := os.WriteFile(filepath.Join(l.options.BPFFS, "something"), nil, 0o600); err != nil {
			l.Fatal(err)
		}
		if p, err := Open(l.Context(), l.options); err == nil || !strings.Contains(err.Error(), "is no bpffs, and isn't empty") {
			l.Errorf("%v", err)
			if p != nil {
				l.close(p)
			}
		}
	})
}
