package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errTorn is a dump that isn't of one moment.
var errTorn = errors.New("somebody changed it meanwhile")

// dump asks for all qdiscs (typ RTM_GETQDISC) or all classes of the link with an index
// (RTM_GETTCLASS) and calls visit for each.
func dump(ctx context.Context, conn *netlink.Conn, typ netlink.HeaderType, index int, visit func(object) error) error {
	sent, err := conn.Send(netlink.Message{
		Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump},
		Data:   header{index: index}.append(nil),
	})
	if err != nil {
		return fmt.Errorf("asking for a dump: %w", err)
	}
	for m, err := range conn.ReceiveIter() {
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("receiving a dump: %w", err)
		case m.Header.Sequence != sent.Header.Sequence:
			continue
		case m.Header.Flags&netlink.DumpInterrupted != 0:
			return errTorn
		}
		o, err := readObject(m.Data)
		if err == nil {
			err = visit(o)
		}
		if err != nil {
			return fmt.Errorf("reading a dump: %w", err)
		}
	}
	return nil
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

// touched reports whether notices of changes to the links with these indexes are waiting on
// conn, which listens to RTNLGRP_TC, or were lost. It doesn't wait for any: the kernel sends
// them before it lets a dump go on, for it holds the RTNL lock for both.
func touched(conn *netlink.Conn, indexes map[int]string) (bool, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, err
	}
	found := false
	buffer := make([]byte, receiveSize)
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := unix.Recvfrom(int(fd), buffer, unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return true
			case errors.Is(err, unix.ENOBUFS):
				found = true
			case err != nil && !errors.Is(err, unix.EINTR):
				failure = err
				return true
			case err == nil:
				found = found || notice(buffer[:n], indexes)
			}
		}
	})
	return found, errors.Join(err, failure)
}

// notice reports whether a datagram is about a qdisc or class of one of the links.
func notice(b []byte, indexes map[int]string) bool {
	var m netlink.Message
	if err := m.UnmarshalBinary(b[:len(b)&^3]); err != nil || !isTC(m.Header.Type) {
		return false
	}
	h, err := readHeader(m.Data)
	if err != nil {
		return false
	}
	_, ours := indexes[h.index]
	return ours
}

// isTC reports whether a notice is about a qdisc or a class; RTNLGRP_TC has filters too.
func isTC(typ netlink.HeaderType) bool {
	switch typ {
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS:
		return true
	}
	return false
}
