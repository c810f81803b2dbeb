package kernel

import (
	"errors"
	"fmt"

	link "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Our filter at egress of a link: one that has these in common is ours, if it also has the name.
// A fixed handle makes replacing one message, which cls_bpf carries out at once (cls_bpf_change
// in net/sched/cls_bpf.c). The priority is before those that the kernel gives by itself,
// which start at 49152.
const (
	egressPriority = 'l'
	egressHandle   = 'l'<<24 | 'q'<<16 | 'o'<<8 | 's'
)

// EgressFilters attaches programs to the egress of links: filters of kind bpf with direct
// action at a clsact qdisc. That is for kernels without TCX, before 6.6.
type EgressFilters struct{}

// AttachEgress puts the program with a descriptor in our filter on a link, and makes filter
// and clsact if they aren't there. A filter that is there gets the program at once.
func (EgressFilters) AttachEgress(name string, program int, title string) error {
	l, err := link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("attaching to egress of link %s: %w", name, err)
	}
	if err := makeClsact(l); err != nil {
		return fmt.Errorf("making clsact on link %s: %w", name, err)
	}
	f := &link.BpfFilter{FilterAttrs: egressAttributes(l), Fd: program, Name: title, DirectAction: true}
	if err := link.FilterReplace(f); err != nil {
		return fmt.Errorf("attaching to egress of link %s: %w", name, err)
	}
	return nil
}

// DetachEgress removes our filter from a link, and clsact if there is nothing else in it.
func (f EgressFilters) DetachEgress(name, title string) error {
	_, there, err := f.Egress(name, title)
	if err != nil || !there {
		return err
	}
	l, err := link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("detaching from egress of link %s: %w", name, err)
	}
	if err := link.FilterDel(&link.BpfFilter{FilterAttrs: egressAttributes(l)}); err != nil {
		return fmt.Errorf("detaching from egress of link %s: %w", name, err)
	}
	if err := removeEmptyClsact(l); err != nil {
		return fmt.Errorf("removing clsact from link %s: %w", name, err)
	}
	return nil
}

// Egress is the id of the program in our filter on a link, if there is one.
func (EgressFilters) Egress(name, title string) (program uint32, there bool, err error) {
	l, err := link.LinkByName(name)
	if errors.As(err, new(link.LinkNotFoundError)) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("looking at egress of link %s: %w", name, err)
	}
	// Not by way of the qdiscs: a link may have thousands. Without clsact the kernel knows of no filter.
	filters, err := link.FilterList(l, link.HANDLE_MIN_EGRESS)
	if err != nil {
		return 0, false, fmt.Errorf("looking at egress of link %s: %w", name, err)
	}
	for _, f := range filters {
		b, ok := f.(*link.BpfFilter)
		if ok && b.Priority == egressPriority && b.Handle == egressHandle && b.Name == title {
			return uint32(b.Id), true, nil
		}
	}
	return 0, false, nil
}

// egressAttributes are where our filter is.
func egressAttributes(l link.Link) link.FilterAttrs {
	return link.FilterAttrs{
		LinkIndex: l.Attrs().Index, Parent: link.HANDLE_MIN_EGRESS,
		Handle: egressHandle, Priority: egressPriority, Protocol: unix.ETH_P_ALL,
	}
}

// clsact is the qdisc whose filters see what comes in and what goes out.
func clsact(l link.Link) *link.Clsact {
	return &link.Clsact{QdiscAttrs: link.QdiscAttrs{
		LinkIndex: l.Attrs().Index, Handle: link.MakeHandle(0xffff, 0), Parent: link.HANDLE_CLSACT,
	}}
}

func makeClsact(l link.Link) error {
	there, err := hasClsact(l)
	if err != nil || there {
		return err
	}
	err = link.QdiscAdd(clsact(l))
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if there, err := hasClsact(l); err != nil || there { // somebody was faster
		return err
	}
	return fmt.Errorf("an ingress qdisc is in its place, which has no egress: %w", err)
}

func hasClsact(l link.Link) (bool, error) {
	qdiscs, err := link.QdiscList(l)
	if err != nil {
		return false, err
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent == link.HANDLE_CLSACT && q.Type() == "clsact" {
			return true, nil
		}
	}
	return false, nil
}

// removeEmptyClsact removes clsact, if nobody has a filter in it.
func removeEmptyClsact(l link.Link) error {
	for _, parent := range []uint32{link.HANDLE_MIN_INGRESS, link.HANDLE_MIN_EGRESS} {
		if filters, err := filtersAt(l, parent); err != nil || len(filters) > 0 {
			return err
		}
	}
	return link.QdiscDel(clsact(l))
}

// filtersAt lists the filters at one of the two sides of clsact. Without clsact there is none.
func filtersAt(l link.Link, parent uint32) ([]link.Filter, error) {
	there, err := hasClsact(l)
	if err != nil || !there {
		return nil, err
	}
	return link.FilterList(l, parent)
}
