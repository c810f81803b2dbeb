package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
)

// kernelRows program a real kernel, in the namespace of this run, with the leaves that it has; they need root.
var kernelRows = []row{
	{
		key: "build", pairs: 5, goal: goal{atMost: 1}, root: true, sizes: kernelCounts,
		what: "building 10,000 circuits over 16 queues, from the client's first request to the last class", against: "tc -batch of the same lines",
		prepare: prepareBuild,
	},
	{
		key: "refresh_same", pairs: 9, goal: goal{atMost: 2}, root: true, sizes: kernelCounts,
		what: "a refresh of 10,000 circuits, nothing changed", against: "one dump of the links (tc class show, tc qdisc show)",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareRefresh(ctx, s, false) },
	},
	{
		key: "refresh_1_percent", pairs: 5, goal: goal{atLeast: 50}, root: true, sizes: kernelCounts,
		what: "a refresh of 10,000 circuits, 1 % changed", against: "tc qdisc del root, then tc -batch",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareRefresh(ctx, s, true) },
	},
	{
		key: "one_change", pairs: 21, goal: goal{atMost: 1}, disk: true, root: true, sizes: kernelCounts,
		what: "the speed of one of 10,000 circuits, from the request to the kernel", against: "tc class change",
		prepare: prepareOneChange,
	},
	{
		key: "diff_live", pairs: 9, goal: goal{atMost: 1.5}, root: true, sizes: kernelCounts,
		what: "bakery-replay diff --live, 10,000 circuits", against: "tc -j class show; tc -j qdisc show",
		prepare: prepareDiffLive,
	},
}

var links = []string{"eth0", "eth1"}

// makeLinks makes the two links of the recorded network, with 16 queues.
func makeLinks(ctx context.Context, s *stand) error {
	for n, link := range links {
		err := command(ctx, "ip", "link", "add", link, "numtxqueues", "16", "numrxqueues", "16", "type", "veth", "peer", "name", fmt.Sprintf("far%d", n))
		if err != nil {
			return err
		}
		s.later(func() error { return command(context.WithoutCancel(ctx), "ip", "link", "del", link) })
		if err := command(ctx, "ip", "link", "set", link, "up"); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program that prints nothing unless it fails.
func command(ctx context.Context, words ...string) error {
	if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
	}
	return nil
}

// unbuild takes the roots away.
func unbuild(ctx context.Context) error {
	var err error
	for _, link := range links {
		err = errors.Join(err, command(ctx, "tc", "qdisc", "del", "dev", link, "root"))
	}
	return err
}

// applying starts a daemon that programs the links, and connects to it.
func (s *stand) applying(ctx context.Context) (*daemon, *bus.Client, error) {
	dir, err := s.folder()
	if err != nil {
		return nil, nil, err
	}
	if err := s.configure(dir, lqosconf.ModeApply); err != nil {
		return nil, nil, err
	}
	s.later(func() error { return s.detach(context.WithoutCancel(ctx), dir) })
	d, err := s.startIn(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return s.connected(ctx, d)
}

// detach takes away the dataplane of a daemon that has ended, in whose folder it is. The next one would take it over, with all that is in
// its maps.
func (s *stand) detach(ctx context.Context, dir string) error {
	return command(ctx, filepath.Join(s.bin, "lqosd"), "detach", "--config", filepath.Join(dir, "lqos.conf"))
}

// connected gives a daemon and a client of it.
func (s *stand) connected(ctx context.Context, d *daemon) (*daemon, *bus.Client, error) {
	c, err := d.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	s.later(c.Close)
	return d, c, nil
}

// commit sends a network and waits until the kernel has it.
func commit(ctx context.Context, c *bus.Client, n network) error {
	return sendAndWait(ctx, c, n.batch())
}

func sendAndWait(ctx context.Context, c *bus.Client, calls []bus.Call) error {
	if err := do(ctx, c, calls, 1024); err != nil {
		return err
	}
	return do(ctx, c, []bus.Call{{Name: "LqosdWait", Args: map[string]any{"applied": true, "timeout_ms": 600_000}}}, 1)
}

// script is the state of a log as a file for tc -batch.
func (s *stand) script(ctx context.Context, d *daemon) (string, error) {
	name := filepath.Join(d.dir, "state.tc")
	return name, command(ctx, filepath.Join(s.bin, "bakery-replay"), "render", "unix:"+d.socket(), "--form", "state", "-o", name)
}

func (s *stand) circuits() int { return s.size(10_000, 300) }

// prepareBuild makes a daemon and a kernel without anything for each measurement.
func prepareBuild(ctx context.Context, s *stand) (pair, error) {
	if err := makeLinks(ctx, s); err != nil {
		return nil, err
	}
	n := network{circuits: s.circuits(), queues: 16}
	return func(ctx context.Context) (ours, other sample, err error) {
		d, c, err := s.applying(ctx)
		if err != nil {
			return ours, other, err
		}
		calls := n.batch()
		if ours, err = d.during(func() error { return sendAndWait(ctx, c, calls) }); err != nil {
			return ours, other, err
		}
		if err := n.built(ctx); err != nil {
			return ours, other, err
		}
		script, err := s.script(ctx, d)
		if err != nil {
			return ours, other, err
		}
		if err := errors.Join(c.Close(), d.end(), unbuild(ctx), s.detach(ctx, d.dir)); err != nil {
			return ours, other, err
		}
		began := time.Now()
		if err := command(ctx, "tc", "-batch", script); err != nil {
			return ours, other, err
		}
		other = sample{took: time.Since(began)}
		return ours, other, errors.Join(n.built(ctx), unbuild(ctx))
	}, nil
}

// prepareRefresh refreshes a network that is built; change: each time 1 % of the circuits have another ceil than the time before.
func prepareRefresh(ctx context.Context, s *stand, change bool) (pair, error) {
	if err := makeLinks(ctx, s); err != nil {
		return nil, err
	}
	d, c, err := s.applying(ctx)
	if err != nil {
		return nil, err
	}
	n := network{circuits: s.circuits(), queues: 16}
	if err := commit(ctx, c, n); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (ours, other sample, err error) {
		if change {
			n.faster = n.circuits/100 - n.faster // there and back
			if err := calm(ctx); err != nil {
				return ours, other, err
			}
		}
		calls := n.batch()
		if ours, err = d.during(func() error { return sendAndWait(ctx, c, calls) }); err != nil {
			return ours, other, err
		}
		if err := n.built(ctx); err != nil {
			return ours, other, err
		}
		if change {
			if other, err = reload(ctx, s, d, c); err == nil {
				d, c, err = s.again(ctx, d.dir)
			}
			return ours, other, errors.Join(err, n.built(ctx))
		}
		began := time.Now()
		err = dumpAll(ctx)
		other = sample{took: time.Since(began)}
		return ours, other, err
	}, nil
}

// reload is what a client does that has nothing but tc(8), to the same links. The daemon, which would mend them, ends before.
func reload(ctx context.Context, s *stand, d *daemon, c *bus.Client) (sample, error) {
	script, err := s.script(ctx, d)
	if err = errors.Join(err, c.Close(), d.end()); err != nil {
		return sample{}, err
	}
	if err := calm(ctx); err != nil {
		return sample{}, err
	}
	began := time.Now()
	if err := unbuild(ctx); err != nil {
		return sample{}, err
	}
	err = command(ctx, "tc", "-batch", script)
	return sample{took: time.Since(began)}, err
}

// again starts a daemon where one ended, and waits until it finds the kernel in order.
func (s *stand) again(ctx context.Context, dir string) (*daemon, *bus.Client, error) {
	d, err := s.startIn(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	d, c, err := s.connected(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	return d, c, sendAndWait(ctx, c, nil)
}

// dumpAll reads what the links have, by tc(8).
func dumpAll(ctx context.Context, flags ...string) error {
	for _, link := range links {
		for _, what := range []string{"class", "qdisc"} {
			words := append(append([]string{"tc"}, flags...), what, "show", "dev", link)
			if err := quiet(ctx, words...); err != nil {
				return err
			}
		}
	}
	return nil
}

// quiet runs a program whose output nobody reads.
func quiet(ctx context.Context, words ...string) error {
	if err := exec.CommandContext(ctx, words[0], words[1:]...).Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	return nil
}

// prepareOneChange changes one circuit's ceil, there and back, through the daemon, and then gives tc(8) what the class has by now: the
// daemon has nothing to undo, and a second to find that out.
func prepareOneChange(ctx context.Context, s *stand) (pair, error) {
	if err := makeLinks(ctx, s); err != nil {
		return nil, err
	}
	d, c, err := s.applying(ctx)
	if err != nil {
		return nil, err
	}
	n := network{circuits: s.circuits(), queues: 16}
	if err := commit(ctx, c, n); err != nil {
		return nil, err
	}
	mbps := circuitMbps
	return func(ctx context.Context) (ours, other sample, err error) {
		mbps = circuitMbps + fasterMbps - mbps
		call := bus.Call{Name: "BakeryAddCircuitHTBClass", Args: map[string]any{"interface": "eth1", "parent": "0x1:0x3", "classid": fmt.Sprintf("0x%x", n.minor(0)),
			"rate_mbps": 1, "ceil_mbps": mbps, "circuit_hash": 0, "comment": nil, "r2q": 10}}
		began := time.Now()
		if err := sendAndWait(ctx, c, []bus.Call{call}); err != nil {
			return ours, other, err
		}
		ours = sample{took: time.Since(began)}
		change, err := s.classLine(ctx, d, "eth1", n.classID(0))
		if err == nil {
			err = hasCeil(ctx, "eth1", n.classID(0), mbps)
		}
		if err != nil {
			return ours, other, err
		}
		began = time.Now()
		err = command(ctx, append([]string{"tc", "class", "change"}, change...)...)
		other = sample{took: time.Since(began)}
		<-time.After(time.Second)
		return ours, other, err
	}, nil
}

// hasCeil says that a class hasn't the ceil that it should have, as tc(8) sees it.
func hasCeil(ctx context.Context, link, id string, mbps int) error {
	text, err := exec.CommandContext(ctx, "tc", "class", "show", "dev", link, "classid", id).Output()
	if err != nil {
		return fmt.Errorf("tc class show dev %s classid %s: %w", link, id, err)
	}
	if want := fmt.Sprintf(" ceil %dMbit ", mbps); !strings.Contains(string(text), want) {
		return fmt.Errorf("class %s of %s should have%sand is %s", id, link, want, text)
	}
	return nil
}

// classLine is what follows "class add" in the line that makes a class.
func (s *stand) classLine(ctx context.Context, d *daemon, link, id string) ([]string, error) {
	script, err := s.script(ctx, d)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(script)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 8 && words[0] == "class" && words[3] == link && slices.Contains(words, id) {
			return words[2:], nil
		}
	}
	return nil, fmt.Errorf("no line makes class %s on %s", id, link)
}

func prepareDiffLive(ctx context.Context, s *stand) (pair, error) {
	if err := makeLinks(ctx, s); err != nil {
		return nil, err
	}
	d, c, err := s.applying(ctx)
	if err != nil {
		return nil, err
	}
	if err := commit(ctx, c, network{circuits: s.circuits(), queues: 16}); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (ours, other sample, err error) {
		began := time.Now()
		if err := quiet(ctx, filepath.Join(s.bin, "bakery-replay"), "diff", "unix:"+d.socket(), "--live"); err != nil {
			return ours, other, err
		}
		ours = sample{took: time.Since(began)}
		began = time.Now()
		err = dumpAll(ctx, "-j")
		return ours, sample{took: time.Since(began)}, err
	}, nil
}
