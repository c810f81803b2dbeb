package xdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// attached is a link of the layout with what we have there.
type attached struct {
	place
	index   int // 0 while the link isn't there
	ingress slot
	egress  slot
	queues  Queues
	spread  bool   // queues is of this link
	kind    string // of the link, see device
	tags    string // why the card may keep VLAN tags beside packets; "" if it doesn't
	shown   bool   // tags is of this link
	stays   string // why packets stay on their CPU
	failed  string // why it couldn't be looked at
}

// slot is a hook with what is tried there.
type slot struct {
	Hook
	again time.Time // it is not tried before
}

// The kinds of hooks.
const (
	kindXDP    = "xdp"
	kindTCX    = "tcx"
	kindClsact = "clsact"
)

// filterName is that of our filters.
const filterName = "lqosd"

// retryPause is how long a refusal to attach stands.
const retryPause = 5 * time.Second

// keep makes what is attached what the layout wants. It may be called again and again: it
// looks at what is there, and writes only what differs. Its error is one of a step.
func (p *Plane) keep() error {
	devices, whole := p.findLinks()
	if whole { // else what seems to be no more may only have escaped us
		p.releaseOthers()
	}
	for _, at := range p.layout.places() {
		d, looked := devices[at.link]
		a := p.attached[at.link]
		switch {
		case !looked:
			continue
		case a.index == 0:
			a.ingress.Why, a.egress.Why = errNoLink.Error(), errNoLink.Error()
			continue
		case !a.shown:
			p.showTags(a)
		}
		if err := p.keepXDP(a, d); err != nil {
			return err
		}
		if err := p.keepEgress(a); err != nil {
			return err
		}
		if !a.spread {
			p.chooseQueues(a)
		}
	}
	p.keepPins()
	if whole && p.moved {
		p.giveBack()
	}
	return nil
}

// findLinks looks which links of the layout are there. What was known of one stands, unless
// it has another index or role now, or couldn't be looked at: then it isn't among the devices, and they aren't whole.
func (p *Plane) findLinks() (devices map[string]device, whole bool) {
	was := p.attached
	p.attached = map[string]*attached{}
	devices = map[string]device{}
	for _, at := range p.layout.places() {
		d, err := p.seams.lookUp(at.link)
		a := was[at.link]
		if err == nil || errors.Is(err, errNoLink) {
			devices[at.link] = d
			p.attached[at.link] = p.found(a, at, d)
			continue
		}
		if a == nil || a.role != at.role {
			index := 0
			if a != nil {
				index = a.index
			}
			a = &attached{place: at, index: index}
			a.ingress.Why, a.egress.Why = err.Error(), err.Error()
			p.moved = true
		}
		if a.failed != err.Error() {
			p.options.Logger.Error("a link can't be looked at; what is there stays", "link", at.link, "error", err)
		}
		a.failed = err.Error()
		p.attached[at.link] = a
	}
	return devices, len(devices) == len(p.attached)
}

// found is what is known of a link that was looked at.
func (p *Plane) found(a *attached, at place, d device) *attached {
	if a == nil || a.role != at.role || a.index != d.index {
		a = &attached{place: at, index: d.index}
		p.moved = true
		if d.index == 0 {
			p.options.Logger.Warn("a link isn't there yet, or any more", "link", at.link, "role", at.role)
		} else {
			p.options.Logger.Info("a link is there", "link", at.link, "role", at.role, "index", d.index)
		}
	}
	a.failed, a.kind = "", d.kind
	if p.seams.cards {
		a.kind = ""
	}
	return a
}

// giveBack gives up what we changed on links that aren't in the layout any more.
func (p *Plane) giveBack() {
	_, err := p.directory.restoreQueues(p.indexes())
	_, err2 := p.directory.restoreTags(p.indexes())
	err = errors.Join(err, err2, p.removeFilters())
	if err == nil {
		p.moved, p.kept = false, ""
	} else if text := err.Error(); text != p.kept {
		p.options.Logger.Warn("what we changed on links that aren't in the layout any more can't be given back; it is tried again", "error", text)
		p.kept = text
	}
}

// indexes are those of the links that are there.
func (p *Plane) indexes() []int {
	var list []int
	for _, a := range p.attached {
		if a.index > 0 {
			list = append(list, a.index)
		}
	}
	return list
}

// pinName is that of the pin of a bpf_link.
func pinName(kind string, index int) string { return kind + "-" + strconv.Itoa(index) }

// releaseOthers detaches and unpins bpf_links that aren't wanted, of links that went or that
// the layout had before.
func (p *Plane) releaseOthers() {
	var wanted []string
	for _, index := range p.indexes() {
		wanted = append(wanted, pinName(kindXDP, index), pinName(kindTCX, index))
	}
	entries, err := os.ReadDir(p.directory.in(linksFolder))
	if err != nil {
		p.options.Logger.Error("pins can't be listed", "error", err)
		return
	}
	for _, e := range entries {
		if !slices.Contains(wanted, e.Name()) {
			p.release(e.Name())
		}
	}
	for name := range p.links { // whose pin somebody removed
		if !slices.Contains(wanted, name) {
			p.release(name)
		}
	}
}

// release detaches and unpins one.
func (p *Plane) release(name string) {
	l, err := p.openLink(name)
	if err == nil && l != nil {
		err = errors.Join(ignoring(l.Detach(), unix.ENOLINK, unix.ENODEV, link.ErrNotSupported), l.Close())
	}
	delete(p.links, name)
	err = errors.Join(err, ignoring(os.Remove(p.directory.in(linksFolder, name)), os.ErrNotExist))
	if err != nil {
		p.options.Logger.Error("a program can't be detached", "pin", name, "error", err)
	}
}

// ignoring is err, or nil for one of some.
func ignoring(err error, some ...error) error {
	if slices.ContainsFunc(some, func(s error) bool { return errors.Is(err, s) }) {
		return nil
	}
	return err
}

// openLink is the pinned bpf_link with a name, nil if there is none.
func (p *Plane) openLink(name string) (link.Link, error) {
	if l := p.links[name]; l != nil {
		return l, nil
	}
	l, err := link.LoadPinnedLink(p.directory.in(linksFolder, name), nil)
	if err != nil {
		return nil, ignoring(err, os.ErrNotExist)
	}
	p.links[name] = l
	return l, nil
}

// indexOf is the index of the link that a bpf_link is on, 0 if it is on none any more.
func indexOf(i *link.Info) int {
	if x := i.XDP(); x != nil {
		return int(x.Ifindex)
	}
	if t := i.TCX(); t != nil {
		return int(t.Ifindex)
	}
	return 0
}

// adopt takes the pinned bpf_link with a name over: it is on its link, and has this program,
// or gets it. It says whether there is such a one.
func (p *Plane) adopt(name string, index int, program *ebpf.Program) (there bool, err error) {
	id, err := idOf(program)
	if err != nil {
		return false, err
	}
	l, err := p.openLink(name)
	if err != nil || l == nil {
		return false, err
	}
	info, err := l.Info()
	switch {
	case err != nil:
		return false, err
	case indexOf(info) != index:
		p.options.Logger.Warn("somebody detached a program; it is attached again", "pin", name, "program", info.Program)
		p.release(name)
		return false, nil
	case info.Program == id:
		return true, nil
	}
	if err := l.Update(program); err != nil {
		p.options.Logger.Warn("a program can't be replaced; it is detached, and attached anew", "pin", name, "error", err)
		p.release(name)
		return false, nil
	}
	p.options.Logger.Info("program replaced", "pin", name, "was", info.Program, "is", id)
	return true, p.seams.step(name + " updated")
}

func idOf(program *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := program.Info()
	if err != nil {
		return 0, fmt.Errorf("asking for a program: %w", err)
	}
	id, _ := info.ID()
	return id, nil
}

// pin pins a new bpf_link.
func (p *Plane) pin(name string, l link.Link) error {
	p.links[name] = l
	if err := p.seams.step(name + " attached"); err != nil {
		return err
	}
	path := p.directory.in(linksFolder, name)
	err := l.Pin(path)
	if errors.Is(err, os.ErrExist) { // what adopt didn't take
		err = errors.Join(os.Remove(path), l.Pin(path))
	}
	if err != nil {
		p.options.Logger.Error("a program is attached, but not pinned: it goes when this process does", "pin", name, "error", err)
	}
	return p.seams.step(name + " pinned")
}

// took notes that a hook has its program, now or from before.
func (p *Plane) took(name string, h *slot, now Hook) {
	if h.Kind == "" {
		p.options.Logger.Info("program in place", "link", name, "hook", now.Kind, "mode", now.Mode, "program", now.Program)
		if now.Since.IsZero() {
			now.Since = time.Now()
		}
	} else if now.Since.IsZero() {
		now.Since = h.Since
	}
	h.Hook = now
}

// refused notes that a hook has no program, and says it once.
func (p *Plane) refused(a *attached, h *slot, why string) {
	if h.Why != why || h.Kind != "" {
		p.options.Logger.Error("a program can't be attached", "link", a.link, "reason", why)
	}
	*h = slot{Hook: Hook{Why: why}, again: time.Now().Add(retryPause)}
}

// since is when a pin was made.
func (p *Plane) since(name string) time.Time {
	st, err := os.Lstat(p.directory.in(linksFolder, name))
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// removeFilters removes our filters from links that the layout doesn't have, where there is no
// TCX, whose pins would tell.
func (p *Plane) removeFilters() error {
	if !p.noTCX || p.options.Filters == nil {
		return nil
	}
	links, err := net.Interfaces()
	errs := []error{err}
	for _, l := range links {
		if p.attached[l.Name] != nil {
			continue
		}
		if _, there, err := p.options.Filters.Egress(l.Name, filterName); err != nil || !there {
			continue // it went, or isn't ours
		}
		errs = append(errs, p.options.Filters.DetachEgress(l.Name, filterName))
	}
	return errors.Join(errs...)
}
