package kernel

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errTorn is a dump that isn't of one moment.
var errTorn = errors.New("somebody changed it meanwhile")

// dump asks for all qdiscs (typ RTM_GETQDISC), or all classes (RTM_GETTCLASS) of the qdisc that
// is of's parent on the link with of's index, and calls visit for each.
func dump(in mailbox, typ netlink.HeaderType, of header, visit func(object) error) error {
	sent, err := in.send([]netlink.Message{{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump},
		Data:   of.append(nil),
	}})
	if err != nil {
		return fmt.Errorf("asking for a dump: %w", err)
	}
	var failure error
	lost, err := in.read(true, func(m netlink.Message) (all bool) {
		if m.Header.Sequence != sent {
			return false
		}
		all, failure = part(m, visit)
		return all || failure != nil
	})
	if lost && err == nil {
		err = unix.ENOBUFS
	}
	if err = errors.Join(err, failure); err != nil {
		return fmt.Errorf("reading a dump: %w", err)
	}
	return nil
}

// part takes one message of a dump, and reports whether it is the last.
func part(m netlink.Message, visit func(object) error) (last bool, err error) {
	switch {
	case m.Header.Flags&netlink.DumpInterrupted != 0:
		return false, errTorn
	case m.Header.Type == netlink.Done || m.Header.Type == netlink.Error:
		errno, text := verdict(m)
		if errno != 0 {
			return true, fmt.Errorf("%w: %s", errno, text)
		}
		return true, nil
	}
	o, err := readObject(m.Data)
	if err != nil {
		return false, err
	}
	return false, visit(o)
}

// passing reports whether an error of a dump may be gone at the next try: it was torn, or
// something was short of memory or time.
func passing(err error) bool {
	for _, e := range []error{errTorn, unix.EINTR, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EBUSY} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// touched reports whether notices of changes to the links with these indexes have come to a
// socket that listens to RTNLGRP_TC, or were lost. It doesn't wait for any: the kernel sends
// them before it lets a dump go on, for it holds the RTNL lock for both.
func touched(in mailbox, indexes map[int]string) (bool, error) {
	found := false
	lost, err := in.read(false, func(m netlink.Message) bool {
		found = isTC(m.Header.Type) && concerns(m.Data, indexes)
		return found
	})
	return found || lost, err
}

// concerns reports whether a notice is about one of the links.
func concerns(b []byte, indexes map[int]string) bool {
	h, err := readHeader(b)
	_, ours := indexes[h.index]
	return err == nil && ours
}

// isTC reports whether a notice is about a qdisc or a class; RTNLGRP_TC has filters too.
func isTC(typ netlink.HeaderType) bool {
	switch typ {
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS:
		return true
	}
	return false
}
