package xdp

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// removeOrphans detaches programs of ours that another bpffs keeps on the links of a layout: of a daemon that had
// another one configured, or that was started where it couldn't find ours. They would go on steering by maps that
// nobody writes any more. The lock of the directory says nothing about them; who runs two daemons with two bpffs in one
// network namespace gets what he asks for.
func (p *Plane) removeOrphans(l Layout) {
	for _, at := range l.places() {
		d, err := lookUp(at.link)
		if err != nil {
			continue // nothing is on it, or keep says it
		}
		for _, id := range p.orphansOn(d) {
			if err := detachEverywhere(id, d.index); err != nil {
				p.options.Logger.Error("a program of another bpffs can't be detached", "link", at.link, "program", id, "error", err)
				continue
			}
			p.options.Logger.Warn("a program that another bpffs keeps was detached", "link", at.link, "program", id)
		}
	}
}

// orphansOn are the programs on a link that have the names of ours, and aren't those of any pin of our directory.
func (p *Plane) orphansOn(d device) []ebpf.ProgramID {
	ids := []ebpf.ProgramID{ebpf.ProgramID(d.native), ebpf.ProgramID(d.generic)}
	if r, err := link.QueryPrograms(link.QueryOptions{Target: d.index, Attach: ebpf.AttachTCXEgress}); err == nil {
		for _, a := range r.Programs {
			ids = append(ids, a.ID)
		}
	}
	pinned := p.pinnedPrograms()
	return slices.DeleteFunc(ids, func(id ebpf.ProgramID) bool {
		return id == 0 || slices.Contains(pinned, id) || !isNamedLikeOurs(id)
	})
}

// pinnedPrograms are the programs of our pinned bpf_links.
func (p *Plane) pinnedPrograms() []ebpf.ProgramID {
	var ids []ebpf.ProgramID
	entries, err := os.ReadDir(p.directory.in(linksFolder))
	if err != nil {
		return nil // there is none yet
	}
	for _, e := range entries {
		if l, err := p.openLink(e.Name()); err == nil && l != nil {
			if info, err := l.Info(); err == nil {
				ids = append(ids, info.Program)
			}
		}
	}
	return ids
}

// isNamedLikeOurs reports a program whose name is that of one of ours.
func isNamedLikeOurs(id ebpf.ProgramID) bool {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return false
	}
	defer func() { _ = program.Close() }()
	info, err := program.Info()
	if err != nil {
		return false
	}
	for _, r := range []Role{Internet, Network, Stick} {
		if slices.Contains([]string{r.enter(), r.stay(), r.leave()}, info.Name) {
			return true
		}
	}
	return false
}

// detachEverywhere detaches the bpf_links of a program on a link.
func detachEverywhere(id ebpf.ProgramID, index int) error {
	var links link.Iterator
	defer links.Close()
	n := 0
	for links.Next() {
		info, err := links.Link.Info()
		if err != nil || info.Program != id || indexOf(info) != index {
			continue
		}
		if err := links.Link.Detach(); err != nil {
			return fmt.Errorf("bpf_link %d: %w", info.ID, err)
		}
		n++
	}
	if err := links.Err(); err != nil || n > 0 {
		return err
	}
	return errors.New("no bpf_link has it")
}
