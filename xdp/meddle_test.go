package xdp

import (
	"testing"

	"github.com/cilium/ebpf"
)

// TestStrayKeys: keys that no steer has, in whatever way they are wrong, are removed, and ours stay.
func TestStrayKeys(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		prefixes := p.objects.maps[bpfMapPrefixes]
		strays := []bpfPrefix{
			{Length: 32 + 8, Space: 9, Address: [4]uint32{7}},           // a space that isn't
			{Length: 4, Space: 0},                                       // a prefix of spaces
			{Length: 32 + 40, Space: 0, Address: [4]uint32{1, 2}},       // more bits than IPv4 has
			{Length: 32 + 24, Space: 1, Address: [4]uint32{9, 9, 0, 9}}, // words that IPv4 doesn't have
		}
		for _, k := range strays {
			if err := prefixes.Put(k, bpfSteer{Class: 0x10004}); err != nil {
				l.Fatal(err)
			}
		}
		l.wantSteers(p, someSteers)
		for _, k := range strays {
			if err := prefixes.Delete(k); err == nil {
				l.Errorf("%+v is still there", k)
			}
		}
		l.wantSteers(p, someSteers)
	})
}

// TestSettingsAreKept: what somebody writes over settings and CPUs is written again.
func TestSettingsAreKept(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		settings, cpus := p.objects.maps[bpfMapSettings], p.objects.maps[bpfMapCpus]
		var was, is bpfControl
		if err := settings.Lookup(uint32(0), &was); err != nil {
			l.Fatal(err)
		}
		meddled := bpfControl{Epoch: was.Epoch, Cpus: 77, InternetVlan: 7, NetworkVlan: 8}
		if err := settings.Put(uint32(0), meddled); err != nil {
			l.Fatal(err)
		}
		if cpus.Type() == ebpf.CPUMap {
			if err := cpus.Delete(uint32(0)); err != nil {
				l.Fatal(err)
			}
		}
		p.reconfigure()
		if err := settings.Lookup(uint32(0), &is); err != nil || is != was {
			l.Errorf("settings: %+v, want %+v (%v)", is, was, err)
		}
		var length uint32
		if err := cpus.Lookup(uint32(0), &length); err != nil || length != queueLength {
			l.Errorf("CPU 0: a queue of %d (%v)", length, err)
		}
		writes := l.status(p).Writes
		p.reconfigure()
		if again := l.status(p).Writes; again != writes {
			l.Errorf("nothing was wrong, and %d entries were written", again-writes)
		}
	})
}
