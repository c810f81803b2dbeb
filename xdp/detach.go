package xdp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Detach removes programs, filters, maps and pins of this network namespace, and gives the tx
// queues back to XPS. It says what it removed: nothing, if nothing was there. It is
// ErrInUse while a process has a Plane open.
func Detach(o Options) (removed []string, err error) {
	d, err := openDirectory(search{explicit: o.BPFFS})
	switch {
	case errors.Is(err, ErrNotThere):
	case err != nil:
		return nil, fmt.Errorf("detaching: %w", err)
	default:
		removed, err = d.detach()
		err = errors.Join(err, d.Close())
	}
	if errors.Is(err, ErrNotThere) {
		err = nil
	}
	if o.Filters != nil { // they are there without pins, too
		gone, failed := detachFilters(o.Filters)
		removed, err = append(removed, gone...), errors.Join(err, failed)
	}
	if err != nil {
		return removed, fmt.Errorf("detaching: %w", permission(err))
	}
	return removed, nil
}

// detach removes the directory with all in it, the links first.
func (d *directory) detach() (removed []string, err error) {
	var errs []error
	entries, err := os.ReadDir(d.in(linksFolder))
	errs = append(errs, err)
	for _, e := range entries {
		did, err := detachLink(d.in(linksFolder, e.Name()))
		removed, errs = append(removed, did), append(errs, err)
	}
	for _, restore := range []func([]int) ([]string, error){d.restoreQueues, d.restoreTags} {
		restored, err := restore(nil)
		removed, errs = append(removed, restored...), append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return removed, err
	}
	if err := remove(d.path); err != nil {
		return removed, err
	}
	_ = os.Remove(filepath.Dir(d.path)) // unless another network namespace has pins in it
	return append(removed, "maps and programs in "+d.shown()), nil
}

// detachLink detaches a pinned bpf_link.
func detachLink(path string) (did string, err error) {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	info, err := l.Info()
	if err != nil {
		return "", err
	}
	where := "a link that is gone"
	if there, err := net.InterfaceByIndex(indexOf(info)); err == nil {
		where = there.Name
	}
	did = fmt.Sprintf("program %d at %s of %s", info.Program, filepath.Base(path), where)
	return did, errors.Join(ignoring(l.Detach(), unix.ENOLINK, unix.ENODEV), os.Remove(path))
}

// detachFilters removes our filters from all links of this network namespace.
func detachFilters(filters Filters) (removed []string, err error) {
	links, err := net.Interfaces()
	errs := []error{err}
	for _, l := range links {
		program, there, err := filters.Egress(l.Name, filterName)
		if err == nil && there {
			err = filters.DetachEgress(l.Name, filterName)
			removed = append(removed, fmt.Sprintf("program %d at clsact of %s", program, l.Name))
		}
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}
