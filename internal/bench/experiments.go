package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/kernel"
	"lqosd/bakery/tc"
)

// experiment is one way to make or delete a tree of classes on a veth link.
type experiment struct {
	treeScript
	there  int  // so many classes are on another link before
	up     bool // the link is up
	listen bool // somebody listens to RTNLGRP_TC
	batch  bool // by netlink, 256 requests in a message; else by tc -batch
	// after are the lines whose time counts; nil: those that make the tree.
	after func(treeScript) []string
}

// experimentRows find out what creating classes costs a kernel: each is a way to do it, against another. Their times are those that the
// kernel worked for the process (its system time), which other processes disturb less than they do a clock. docs/performance.md says what
// came out.
func experimentRows(n int) []row {
	base := experiment{treeScript: treeScript{link: "exp0", classes: n, queues: 16}}
	with := func(change func(*experiment)) experiment {
		e := base
		change(&e)
		return e
	}
	half := with(func(e *experiment) { e.classes /= 2 })
	first := with(func(e *experiment) { e.order = htbsFirst })
	state := "as render --form state orders it"
	compare := func(key, what string, a experiment, against string, b experiment) row {
		return row{key: "experiment_" + key, pairs: 5, root: true, what: what, against: against, prepare: func(context.Context, *stand) (pair, error) {
			return func(ctx context.Context) (ours, other sample, err error) {
				if ours.took, err = a.measure(ctx); err == nil {
					other.took, err = b.measure(ctx)
				}
				return ours, other, err
			}, nil
		}}
	}
	ordered := func(key, what string, o order) row {
		return compare(key, what, with(func(e *experiment) { e.order = o }), state, base)
	}
	handled := func(key, what string, h handles, o order) row {
		// A link has 65,536 handles, a bucket 4,096 of them; three are without an htb.
		most := map[handles]int{apart: 12_000, together: 4_000, kernels: n}[h]
		against := with(func(e *experiment) { e.order, e.classes = o, min(n, most) })
		e := against
		e.handles = h
		return compare(key, what, e, "ascending handles", against)
	}
	delOne := func(newest bool) func(treeScript) []string {
		return func(t treeScript) []string { return t.removal(newest) }
	}
	return []row{
		compare("twice", fmt.Sprintf("%d classes", n), base, fmt.Sprintf("%d", n/2), half),
		compare("twice_bare", "the same without leaves", with(func(e *experiment) { e.bare = true }), "half of them", with(func(e *experiment) { e.bare, e.classes = true, n/2 })),
		compare("others", "as many classes on another link before", with(func(e *experiment) { e.there = n }), "none", base),
		compare("2_queues", "2 queues", with(func(e *experiment) { e.queues = 2 }), "16 queues", base),
		compare("64_queues", "64 queues", with(func(e *experiment) { e.queues = 64 }), "16 queues", base),
		ordered("pairwise", "each leaf after its class", pairwise),
		ordered("leaves_last", "the leaves after all classes", leavesLast),
		compare("leaves_last_clear", "the same, no htb in the bucket of handle 0", with(func(e *experiment) { e.order, e.clear = leavesLast, true }), "one there",
			with(func(e *experiment) { e.order = leavesLast })),
		ordered("htbs_first", "all htbs before the first class", htbsFirst),
		ordered("round_robin", "htbs in turn, each leaf after its class", roundRobin),
		ordered("round_robin_leaves_last", "htbs in turn, the leaves after all classes", classesByTurn),
		handled("apart", "handles of buckets without an htb", apart, inTurn),
		handled("apart_htbs_first", "the same, all htbs first", apart, htbsFirst),
		handled("together", "handles of one bucket", together, inTurn),
		handled("kernels", "handles that the kernel chooses", kernels, inTurn),
		compare("deep", "4 classes one below the other", with(func(e *experiment) { e.depth, e.bare = 4, true }), "all below one", with(func(e *experiment) { e.bare = true })),
		compare("up", "the link is up", with(func(e *experiment) { e.up = true }), "down", base),
		compare("listened", "with a listener of RTNLGRP_TC", with(func(e *experiment) { e.listen = true }), "without", base),
		compare("batched", "256 requests in a message", with(func(e *experiment) { e.batch = true }), "tc -batch", base),
		compare("delete_root", "deleting the root", with(func(e *experiment) {
			e.after = func(t treeScript) []string { return []string{"qdisc del dev " + t.link + " root"} }
		}), "building", base),
		compare("delete_newest", "deleting each class, the newest first", with(func(e *experiment) { e.after = delOne(true) }), "the oldest first",
			with(func(e *experiment) { e.after = delOne(false) })),
		compare("htbs_first_round_robin", "htbs first, round robin", with(func(e *experiment) { e.order = roundRobin }), "htbs first, one after the other", first),
	}
}

// measure does the experiment on a link of its own.
func (e experiment) measure(ctx context.Context) (took time.Duration, err error) {
	others := treeScript{link: "exp2", classes: e.there, queues: 16}
	for _, t := range []treeScript{e.treeScript, others} {
		n := fmt.Sprint(t.queues)
		if err := command(ctx, "ip", "link", "add", t.link, "numtxqueues", n, "numrxqueues", n, "type", "veth", "peer", "name", "far-"+t.link); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, command(context.WithoutCancel(ctx), "ip", "link", "del", t.link)) }()
	}
	if e.up {
		for _, end := range []string{e.link, "far-" + e.link} {
			if err := command(ctx, "ip", "link", "set", end, "up"); err != nil {
				return 0, err
			}
		}
	}
	if _, err := systemTime(ctx, others.lines()); err != nil {
		return 0, err
	}
	if e.listen {
		hear, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
		if err != nil {
			return 0, err
		}
		defer func() { _ = unix.Close(hear) }()
		if err := unix.Bind(hear, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_TC - 1)}); err != nil {
			return 0, err
		}
	}
	if e.batch {
		return applyTime(ctx, e.lines())
	}
	if took, err = systemTime(ctx, e.lines()); err != nil || e.after == nil {
		return took, err
	}
	return systemTime(ctx, e.after(e.treeScript))
}

// systemTime is that of tc -batch with these lines.
func systemTime(ctx context.Context, lines []string) (time.Duration, error) {
	f, err := os.CreateTemp("", "lqosd-bench-*.tc")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	tc := exec.CommandContext(ctx, "tc", "-batch", filepath.Clean(f.Name()))
	if out, err := tc.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("tc -batch: %w\n%s", err, out)
	}
	return tc.ProcessState.SystemTime(), nil
}

// applyTime is this process's for the same through package kernel.
func applyTime(ctx context.Context, lines []string) (time.Duration, error) {
	ops := make([]tc.Op, len(lines))
	for i, line := range lines {
		var err error
		if ops[i], err = tc.ParseLine(line); err != nil {
			return 0, err
		}
	}
	k, err := kernel.Open()
	if err != nil {
		return 0, err
	}
	var before, after unix.Rusage
	err = unix.Getrusage(unix.RUSAGE_SELF, &before)
	for _, r := range k.Apply(ctx, ops) {
		err = errors.Join(err, r.Err)
	}
	err = errors.Join(err, unix.Getrusage(unix.RUSAGE_SELF, &after), k.Close())
	return time.Duration(after.Stime.Nano() - before.Stime.Nano()), err
}
