package kernel

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	link "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls changed with the name of a link whenever somebody else than this Kernel's Apply
// changed a qdisc or class of it, or it appeared, disappeared, was renamed or got another MTU
// or queue length. "" means that it can be any: once when the watch has begun, and whenever
// notices were lost, or not wanted while Apply did much. It returns nil when ctx ends, or an
// error. changed must not block; Apply calls it too.
func (k *Kernel) Watch(ctx context.Context, changed func(link string)) error {
	conn, err := dial(k.limits.buffer, 1<<(unix.RTNLGRP_TC-1)|1<<(unix.RTNLGRP_LINK-1))
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer func() { _ = conn.Close() }()
	stop, err := endWith(ctx, conn, 0)
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer stop()
	defer k.notices.begin(conn, changed)()

	w := watcher{own: k.conn.PID(), changed: changed, links: map[int]seen{}}
	if err := w.load(); err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	mail := newMailbox(conn)
	for {
		lost, err := mail.read(true, func(m netlink.Message) (all bool) {
			w.notice(m)
			return false
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case lost && err == nil:
			err = w.load()
		case err != nil:
			err = errors.Join(k.notices.failure(), err)
		}
		if err != nil {
			return fmt.Errorf("watching: %w", err)
		}
	}
}

// watcher knows the links by their indexes, those that went too: what the kernel says about
// a link may come after its end.
type watcher struct {
	own     uint32 // the port id that Apply sends from
	changed func(string)
	links   map[int]seen
	gone    int // links that are there no more
}

// seen is what a link is compared by.
type seen struct {
	name         string
	mtu, txQueue int
	there        bool
}

// maxGone is how many links that are there no more are remembered.
const maxGone = 1000

// load reads all links and reports that anything may have changed.
func (w *watcher) load() error {
	handle, err := link.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer handle.Close()
	list, err := handle.LinkList()
	if err != nil && !errors.Is(err, link.ErrDumpInterrupted) { // what was missed is in a notice
		return fmt.Errorf("listing links: %w", err)
	}
	clear(w.links)
	w.gone = 0
	for _, l := range list {
		w.links[l.Attrs().Index] = seenOf(l.Attrs())
	}
	w.changed("")
	return nil
}

func seenOf(l *link.LinkAttrs) seen {
	return seen{name: l.Name, mtu: l.MTU, txQueue: l.TxQLen, there: true}
}

// notice takes one message of the kernel.
func (w *watcher) notice(m netlink.Message) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A bridge speaks of its ports in a family of its own.
		if len(m.Data) >= unix.SizeofIfInfomsg && m.Data[0] == unix.AF_UNSPEC {
			w.linkNotice(m)
		}
	default:
		if isTC(m.Header.Type) && m.Header.PID != w.own {
			w.tcNotice(m.Data)
		}
	}
}

// tcNotice reports a link by name, or that it can be any if it was never seen.
func (w *watcher) tcNotice(b []byte) {
	if h, err := readHeader(b); err == nil {
		w.changed(w.links[h.index].name)
	}
}

// linkNotice reads what it needs by itself: the library's LinkDeserialize panics when a length lies.
func (w *watcher) linkNotice(m netlink.Message) {
	index, now := int(int32(native.Uint32(m.Data[4:]))), seen{there: true} // struct ifinfomsg
	err := eachAttribute(m.Data[unix.SizeofIfInfomsg:], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.IFLA_IFNAME:
			now.name = a.String()
		case unix.IFLA_MTU:
			now.mtu = int(a.Uint32())
		case unix.IFLA_TXQLEN:
			now.txQueue = int(a.Uint32())
		}
	})
	if err != nil {
		w.changed("")
		return
	}
	was := w.links[index]
	if m.Header.Type == unix.RTM_DELLINK {
		w.remove(index, now.name)
		return
	}
	w.links[index] = now
	if was == now {
		return
	}
	if was.there && was.name != now.name {
		w.changed(was.name)
	}
	w.changed(now.name)
}

// remove forgets a link, but for its name.
func (w *watcher) remove(index int, name string) {
	if w.gone++; w.gone > maxGone {
		for i, l := range w.links {
			if !l.there {
				delete(w.links, i)
			}
		}
		w.gone = 1
	}
	w.links[index] = seen{name: name}
	w.changed(name)
}
