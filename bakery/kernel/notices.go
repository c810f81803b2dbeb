package kernel

import (
	"fmt"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// notices are those of qdiscs and classes that Watch gets. While nobody listens to their group
// the kernel makes none (rtnl_notify_needed in linux/rtnetlink.h, since Linux 6.8), not of our own
// ops either, and Watch has none of these to read and to throw away.
type notices struct {
	mu      sync.Mutex
	conn    *netlink.Conn // of the Watch that runs; nil: none does
	changed func(link string)
	failed  error // of the Watch that runs: the group can't be joined again
}

// begin notes that a Watch runs, until end is called.
func (n *notices) begin(conn *netlink.Conn, changed func(link string)) (end func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conn, n.changed, n.failed = conn, changed, nil
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.conn = nil
	}
}

// failure is why the Watch that runs can't go on.
func (n *notices) failure() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

// pause leaves the group. What others change until resume is called isn't lost: that says that it can
// be any link, after the group was joined again.
func (n *notices) pause() (resume func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	conn := n.conn
	if conn == nil || conn.LeaveGroup(unix.RTNLGRP_TC) != nil {
		return func() {}
	}
	return func() { n.resume(conn) }
}

func (n *notices) resume(conn *netlink.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn != conn { // it has ended
		return
	}
	if err := conn.JoinGroup(unix.RTNLGRP_TC); err != nil {
		n.failed = fmt.Errorf("listening again: %w", err)
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends its reading
	}
	n.changed("")
}

// makeMany reports ops that make or delete so much that the notices of them cost more than to read
// all links again, which most of what is made needs in any case.
func (k *Kernel) makeMany(ops []tc.Op) bool {
	n := 0
	for _, op := range ops {
		if op.Verb != tc.Change {
			n++
		}
	}
	return n >= k.limits.quiet
}
