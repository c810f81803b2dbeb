package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	link "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// find is the link with a name; nil if there is none.
func (k *Kernel) find(name string) (*link.LinkAttrs, error) {
	l, err := k.links.LinkByName(name)
	if errors.As(err, new(link.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for link %s: %w", name, err)
	}
	if l.Attrs().Name != name { // an alternative name: nothing else here knows it
		return nil, nil
	}
	return l.Attrs(), nil
}

// infoLen is the length of struct ifinfomsg (linux/rtnetlink.h).
const infoLen = 16

// Shaped are the names of the links whose root qdisc is an mq or an htb, sorted: those on which a
// tree like ours can be.
func (k *Kernel) Shaped(ctx context.Context) ([]string, error) {
	conn, err := dial(k.limits.buffer, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop, err := endWith(ctx, conn, k.limits.dump)
	if err != nil {
		return nil, err
	}
	defer stop()
	all, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, infoLen),
	})
	if err != nil {
		return nil, fmt.Errorf("asking for the links: %w", err)
	}
	var names []string
	for _, m := range all {
		name, root, err := nameAndRoot(m.Data)
		if err != nil {
			return nil, err
		}
		if root == "mq" || root == "htb" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// nameAndRoot are a link's name and the kind of its root qdisc, from an answer to RTM_GETLINK.
func nameAndRoot(b []byte) (name, root string, err error) {
	if len(b) < infoLen {
		return "", "", errShort
	}
	err = eachAttribute(b[infoLen:], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.IFLA_IFNAME:
			name = a.String()
		case unix.IFLA_QDISC:
			root = a.String()
		}
	})
	return name, root, err
}
