package xdp

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// queueLength is how many packets wait for a CPU that the packets of others are handed to.
// 2048 packets are 2.5 ms of 10 Gbit/s at 1500 bytes: longer than the pause until the CPU's thread is
// scheduled, shorter than what a subscriber would feel. The kernel takes up to 16384
// (kernel/bpf/cpumap.c).
const queueLength = 2048

// readSettings reads what the programs are told.
func readSettings(settings *ebpf.Map) (c bpfControl, err error) {
	if err = settings.Lookup(uint32(0), &c); err != nil {
		err = fmt.Errorf("reading the settings: %w", err)
	}
	return c, err
}

// adjust changes what the programs are told, if that is different from what they are told now.
func (p *Plane) adjust(change func(*bpfControl)) error {
	settings := p.objects.maps[bpfMapSettings]
	was, err := readSettings(settings)
	if err != nil {
		return err
	}
	now := was
	change(&now)
	if now == was {
		return nil
	}
	if err := settings.Put(uint32(0), &now); err != nil {
		return fmt.Errorf("writing the settings: %w", err)
	}
	p.wrote.Add(1)
	return nil
}

// forget makes the programs' cache of addresses forget all.
func (p *Plane) forget() error {
	return p.adjust(func(c *bpfControl) { c.Epoch++; c.Changing = 0 })
}

// announce tells the programs of lengths, and whoever opens this next, should this process be killed, that prefixes were about to be written.
func (p *Plane) announce(l lengths) error {
	p.lengths = l
	return p.adjust(func(c *bpfControl) { c.Lengths, c.Changing = l, 1 })
}

// takeOver reads the settings that a process before left. If that was killed while it wrote prefixes the cache forgets them.
func (p *Plane) takeOver() error {
	c, err := readSettings(p.objects.maps[bpfMapSettings])
	if err != nil {
		return err
	}
	if p.lengths = c.Lengths; c.Changing == 0 {
		return nil
	}
	return p.forget()
}

// tell tells the programs of lengths, and of no others.
func (p *Plane) tell(l lengths) error {
	p.lengths = l
	return p.adjust(func(c *bpfControl) { c.Lengths = l })
}

// correct is tell for those of prefixes that are there: what the programs remember is wrong if they weren't told of one of them.
func (p *Plane) correct(l lengths) error {
	told, err := readLengths(p.objects.maps[bpfMapSettings])
	err = then(err, func() error { return p.tell(l) })
	if err == nil && told.with(l) != told {
		err = p.forget()
	}
	return err
}

// configure writes settings and CPUs for a layout.
func (p *Plane) configure(l Layout) error {
	cpus, err := onlineCPUs()
	if err != nil {
		return err
	}
	status := CPUStatus{Online: len(cpus), Redirect: true}
	if err := p.writeCPUs(cpus); err != nil {
		status.Redirect, status.Why = false, err.Error()
	}
	p.attaching.Lock()
	before := p.cpus
	p.cpus = status
	p.attaching.Unlock()
	if status != before && status.Why != "" {
		p.options.Logger.Warn("packets stay on the CPU that they come in by", "reason", status.Why)
	}
	err = p.adjust(func(c *bpfControl) {
		c.Cpus = uint32(len(cpus))
		c.InternetVlan, c.NetworkVlan = 0, 0
		if l.Stick() {
			c.InternetVlan, c.NetworkVlan = l.InternetVLAN, l.NetworkVLAN
		}
	})
	return then(err, func() error { return p.correct(p.lengths) })
}

// readLengths reads what the programs are told of.
func readLengths(settings *ebpf.Map) (lengths, error) {
	c, err := readSettings(settings)
	return c.Lengths, err
}

// reconfigure writes settings and CPUs that somebody else changed, and CPUs that came.
func (p *Plane) reconfigure() {
	p.steering.Lock()
	defer p.steering.Unlock()
	p.attaching.Lock()
	layout := p.layout
	p.attaching.Unlock()
	wrote := p.wrote.Load()
	err := p.configure(layout)
	switch {
	case err != nil:
		p.options.Logger.Error("settings of the programs can't be written", "error", err)
	case p.wrote.Load() != wrote:
		p.options.Logger.Warn("drift", "what", "settings of the programs or CPUs were others; they are written again")
	}
}

// writeCPUs makes the kernel start a thread for every CPU that has none.
func (p *Plane) writeCPUs(cpus []uint32) error {
	m := p.objects.maps[bpfMapCpus]
	if m.Type() != ebpf.CPUMap {
		return errors.New("the kernel has no cpumap")
	}
	for _, cpu := range cpus {
		var length uint32
		if err := m.Lookup(cpu, &length); err == nil && length == queueLength {
			continue
		}
		if err := m.Put(cpu, uint32(queueLength)); err != nil {
			return fmt.Errorf("adding CPU %d to the cpumap: %w", cpu, err)
		}
		p.wrote.Add(1)
	}
	return nil
}

// onlineCPUs are the numbers of the CPUs that run.
func onlineCPUs() ([]uint32, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if errors.Is(err, os.ErrNotExist) { // a kernel without SMP
		return []uint32{0}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseCPUs(strings.TrimSpace(string(text)))
}

// parseCPUs reads a list as 0-2,5 (Documentation/admin-guide/cputopology.rst of the kernel).
func parseCPUs(list string) ([]uint32, error) {
	var cpus []uint32
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("list of CPUs %q: %w", list, err)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, uint32(cpu))
		}
	}
	return cpus, nil
}
