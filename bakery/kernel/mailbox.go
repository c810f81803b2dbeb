package kernel

import (
	"errors"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// mailbox sends to the kernel, and reads what it sends to a socket. Conn would do it too, but
// starts a goroutine for every datagram, keeps to itself how a dump ended, and when a signal
// interrupts it waits until the socket is ready once more, which may be never.
type mailbox struct {
	conn   *netlink.Conn
	buffer []byte
	out    *[]byte // what is sent, for the next sending to use again
	last   *uint32 // sequence number
}

func newMailbox(conn *netlink.Conn) mailbox {
	return mailbox{conn: conn, buffer: make([]byte, receiveSize), out: new([]byte), last: new(uint32)}
}

// send sends requests with one sendto, and numbers them from first. After an error the kernel
// took none of them.
func (m mailbox) send(requests []netlink.Message) (first uint32, err error) {
	first = m.number(len(requests))
	return first, m.sendFrom(first, requests)
}

// number gives the first of n new sequence numbers.
func (m mailbox) number(n int) (first uint32) {
	first = *m.last + 1
	*m.last += uint32(n)
	return first
}

// sendFrom is send for requests whose numbers are known. It may run beside everything but itself.
func (m mailbox) sendFrom(first uint32, requests []netlink.Message) error {
	size := 0
	for _, r := range requests {
		size += messageHeader + (len(r.Data)+3)&^3
	}
	out := slices.Grow((*m.out)[:0], size)
	*m.out = out
	for i, r := range requests {
		out = native.AppendUint32(out, uint32(messageHeader+(len(r.Data)+3)&^3)) // struct nlmsghdr
		out = native.AppendUint16(out, uint16(r.Header.Type))
		out = native.AppendUint16(out, uint16(r.Header.Flags))
		out = native.AppendUint32(out, first+uint32(i))
		out = native.AppendUint32(out, m.conn.PID())
		out = append(out, r.Data...)
		out = append(out, make([]byte, -len(out)&3)...)
	}
	raw, err := m.conn.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	err = raw.Write(func(fd uintptr) bool {
		for {
			failure = unix.Sendto(int(fd), out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
			if !errors.Is(failure, unix.EINTR) {
				return !errors.Is(failure, unix.EAGAIN)
			}
		}
	})
	return errors.Join(err, failure)
}

// read calls take with every message until it says that it has all. When there are no more it
// waits for them, to the deadline of the socket, if it is patient and none were lost. It
// reports whether messages were lost because the socket's buffer was full. What take gets is
// overwritten afterwards.
func (m mailbox) read(patient bool, take func(netlink.Message) (all bool)) (lost bool, err error) {
	raw, err := m.conn.SyscallConn()
	if err != nil {
		return false, err
	}
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), m.buffer)
			switch {
			case errors.Is(err, unix.EAGAIN):
				return lost || !patient
			case errors.Is(err, unix.ENOBUFS):
				lost = true
			case errors.Is(err, unix.EINTR):
			case err != nil:
				failure = err
				return true
			default:
				all, err := eachMessage(m.buffer[:n], take)
				if failure = err; all || err != nil {
					return true
				}
			}
		}
	})
	return lost, errors.Join(err, failure)
}

// messageHeader is the length of struct nlmsghdr.
const messageHeader = 16

// eachMessage splits a datagram, until take says that it has all.
func eachMessage(b []byte, take func(netlink.Message) (all bool)) (all bool, err error) {
	for len(b) > 0 {
		if len(b) < messageHeader {
			return false, errShort
		}
		length := native.Uint32(b)
		if length < messageHeader || uint64(length) > uint64(len(b)) {
			return false, errShort
		}
		m := netlink.Message{
			Header: netlink.Header{
				Length: length, Type: netlink.HeaderType(native.Uint16(b[4:])), Flags: netlink.HeaderFlags(native.Uint16(b[6:])),
				Sequence: native.Uint32(b[8:]), PID: native.Uint32(b[12:]),
			},
			Data: b[messageHeader:length],
		}
		if take(m) {
			return true, nil
		}
		b = b[min(int(length+3)&^3, len(b)):]
	}
	return false, nil
}

// verdict is the error number of an ack or of the end of a dump, and the kernel's own words,
// which come with success too (struct nlmsgerr and the attributes NLMSGERR_ATTR_…,
// linux/netlink.h).
func verdict(m netlink.Message) (errno unix.Errno, text string) {
	if len(m.Data) < 4 {
		return 0, ""
	}
	errno = unix.Errno(-int32(native.Uint32(m.Data)))
	at := uint64(4)
	if m.Header.Type == netlink.Error { // the request follows, or its header only
		if len(m.Data) < 4+messageHeader {
			return errno, ""
		}
		at += messageHeader
		if m.Header.Flags&netlink.Capped == 0 {
			at = 4 + (uint64(native.Uint32(m.Data[4:]))+3)&^3
		}
	}
	if m.Header.Flags&netlink.AcknowledgeTLVs == 0 || at < 4 || at > uint64(len(m.Data)) {
		return errno, ""
	}
	_ = eachAttribute(m.Data[at:], func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NLMSGERR_ATTR_MSG {
			text = a.String()
		}
	})
	return errno, text
}
