package bakery_test

import (
	"fmt"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// handle is a class or queue as clients of the second generation send it.
func handle(text string) uint32 {
	h, err := tc.ParseHandle(text)
	if err != nil {
		panic(err)
	}
	return uint32(h)
}

// both are the same rates in both directions.
func both(mbps float32) bakery.Bandwidths {
	return bakery.Bandwidths{DownMin: mbps, UpMin: mbps, DownMax: mbps, UpMax: mbps}
}

// stateSite and stateCircuit are members with the same place in both directions.
func stateSite(hash int64, parent string, minor uint16, mbps float32, edit ...func(*bakery.AddSite)) bakery.Member {
	s := bakery.AddSite{SiteHash: hash, Parent: handle(parent), UpParent: handle(parent), Minor: minor, Bandwidths: both(mbps)}
	for _, e := range edit {
		e(&s)
	}
	return bakery.Member{Site: &s}
}

func stateCircuit(hash int64, parent string, minor uint16, mbps float32, edit ...func(*bakery.AddCircuit)) bakery.Member {
	name, major := fmt.Sprintf("C%d", hash), uint16(handle(parent)>>16)
	c := bakery.AddCircuit{CircuitHash: hash, Name: &name, Parent: handle(parent), UpParent: handle(parent), Minor: minor,
		Bandwidths: both(mbps), Major: major, UpMajor: major}
	for _, e := range edit {
		e(&c)
	}
	return bakery.Member{Circuit: &c}
}

// at gives a circuit addresses, and sqm a leaf.
func at(addresses ...string) func(*bakery.AddCircuit) {
	return func(c *bakery.AddCircuit) { c.Addresses = strings.Join(addresses, ",") }
}

func sqm(words string) func(*bakery.AddCircuit) {
	return func(c *bakery.AddCircuit) { c.SQMOverride = &words }
}

// onStick moves the upload of members two queues further.
func onStick(members []bakery.Member) []bakery.Member {
	var moved []bakery.Member
	for _, m := range members {
		if m.Site != nil {
			s := *m.Site
			s.UpParent += 2 << 16
			moved = append(moved, bakery.Member{Site: &s})
			continue
		}
		c := *m.Circuit
		c.UpParent += 2 << 16
		c.UpMajor += 2
		moved = append(moved, bakery.Member{Circuit: &c})
	}
	return moved
}

// smallBatch is two sites with a circuit each: 1:5 of 81 below 1:3, and 1:6 of 82 below 1:4.
func smallBatch() []bakery.Member {
	return []bakery.Member{stateSite(71, "1:", 3, 100), stateSite(72, "1:", 4, 100),
		stateCircuit(81, "1:3", 5, 10, at("10.0.0.5")), stateCircuit(82, "1:4", 6, 20, at("10.0.0.6", "fd00:6::/56"))}
}

// batchOf is a batch with members that are all taken.
func batchOf(t testing.TB, members ...bakery.Member) *bakery.Batch {
	t.Helper()
	b := bakery.NewBatch()
	for _, m := range members {
		if err := b.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// commitOf is the command of a batch with members that are all taken.
func commitOf(t testing.TB, members ...bakery.Member) bakery.Command {
	t.Helper()
	return batchOf(t, members...).Commit()
}

// queuesOf states n queues.
func queuesOf(n, offset int) bakery.MqSetup {
	return bakery.MqSetup{QueuesAvailable: &n, StickOffset: &offset}
}

// resolved is a Commit as it is logged, over queues 1 and 2 of eth1 and eth0.
func resolved(members ...bakery.Member) bakery.Commit {
	d := bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake diffserv4"}}
	up := d
	up.Link = "eth0"
	return bakery.Commit{Setup: bakery.MqSetup{Down: d, Up: up, R2Q: 10}, Leaf: bakery.LeafRule{FastMbps: 1000}, Members: members}
}
