package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// device is what the kernel says about a link: its index, its kind, and the ids of the XDP programs
// on it, 0 if there is none.
type device struct {
	index           int
	kind            string // veth, tun, bond …; "" for a card
	native, generic uint32
}

// mode is how a program is attached to d.
func (d device) mode(program ebpf.ProgramID) Mode {
	switch uint32(program) {
	case d.native:
		return Native
	case d.generic:
		return Generic
	}
	return Auto
}

// errNoLink means that there is no link with a name.
var errNoLink = errors.New("there is no such link")

// Layouts of linux/netlink.h and linux/rtnetlink.h.
const (
	messageHeader   = unix.SizeofNlMsghdr
	linkHeader      = unix.SizeofIfInfomsg
	attributeHeader = unix.SizeofRtAttr
)

// answers are buffers for what a kernel says of a link: the links are looked up once a second.
var answers = sync.Pool{New: func() any { return new([answerSize]byte) }}

const answerSize = 64 << 10

// lookUp asks the kernel for the link with a name, with one RTM_GETLINK.
func lookUp(name string) (device, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return device{}, fmt.Errorf("asking for link %s: %w", name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, getLink(name), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return device{}, fmt.Errorf("asking for link %s: %w", name, err)
	}
	buffer, _ := answers.Get().(*[answerSize]byte)
	defer answers.Put(buffer)
	answer := buffer[:]
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return device{}, fmt.Errorf("asking for link %s: %w", name, err)
	}
	d, err := parseLink(answer[:n], name)
	if err != nil {
		return device{}, fmt.Errorf("link %s: %w", name, err)
	}
	return d, nil
}

// getLink is the request for a link.
func getLink(name string) []byte {
	attribute := attributeHeader + len(name) + 1
	b := make([]byte, messageHeader+linkHeader, messageHeader+linkHeader+attribute+3)
	b = binary.NativeEndian.AppendUint16(b, uint16(attribute))
	b = binary.NativeEndian.AppendUint16(b, unix.IFLA_IFNAME)
	b = append(append(b, name...), 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST)
	return b
}

// parseLink reads the answer: the link, or an error.
func parseLink(b []byte, name string) (device, error) {
	if len(b) < messageHeader+4 {
		return device{}, errShortAnswer
	}
	body := b[messageHeader:]
	switch kind := binary.NativeEndian.Uint16(b[4:]); {
	case kind == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		if errno == unix.ENODEV {
			return device{}, errNoLink
		}
		return device{}, errno
	case kind != unix.RTM_NEWLINK || len(body) < linkHeader:
		return device{}, errShortAnswer
	}
	d := device{index: int(binary.NativeEndian.Uint32(body[4:]))}
	called := ""
	eachAttribute(body[linkHeader:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			called = unix.ByteSliceToString(value)
		case unix.IFLA_XDP:
			eachAttribute(value, d.readXDP)
		case unix.IFLA_LINKINFO:
			eachAttribute(value, func(kind uint16, value []byte) {
				if kind == unix.IFLA_INFO_KIND {
					d.kind = unix.ByteSliceToString(value)
				}
			})
		}
	})
	if called != name { // an alternative name: nothing else here knows it
		return device{}, errNoLink
	}
	return d, nil
}

var errShortAnswer = errors.New("the kernel's answer is none")

func (d *device) readXDP(kind uint16, value []byte) {
	if len(value) < 4 {
		return
	}
	switch id := binary.NativeEndian.Uint32(value); kind {
	case unix.IFLA_XDP_DRV_PROG_ID, unix.IFLA_XDP_HW_PROG_ID:
		d.native = id
	case unix.IFLA_XDP_SKB_PROG_ID:
		d.generic = id
	}
}

// eachAttribute calls take with the attributes in b.
func eachAttribute(b []byte, take func(kind uint16, value []byte)) {
	for len(b) >= attributeHeader {
		length := int(binary.NativeEndian.Uint16(b))
		if length < attributeHeader || length > len(b) {
			return
		}
		take(binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED, b[attributeHeader:length])
		b = b[min((length+3)&^3, len(b)):]
	}
}
