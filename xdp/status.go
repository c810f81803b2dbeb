package xdp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// Status is what the dataplane is like at a moment.
type Status struct {
	BPFFS    BPFFSStatus  `json:"bpffs"`
	Links    []LinkStatus `json:"links"`
	CPUs     CPUStatus    `json:"cpus"`
	Maps     []MapStatus  `json:"maps"`
	Verdicts []Verdict    `json:"verdicts"`
	Writes   uint64       `json:"writes"` // entries of maps that this process wrote
}

// BPFFSStatus says where the pins are.
type BPFFSStatus struct {
	Directory string `json:"directory"`
	// Why says why the programs may not outlive the process; "" if they do.
	Why string `json:"why,omitempty"`
}

// LinkStatus is a link of the layout.
type LinkStatus struct {
	Link    string `json:"link"`
	Role    Role   `json:"role"`
	Index   int    `json:"index,omitempty"` // 0 while there is no such link
	Ingress Hook   `json:"ingress"`
	Egress  Hook   `json:"egress"`
	Queues  Queues `json:"queues"`
	Stays   string `json:"stays,omitempty"` // why XDP leaves packets on the CPU that they come in by
}

// Hook is a place for a program.
type Hook struct {
	Kind     string    `json:"kind,omitempty"` // xdp, tcx or clsact; "" while nothing of ours is there
	Mode     Mode      `json:"mode,omitempty"` // of XDP
	Program  uint32    `json:"program,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Fallback string    `json:"fallback,omitempty"` // why it isn't native
	Why      string    `json:"why,omitempty"`      // why nothing of ours is there
}

// Queues says who chooses tx queues.
type Queues struct {
	Tx      int    `json:"tx"`            // how many there are
	Cleared uint64 `json:"cleared"`       // how often a mask of XPS was emptied
	Why     string `json:"why,omitempty"` // why the kernel may choose others
}

// CPUStatus says whether packets are handed to other CPUs.
type CPUStatus struct {
	Online   int    `json:"online"`
	Redirect bool   `json:"redirect"`
	Why      string `json:"why,omitempty"` // why not
}

// MapStatus is a map.
type MapStatus struct {
	Name    string `json:"name"`
	ID      uint32 `json:"id"`
	Entries int    `json:"entries"` // of prefixes: when Steers read them last
	Max     uint32 `json:"max"`
}

// Verdict counts the packets that a hook had one thing to say about.
type Verdict struct {
	Hook      string `json:"hook"`      // ingress or egress
	Direction string `json:"direction"` // down or up
	Verdict   string `json:"verdict"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
}

// Status tells how things are.
func (p *Plane) Status(ctx context.Context) (s Status, err error) {
	err = p.during(func() error { s, err = p.status(ctx); return err })
	return s, err
}

func (p *Plane) status(ctx context.Context) (Status, error) {
	s := Status{
		BPFFS:  BPFFSStatus{Directory: p.directory.shown(), Why: p.directory.fs.brief},
		Writes: p.wrote.Load(),
	}
	p.attaching.Lock()
	s.CPUs = p.cpus
	for _, at := range p.layout.places() {
		if a := p.attached[at.link]; a != nil {
			s.Links = append(s.Links, LinkStatus{a.link, a.role, a.index, a.ingress.Hook, a.egress.Hook, a.queues, a.stays})
		}
	}
	p.attaching.Unlock()
	var err error
	if s.Maps, err = p.mapStatuses(ctx); err != nil {
		return s, err
	}
	s.Verdicts, err = readVerdicts(p.objects.maps[bpfMapCounts])
	return s, err
}

// mapStatuses counts the entries of maps. The cache is left out: its entries are no news.
func (p *Plane) mapStatuses(ctx context.Context) ([]MapStatus, error) {
	counters := map[string]func(*ebpf.Map) (int, error){
		bpfMapPrefixes: func(m *ebpf.Map) (int, error) {
			if n := p.steers.Load(); n >= 0 { // to read 100,000 takes 40 ms, and Steers does so all the time
				return int(n), nil
			}
			n, err := entries[bpfPrefix, bpfSteer](ctx, m)
			if err == nil {
				p.steers.CompareAndSwap(-1, int64(n))
			}
			return n, err
		},
		bpfMapCircuits: func(m *ebpf.Map) (int, error) { return entries[uint64, bpfTraffic](ctx, m) },
	}
	var list []MapStatus
	for _, name := range slices.Sorted(maps.Keys(counters)) {
		m := p.objects.maps[name]
		info, err := m.Info()
		if err != nil {
			return nil, fmt.Errorf("asking for map %s: %w", name, err)
		}
		id, _ := info.ID()
		n, err := counters[name](m)
		if err != nil {
			return nil, fmt.Errorf("counting map %s: %w", name, err)
		}
		list = append(list, MapStatus{Name: name, ID: uint32(id), Entries: n, Max: m.MaxEntries()})
	}
	return list, nil
}

func entries[K, V any](ctx context.Context, m *ebpf.Map) (n int, err error) {
	err = readAll(ctx, m, func(keys []K, _ []V) { n += len(keys) })
	return n, err
}

// verdicts are the names of enum verdict.
var verdicts = []string{
	bpfVerdictVERDICT_CACHED: "cached", bpfVerdictVERDICT_FOUND: "found", bpfVerdictVERDICT_UNKNOWN: "unknown",
	bpfVerdictVERDICT_OTHER: "other", bpfVerdictVERDICT_SHORT: "short", bpfVerdictVERDICT_ASIDE: "aside",
	bpfVerdictVERDICT_CARRIED: "carried", bpfVerdictVERDICT_REDIRECTED: "redirected",
}

// readVerdicts sums up the counts of all CPUs, without those that are 0.
func readVerdicts(counts *ebpf.Map) ([]Verdict, error) {
	var list []Verdict
	for v, name := range verdicts {
		var perCPU []bpfVerdictCounts
		if err := counts.Lookup(uint32(v), &perCPU); err != nil {
			return nil, fmt.Errorf("reading counts: %w", err)
		}
		for h, hook := range []string{"ingress", "egress"} {
			for d, direction := range []string{down: "down", up: "up"} {
				sum := Verdict{Hook: hook, Direction: direction, Verdict: name}
				for _, c := range perCPU {
					sum.Packets += c.Of[h][d].Packets
					sum.Bytes += c.Of[h][d].Bytes
				}
				if sum.Packets > 0 {
					list = append(list, sum)
				}
			}
		}
	}
	return list, nil
}
