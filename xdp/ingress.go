package xdp

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// keepXDP makes XDP of a link have our program.
func (p *Plane) keepXDP(a *attached, d device) error {
	program := p.objects.programs[a.role.enter()]
	name := pinName(kindXDP, a.index)
	if m := p.options.Mode; m != Auto && a.ingress.Kind == "" && p.otherMode(name, d) {
		p.release(name)
	}
	there, err := p.adopt(name, a.index, program)
	if err != nil {
		return err
	}
	if !there && !p.attachXDP(a, program, name) {
		return nil
	}
	if !there {
		if err := p.pin(name, p.links[name]); err != nil {
			return err
		}
	}
	return p.tookXDP(a, program, name)
}

// otherMode reports whether the bpf_link with a name is attached in another mode than is asked for.
func (p *Plane) otherMode(name string, d device) bool {
	l, err := p.openLink(name)
	if err != nil || l == nil {
		return false
	}
	info, err := l.Info()
	if err != nil {
		return false
	}
	mode := d.mode(info.Program)
	return mode != Auto && mode != p.options.Mode
}

// attachXDP attaches, natively if it can be, and reports whether it did.
func (p *Plane) attachXDP(a *attached, program *ebpf.Program, name string) bool {
	if time.Now().Before(a.ingress.again) {
		return false
	}
	modes := map[Mode][]link.XDPAttachFlags{
		Auto:    {link.XDPDriverMode, link.XDPGenericMode},
		Native:  {link.XDPDriverMode},
		Generic: {link.XDPGenericMode},
	}
	var refusal error
	for _, flags := range modes[p.options.Mode] {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: a.index, Flags: flags})
		if err == nil {
			p.links[name] = l
			if refusal != nil {
				a.ingress.Fallback = refusal.Error()
			}
			return true
		}
		if refusal == nil {
			refusal = err
		}
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			refusal = fmt.Errorf("another's XDP program is there, %s: %w", foreign(a.link), err)
			break
		}
	}
	p.refused(a, &a.ingress, permission(refusal).Error())
	return false
}

// foreign is what XDP program is on a link.
func foreign(name string) string {
	d, err := lookUp(name)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("with id %d", max(d.native, d.generic))
}

// tookXDP notes what XDP of a link has.
func (p *Plane) tookXDP(a *attached, program *ebpf.Program, name string) error {
	id, err := idOf(program)
	if err != nil {
		return err
	}
	if a.ingress.Kind != "" && a.ingress.Program == uint32(id) && a.ingress.Since.Equal(p.since(name)) {
		return nil
	}
	d, err := lookUp(a.link)
	if err != nil {
		return ignoring(err, errNoLink) // it has just gone: the next look will say
	}
	now := Hook{Kind: kindXDP, Mode: d.mode(id), Program: uint32(id), Since: p.since(name), Fallback: a.ingress.Fallback}
	if now.Mode == Generic && p.options.Mode == Auto && now.Fallback == "" {
		now.Fallback = "an earlier process chose it, and its log says why"
	}
	p.took(a.link, &a.ingress, now)
	return nil
}
