package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"lqosd/bakery"
	"lqosd/bus"
)

// network is what a client of the second generation commits: circuits over queues, below one site for each queue.
type network struct {
	circuits, queues int
	faster           int  // so many circuits have another ceil
	addresses        bool // each circuit has one
}

// mbps are the rates of the network's classes.
const (
	siteMbps    = 1000
	circuitMbps = 20
	fasterMbps  = 25
)

// batch is the network as one batch.
func (n network) batch() []bus.Call {
	calls := []bus.Call{{Name: "BakeryStart"}, {Name: "BakeryMqSetup", Args: map[string]any{"queues_available": n.queues, "stick_offset": 0}}}
	for q := 1; q <= n.queues; q++ {
		site := bakery.AddSite{SiteHash: int64(q), Parent: uint32(q) << 16, UpParent: uint32(q) << 16, Minor: 3, Bandwidths: both(100, siteMbps)}
		calls = append(calls, bus.Call{Name: "BakeryAddSite", Args: site})
	}
	for i := range n.circuits {
		calls = append(calls, n.circuit(i))
	}
	return append(calls, bus.Call{Name: "BakeryCommit"})
}

func (n network) circuit(i int) bus.Call {
	q, ceil, address := i%n.queues+1, float32(circuitMbps), ""
	if n.addresses {
		address = fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	}
	if i < n.faster {
		ceil = fasterMbps
	}
	name, site, parent := fmt.Sprintf("circuit %d", i), fmt.Sprintf("site %d", q), uint32(q)<<16|3
	return bus.Call{Name: "BakeryAddCircuit", Args: bakery.AddCircuit{CircuitHash: int64(i), Name: &name, SiteName: &site, Parent: parent, UpParent: parent,
		Minor: uint16(n.minor(i)), Bandwidths: both(1, ceil), Major: uint16(q), UpMajor: uint16(q), Addresses: address}}
}

// both are rates and ceils that are the same in both directions.
func both(rate, ceil float32) bakery.Bandwidths {
	return bakery.Bandwidths{DownMin: rate, UpMin: rate, DownMax: ceil, UpMax: ceil}
}

func (n network) minor(i int) int { return 4 + i/n.queues }

// classID is the class of a circuit, as tc(8) writes it.
func (n network) classID(i int) string { return fmt.Sprintf("%x:%x", i%n.queues+1, n.minor(i)) }

// built says what of the network's circuits a kernel hasn't, as tc(8) sees it: what wasn't done must not count as fast.
func (n network) built(ctx context.Context) error {
	for _, link := range links {
		text, err := exec.CommandContext(ctx, "tc", "class", "show", "dev", link).Output()
		if err != nil {
			return fmt.Errorf("tc class show dev %s: %w", link, err)
		}
		if err := n.listed(text); err != nil {
			return fmt.Errorf("%s: %w", link, err)
		}
	}
	return nil
}

// listed compares a link's classes, as tc(8) lists them, with the circuits that it should have.
func (n network) listed(text []byte) error {
	slow, fast := bytes.Count(text, fmt.Appendf(nil, " ceil %dMbit ", circuitMbps)), bytes.Count(text, fmt.Appendf(nil, " ceil %dMbit ", fasterMbps))
	if slow != n.circuits-n.faster || fast != n.faster {
		return fmt.Errorf("the kernel has %d circuits of %d Mbit/s and %d of %d, not %d and %d", slow, circuitMbps, fast, fasterMbps, n.circuits-n.faster, n.faster)
	}
	return nil
}
