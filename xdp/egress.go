package xdp

import (
	"errors"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// keepEgress makes egress of a link have our program.
func (p *Plane) keepEgress(a *attached) error {
	program := p.objects.programs[a.role.leave()]
	if !p.noTCX {
		if err := p.keepTCX(a, program); err != nil || !p.noTCX {
			return err
		}
	}
	return p.keepClsact(a, program)
}

func (p *Plane) keepTCX(a *attached, program *ebpf.Program) error {
	name := pinName(kindTCX, a.index)
	there, err := p.adopt(name, a.index, program)
	if err != nil {
		return err
	}
	if !there {
		if time.Now().Before(a.egress.again) {
			return nil
		}
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: a.index, Program: program, Attach: ebpf.AttachTCXEgress,
			Anchor: link.Head(), // it lets the others have every packet, too
		})
		switch {
		case errors.Is(err, link.ErrNotSupported):
			p.noTCX = true
			return nil
		case err != nil:
			p.refused(a, &a.egress, permission(err).Error())
			return nil
		}
		if err := p.pin(name, l); err != nil {
			return err
		}
	}
	id, err := idOf(program)
	if err != nil {
		return err
	}
	p.took(a.link, &a.egress, Hook{Kind: kindTCX, Program: uint32(id), Since: p.since(name)})
	return nil
}

func (p *Plane) keepClsact(a *attached, program *ebpf.Program) error {
	if p.options.Filters == nil {
		p.refused(a, &a.egress, "the kernel has no TCX, and nobody makes filters")
		return nil
	}
	id, err := idOf(program)
	if err != nil {
		return err
	}
	was, there, err := p.options.Filters.Egress(a.link, filterName)
	if err == nil && !(there && was == uint32(id)) {
		if time.Now().Before(a.egress.again) {
			return nil
		}
		if a.egress.Kind != "" {
			p.options.Logger.Warn("somebody removed a filter; it is attached again", "link", a.link)
		}
		err = p.options.Filters.AttachEgress(a.link, program.FD(), filterName)
		if err == nil {
			if err := p.seams.step(pinName(kindClsact, a.index) + " attached"); err != nil {
				return err
			}
		}
	}
	if err != nil {
		p.refused(a, &a.egress, permission(err).Error())
		return nil
	}
	p.took(a.link, &a.egress, Hook{Kind: kindClsact, Program: uint32(id)})
	return nil
}
