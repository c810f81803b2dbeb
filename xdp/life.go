package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// A bpf_link to a network namespace doesn't keep it alive, and has no inode of it any more when it has ended
// (bpf_netns_link_fill_info in kernel/bpf/net_namespace.c, since Linux 5.8). One of them is pinned in each directory, to tell. Its
// program is asked where a packet for this host finds its socket, and has nothing to say.

// lifePin is its name.
const lifePin = "namespace"

// markLife pins it, if it isn't there.
func (d *directory) markLife() (err error) {
	path := d.in(lifePin)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "says_nothing", Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}, // SK_PASS
	})
	if err != nil {
		return fmt.Errorf("loading a program that tells whether a network namespace lives: %w", err)
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	namespace, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, namespace.Close()) }()
	l, err := link.AttachNetNs(int(namespace.Fd()), program)
	if err != nil {
		return fmt.Errorf("attaching to the network namespace: %w", err)
	}
	return errors.Join(l.Pin(path), l.Close())
}

// lives reports whether the network namespace of the directory at path does; errUnknown if nothing there tells.
func lives(path string) (bool, error) {
	l, err := link.LoadPinnedLink(filepath.Join(path, lifePin), nil)
	if errors.Is(err, os.ErrNotExist) {
		return false, errUnknown
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = l.Close() }()
	info, err := l.Info()
	if err != nil {
		return false, err
	}
	n := info.NetNs()
	if n == nil {
		return false, errUnknown
	}
	return n.NetnsInode != 0, nil
}

var errUnknown = errors.New("nothing tells whether it lives")
