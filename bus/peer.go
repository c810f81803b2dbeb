package bus

import (
	"errors"
	"fmt"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process at the other end, as the kernel saw it when it connected: SO_PEERCRED and SO_PEERGROUPS, unix(7)
// and socket(7). The ids are those of this user namespace.
type Peer struct {
	PID      int32
	UID, GID uint32
	Groups   []uint32 // supplementary groups; GID is not necessarily among them
}

// In reports whether gid is the group of the peer, or one of its supplementary groups.
func (p Peer) In(gid uint32) bool {
	if p.GID == gid {
		return true
	}
	for _, g := range p.Groups {
		if g == gid {
			return true
		}
	}
	return false
}

// peerOf asks the kernel who is at the other end of a unix socket.
func peerOf(nc net.Conn) (Peer, error) {
	sc, ok := nc.(*net.UnixConn)
	if !ok {
		return Peer{}, fmt.Errorf("asking for the peer: %T is not a unix socket", nc)
	}
	conn, err := sc.SyscallConn()
	if err != nil {
		return Peer{}, fmt.Errorf("asking for the peer: %w", err)
	}
	var peer Peer
	var asked error
	err = conn.Control(func(fd uintptr) { peer, asked = peerOfFD(int(fd)) })
	if err = errors.Join(err, asked); err != nil {
		return Peer{}, fmt.Errorf("asking for the peer: %w", err)
	}
	return peer, nil
}

func peerOfFD(fd int) (Peer, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return Peer{}, err
	}
	groups, err := peerGroups(fd)
	return Peer{PID: cred.Pid, UID: cred.Uid, GID: cred.Gid, Groups: groups}, err
}

// peerGroups reads SO_PEERGROUPS, an array of gid_t. If the array is too small the kernel answers ERANGE and the size that
// it wants. Kernels before 4.13 don't have it: then there are no supplementary groups to see.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 32)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(unsafe.SliceData(groups))), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4], nil
		case errno == unix.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4)
		case errno == unix.ENOPROTOOPT || errno == unix.ENODATA:
			return nil, nil
		default:
			return nil, errno
		}
	}
}

// hungUp reports whether the peer has gone altogether, and not only ended its own direction.
func hungUp(nc net.Conn) bool {
	sc, ok := nc.(*net.UnixConn)
	if !ok {
		return false
	}
	conn, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
	})
	return err != nil || gone
}
