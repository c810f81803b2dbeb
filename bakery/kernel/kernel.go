package kernel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	link "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// Kernel is the traffic control of the network namespace that Open was called in. One
// goroutine calls Observe, Apply and Execute; Watch may run beside it, in another.
type Kernel struct {
	host     tc.Host
	identity string
	limits   limits
	conn     *netlink.Conn // Apply's: its port id tells our own changes from others'
	mail     mailbox       // of conn
	links    *link.Handle
	notices  notices
}

// limits bound what is in flight and how long anything waits.
type limits struct {
	buffer   int           // bytes of each socket's buffers
	messages int           // requests in one sendto
	quiet    int           // ops that make or delete something, and during which nobody listens
	bytes    int           // of all requests in one sendto
	answer   time.Duration // for the kernel's answers to a batch
	dump     time.Duration // for one try to observe
	tries    int           // to observe
	pause    time.Duration // between tries
}

// Answers are there when sendto returns: rtnetlink works inside the system call. So the time
// for them is only a guard, and so is that for dumps: one of 5,000 classes takes some 30 ms
// (BenchmarkObserve).
var defaultLimits = limits{
	buffer: 8 << 20, messages: 256, bytes: 128 << 10, quiet: 4096,
	answer: 10 * time.Second, dump: 10 * time.Second, tries: 5, pause: 20 * time.Millisecond,
}

// receiveSize is what one recvmsg can take: more than the 32 KiB that the kernel fills at most
// (netlink_dump in af_netlink.c).
const receiveSize = 64 << 10

// ackMemory is at least what an ack costs of the receive buffer: the request, which an error
// comes with, its text, and the kernel's struct sk_buff.
const ackMemory = 2 << 10

// Open opens the sockets of a Kernel, which Close closes. It needs no privilege; Apply does.
func Open() (*Kernel, error) { return open(defaultLimits) }

func open(l limits) (*Kernel, error) {
	identity, err := readIdentity()
	if err != nil {
		return nil, fmt.Errorf("opening the kernel: %w", err)
	}
	k := &Kernel{host: readHost(), identity: identity, limits: l}
	if k.conn, err = dial(l.buffer, 0); err != nil {
		return nil, fmt.Errorf("opening the kernel: %w", err)
	}
	k.mail = newMailbox(k.conn)
	if k.links, err = link.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the kernel: %w", err), k.conn.Close())
	}
	// Without CAP_NET_ADMIN on the host the buffer is smaller than we asked for.
	if size, err := k.conn.ReadBuffer(); err == nil && l.buffer >= ackMemory {
		k.limits.messages = max(1, min(k.limits.messages, size/ackMemory/2)) // two batches are on their way
	}
	return k, nil
}

// Close closes the sockets.
func (k *Kernel) Close() error {
	k.links.Close()
	return k.conn.Close()
}

// Host is what tc(8) looks up in /proc/net/psched; Observe tells what is to be known of links.
func (k *Kernel) Host() tc.Host { return k.host }

// Identity is the boot id and the network namespace, as they were at Open.
func (k *Kernel) Identity() string { return k.identity }

// dial opens a socket with buffers of so many bytes, or what the system allows, that listens
// to groups (a mask: 1 << RTNLGRP_… - 1).
func dial(buffer int, groups uint32) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Strict: true, Groups: groups, MessageBufferSize: receiveSize})
	if err != nil {
		return nil, err
	}
	// Both ask for the FORCE variant first.
	if err := errors.Join(conn.SetReadBuffer(buffer), conn.SetWriteBuffer(max(buffer, receiveSize))); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// endWith makes conn's reading end when ctx does, or after a time. Call stop when done.
func endWith(ctx context.Context, conn *netlink.Conn, after time.Duration) (stop func() bool, err error) {
	var deadline time.Time
	if after > 0 {
		deadline = time.Now().Add(after)
	}
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	return context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }), nil
}
