package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
	"lqosd/xdp"
)

// compareLive reads the links of the tree from the kernel of this network namespace.
func compareLive(cmd *cobra.Command, s *replay.Source, at eventlog.Seq, f diffFlags) (diff.Report, error) {
	k, err := kernel.Open()
	if err != nil {
		return diff.Report{}, err
	}
	defer func() { _ = k.Close() }()
	t, links, err := foldAndObserve(cmd.Context(), k, func(ctx context.Context) (*bakery.Tree, error) { return s.Tree(ctx, at) })
	if err != nil {
		return diff.Report{}, err
	}
	live := diff.Live{Host: k.Host(), Links: links}
	if !f.noMaps {
		if err := lookAtDataplane(cmd, t, f.bpfFS, &live); err != nil {
			return diff.Report{}, err
		}
	}
	return diff.CompareKernel(at, t, live), nil
}

// liveKernel is what foldAndObserve needs of a kernel.
type liveKernel interface {
	// Shaped are the links that are worth reading before it is known which to read.
	Shaped(ctx context.Context) ([]string, error)
	Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error)
}

// foldAndObserve folds a Tree and observes its links. Which they are only the Tree tells, so
// what is shaped is observed beside the fold, and the links once more if that wasn't all.
func foldAndObserve(ctx context.Context, k liveKernel, fold func(context.Context) (*bakery.Tree, error)) (*bakery.Tree, map[string]tc.Observed, error) {
	ctx, cancel := context.WithCancel(ctx)
	ahead := make(chan func() ([]string, map[string]tc.Observed), 1)
	go func() {
		names, err := k.Shaped(ctx)
		var seen map[string]tc.Observed
		if err == nil {
			seen, err = k.Observe(ctx, names, nil)
		}
		if err != nil {
			names = nil // whatever it is, it comes again below, or it was of a link that doesn't matter
		}
		ahead <- func() ([]string, map[string]tc.Observed) { return names, seen }
	}()
	t, err := fold(ctx)
	if err != nil {
		cancel()
	}
	names, seen := (<-ahead)() // k is for one goroutine
	defer cancel()
	if err != nil {
		return nil, nil, err
	}
	links := t.Links()
	if slices.ContainsFunc(links, func(l string) bool { return !slices.Contains(names, l) }) {
		seen, err = k.Observe(ctx, links, nil)
	}
	return t, seen, err
}

// lookAtDataplane reads the maps that lqosd has pinned for this network namespace. Who may not is told on stderr.
func lookAtDataplane(cmd *cobra.Command, t *bakery.Tree, bpfFS string, live *diff.Live) error {
	v, err := xdp.Look(cmd.Context(), xdp.Options{BPFFS: bpfFS})
	switch {
	case err == nil:
		live.Dataplane = &diff.LiveSteers{Roles: bakery.Roles{Down: v.Layout.Network, Up: v.Layout.Internet}, Steers: v.Steers}
	case errors.Is(err, xdp.ErrNotThere):
		live.Unsteered = true
	case t.MappingCount() == 0:
	case errors.Is(err, fs.ErrPermission):
		cmd.PrintErrf("%d address mappings aren't compared: %v\n", t.MappingCount(), err)
	default:
		return err
	}
	return nil
}

// hintFileMode tells on stderr that the daemon of a log doesn't program the kernel, where it says so: then all that differs is no wonder.
func hintFileMode(cmd *cobra.Command, log string, s *replay.Source) {
	socket := askable(log, s)
	if socket == "" {
		return
	}
	c, err := bus.Dial(cmd.Context(), socket, bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return // a hint is all that is lost
	}
	defer func() { _ = c.Close() }()
	var status struct {
		Mode string `json:"mode"`
	}
	if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdStatus"}, &status); err == nil && status.Mode == "file" {
		cmd.PrintErrf("bakery-replay: the daemon at %s runs in file mode: it writes tc lines and doesn't program this kernel; compare with --against, or serve with --mode apply\n", socket)
	}
}

// askable is the socket of the daemon that has a log; "" for none.
func askable(log string, s *replay.Source) string {
	if socket, remote := strings.CutPrefix(log, "unix:"); remote {
		return socket
	}
	var held *eventlog.HeldError
	if errors.As(s.Held(), &held) {
		return strings.TrimPrefix(held.Holder.Bus, "unix:")
	}
	return ""
}
