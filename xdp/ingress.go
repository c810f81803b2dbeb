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
	name := pinName(kindXDP, a.index)
	if m := p.options.Mode; m != Auto && a.ingress.Kind == "" && p.otherMode(name, d) {
		p.release(name)
	}
	program := p.entrance(a, p.modeOf(name, d))
	there, err := p.adopt(name, a.index, program)
	if err != nil {
		return err
	}
	if !there {
		if program = p.attachXDP(a, name); program == nil {
			a.stays = ""
			return nil
		}
		if err := p.pin(name, p.links[name]); err != nil {
			return err
		}
	}
	return p.tookXDP(a, program, name)
}

// entrance is the program for a link in a mode, and notes why its packets stay on their CPU.
func (p *Plane) entrance(a *attached, m Mode) *ebpf.Program {
	a.stays = p.whyStay(a, m)
	if a.stays != "" {
		return p.objects.programs[a.role.stay()]
	}
	return p.objects.programs[a.role.enter()]
}

// whyStay is why packets of a link must stay on their CPU, "" if they may move.
func (p *Plane) whyStay(a *attached, m Mode) string {
	switch {
	case p.options.Redirect == RedirectNever:
		return "the configuration says so"
	case m != Native:
		return "generic XDP breaks packets that it hands to another CPU"
	case p.options.Redirect == RedirectAlways:
		return ""
	case a.kind == "veth" || a.kind == "tun":
		return "a " + a.kind + "'s peer may keep VLAN tags and checksums beside the packet"
	case a.kind != "":
		return "what is below a " + a.kind + " may keep VLAN tags beside the packet"
	}
	return a.tags
}

// otherMode reports whether the bpf_link with a name is attached in another mode than is asked for.
func (p *Plane) otherMode(name string, d device) bool {
	mode := p.modeOf(name, d)
	return mode != Auto && mode != p.options.Mode
}

// modeOf is how the bpf_link with a name is attached; Auto if that isn't known.
func (p *Plane) modeOf(name string, d device) Mode {
	l, err := p.openLink(name)
	if err != nil || l == nil {
		return Auto
	}
	info, err := l.Info()
	if err != nil {
		return Auto
	}
	return d.mode(info.Program)
}

// attachXDP attaches, natively if it can be, and gives the program; nil if it didn't.
func (p *Plane) attachXDP(a *attached, name string) *ebpf.Program {
	if time.Now().Before(a.ingress.again) {
		return nil
	}
	modes := []Mode{p.options.Mode}
	if p.options.Mode == Auto {
		modes = []Mode{Native, Generic}
	}
	var refusal error
	for _, mode := range modes {
		flags := map[Mode]link.XDPAttachFlags{Native: link.XDPDriverMode, Generic: link.XDPGenericMode}[mode]
		program := p.entrance(a, mode)
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: a.index, Flags: flags})
		if err == nil {
			p.links[name] = l
			if refusal != nil {
				a.ingress.Fallback = refusal.Error()
			}
			return program
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
	return nil
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
