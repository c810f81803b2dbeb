package kernel

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// Attributes of struct tcmsg (linux/rtnetlink.h).
const (
	tcaKind    = 1
	tcaOptions = 2
)

// header is struct tcmsg.
type header struct {
	index          int
	handle, parent tc.Handle
}

const headerLen = 20

func (h header) append(b []byte) []byte {
	return appendWords(b, 0, uint32(h.index), uint32(h.handle), uint32(h.parent), 0)
}

func readHeader(b []byte) (header, error) {
	if len(b) < headerLen {
		return header{}, errShort
	}
	return header{
		index:  int(int32(native.Uint32(b[4:]))),
		handle: tc.Handle(native.Uint32(b[8:])),
		parent: tc.Handle(native.Uint32(b[12:])),
	}, nil
}

var errEmpty = errors.New("an op of no qdisc and no class")

// encodeOp is the request that does op on the link with an index. It appends the data to b, of which it
// gives the new end.
func encodeOp(b []byte, op tc.Op, index int, host tc.Host) (m netlink.Message, end []byte, err error) {
	end = b
	e := encoding{host: host, verb: op.Verb}
	switch {
	case op.Class != nil:
		m.Header.Type = unix.RTM_NEWTCLASS
		end = classData(b, op, index, e)
	case op.Qdisc != nil:
		m.Header.Type = unix.RTM_NEWQDISC
		end, err = qdiscData(b, op, index, e)
	default:
		err = errEmpty
	}
	if err != nil {
		return m, b, err
	}
	m.Data = end[len(b):len(end):len(end)]
	m.Header.Flags = netlink.Request | netlink.Acknowledge | verbFlags(op)
	if op.Verb == tc.Delete {
		m.Header.Type++ // RTM_DEL… follows RTM_NEW…
	}
	return m, end, nil
}

// verbFlags are those that tc(8) sets (tc_qdisc.c, tc_class.c).
func verbFlags(op tc.Op) netlink.HeaderFlags {
	switch {
	case op.Verb == tc.Add:
		return netlink.Create | netlink.Excl
	case op.Verb == tc.Replace && op.Class != nil:
		return netlink.Create
	case op.Verb == tc.Replace:
		return netlink.Create | netlink.Replace
	}
	return 0
}

// ingressHandle is the handle of every clsact and ingress qdisc; without it the kernel would
// put another one in place of what is there.
const ingressHandle tc.Handle = 0xffff0000

func qdiscData(b []byte, op tc.Op, index int, e encoding) ([]byte, error) {
	q := op.Qdisc
	h := header{index: index, handle: q.Handle, parent: q.Parent}
	if h.parent == tc.Ingress {
		h.handle = ingressHandle
	}
	b = h.append(b)
	if q.Options == nil {
		return b, nil
	}
	b = appendKind(b, q.Options.Kind())
	if op.Verb == tc.Delete {
		return b, nil
	}
	return encodeOptions(b, q.Options, e)
}

func classData(b []byte, op tc.Op, index int, e encoding) []byte {
	c := op.Class
	h := header{index: index, handle: c.ID, parent: c.Parent}
	if op.Verb == tc.Delete {
		h.parent = 0
		return h.append(b)
	}
	b = appendKind(h.append(b), "htb")
	return encodeClass(b, c.HTB, e.host)
}

func appendKind(b []byte, kind string) []byte {
	return appendNest(b, tcaKind, func(b []byte) []byte { return append(append(b, kind...), 0) })
}

// object is one qdisc or class of a dump or a notification. The options are overwritten after it was visited.
type object struct {
	header
	kind    string
	options []byte
}

func readObject(b []byte) (object, error) {
	h, err := readHeader(b)
	if err != nil {
		return object{}, err
	}
	o := object{header: h}
	err = attributes(b[headerLen:], func(typ uint16, value []byte) {
		switch typ {
		case tcaKind:
			o.kind = kindOf(value)
		case tcaOptions:
			o.options = value
		}
	})
	return o, err
}

// kindOf is the name that ends with a zero.
func kindOf(value []byte) string {
	name, _, _ := bytes.Cut(value, []byte{0})
	if kind, known := kindNames[string(name)]; known {
		return kind
	}
	return string(name)
}

// qdisc is the object as one.
func (o object) qdisc(link string, host tc.Host) (tc.Qdisc, error) {
	options, err := decodeOptions(o.kind, o.options, host)
	if err != nil {
		return tc.Qdisc{}, fmt.Errorf("qdisc %v on %s: %w", o.handle, link, err)
	}
	return tc.Qdisc{Link: link, Handle: o.handle, Parent: o.parent, Options: options}, nil
}

// class is the object as one of an htb.
func (o object) class(link string, host tc.Host) (tc.Class, error) {
	parameters, err := decodeClass(o.options, host)
	if err != nil {
		return tc.Class{}, fmt.Errorf("class %v on %s: %w", o.handle, link, err)
	}
	c := tc.Class{Link: link, ID: o.handle, Parent: o.parent, HTB: parameters}
	if c.Parent == tc.Root {
		c.Parent = tc.NewHandle(c.ID.Major(), 0)
	}
	return c, nil
}
