package main

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"lqosd/bakery"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
	"lqosd/xdp"
)

// inMappedField is inField with programs that steer.
func inMappedField(t *testing.T, name string, body func(f *field), edit ...func(*lqosconf.Config)) {
	t.Helper()
	inField(t, name, func(f *field) {
		testenv.Need(f.t, testenv.BPF)
		body(f)
	}, edit...)
}

// TestMappedRecordings: the recorded clients' addresses reach the maps, and the same again, with all its clearing, writes
// nothing, neither qdiscs nor maps; nor does a restart.
func TestMappedRecordings(t *testing.T) {
	for _, name := range []string{"example", "stick_flat", "tree3_frac", "n1000"} {
		t.Run(name, func(t *testing.T) {
			inMappedField(t, name, func(f *field) {
				end := f.serve()
				mappings := f.trace("ip.jsonl")
				all := append(f.trace("trace.jsonl"), mappings...)
				entries := (len(mappings) - 1) * len(f.links) // but for ClearIpFlow; on two links each is for both directions
				f.play(all)
				s := f.status()
				if got, want := *s.Kernel.Steering, (bakery.SteeringStatus{Entries: entries, Writes: uint64(entries), Reads: s.Kernel.Steering.Reads}); got != want {
					f.t.Errorf("steering: %+v, want %+v", got, want)
				}
				f.sameAsLog()
				f.watch.count()
				writes := s.Dataplane.Writes

				f.play(all)
				f.wrote("the same again", 0)
				if again := f.status(); again.Dataplane.Writes != writes || again.Kernel.Steering.Entries != entries {
					f.t.Errorf("the same again wrote %d entries of maps; %+v", again.Dataplane.Writes-writes, again.Kernel.Steering)
				}
				end()
				f.serve()
				f.applied()
				f.wrote("a restart", 0)
				if again := f.status(); again.Dataplane.Writes != 0 || again.Kernel.Steering.Entries != entries {
					f.t.Errorf("a restart wrote %d entries of maps; %+v", again.Dataplane.Writes, again.Kernel.Steering)
				}
				f.sameAsLog()
			})
		})
	}
}

// prefixes opens the map of the addresses.
func (f *field) prefixes() *ebpf.Map {
	f.t.Helper()
	for _, m := range f.status().Dataplane.Maps {
		if m.Name != "prefixes" {
			continue
		}
		opened, err := ebpf.NewMapFromID(ebpf.MapID(m.ID))
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = opened.Close() })
		return opened
	}
	f.t.Fatal("no map of prefixes")
	return nil
}

// deleteOne deletes some entry of the map of the addresses, as somebody else might.
func (f *field) deleteOne() {
	f.t.Helper()
	var key, value []byte
	m := f.prefixes()
	entries := m.Iterate()
	if !entries.Next(&key, &value) {
		f.t.Fatal("the map is empty:", entries.Err())
	}
	if err := m.Delete(key); err != nil {
		f.t.Fatal(err)
	}
}

// TestMapDrift: an entry that somebody deletes is reported, and comes back.
func TestMapDrift(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		f.serve()
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		f.deleteOne()
		k := f.until("a deleted entry is repaired", func(k *bakery.KernelStatus) bool {
			return len(k.Drift) == 1 && k.Drift[0].Fate == bakery.FateRepaired
		})
		if d := k.Drift[0]; d.Change != "removed" || d.Object != "mapping" || !strings.HasPrefix(d.Name, "circuit ") {
			f.t.Errorf("%+v", d)
		}
		f.sameAsLog()
	})
}

// TestMapDriftReported: it is only reported, and diff --live tells it.
func TestMapDriftReported(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		f.serve()
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		f.deleteOne()
		f.until("a deleted entry is reported", func(k *bakery.KernelStatus) bool { return k.DriftOpen == 1 })
		code, out, diag := f.run(f.t, program(f.t, "bakery-replay"), "diff", "unix:"+f.socket(), "--live", "--format", "json")
		if code != 1 {
			f.t.Fatalf("exit code %d, want 1: %s%s", code, out, diag)
		}
		var report struct {
			Differences []struct{ Change, Object, Link, ID string }
		}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			f.t.Fatal(err)
		}
		if d := report.Differences; len(d) != 1 || d[0].Change != "added" || d[0].Object != "mapping" || !slices.Contains(f.links, d[0].Link) {
			f.t.Fatalf("%+v", d)
		}
		if _, err := netip.ParsePrefix(report.Differences[0].ID); err != nil {
			f.t.Error(err)
		}
	}, func(c *lqosconf.Config) { c.Bakery.Drift = lqosconf.DriftReport })
}

// TestDetach: not beside a daemon; afterwards nothing is left, and the next daemon brings everything back.
func TestDetach(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		end := f.serve()
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		lqosd := program(f.t, "lqosd")
		code, _, diag := f.run(f.t, lqosd, "detach", "--config", f.config())
		if code != 1 || !strings.Contains(diag, "stop that daemon first") {
			f.t.Errorf("beside a daemon: exit code %d, %q", code, diag)
		}
		end()
		code, out, diag := f.run(f.t, lqosd, "detach", "--config", f.config())
		if code != 0 || strings.Count(out, "removed program ") != 2*len(f.links) {
			f.t.Errorf("exit code %d: %s%s", code, out, diag)
		}
		for _, link := range f.links {
			if shown := command(f.t, "ip", "-d", "link", "show", "dev", link); strings.Contains(shown, "prog/xdp") {
				f.t.Errorf("a program is left: %s", shown)
			}
		}
		code, out, _ = f.run(f.t, lqosd, "detach", "--config", f.config(), "--json")
		if code != 0 || strings.TrimSpace(out) != "{\n  \"removed\": []\n}" {
			f.t.Errorf("nothing there: exit code %d, %q", code, out)
		}
		for _, c := range []struct {
			flags []string
			code  int
			says  string
		}{{nil, 1, "23 address mappings, where nothing of lqosd steers"}, {[]string{"--no-maps"}, 0, "no difference"}} {
			code, out, _ = f.run(f.t, program(f.t, "bakery-replay"), append([]string{"diff", f.logDir(), "--live"}, c.flags...)...)
			if code != c.code || !strings.Contains(out, c.says) {
				f.t.Errorf("diff without a dataplane, %v: exit code %d, %q", c.flags, code, out)
			}
		}
		f.serve()
		f.applied()
		if s := f.status().Kernel.Steering; s.Entries != 46 || s.Writes != 46 {
			f.t.Errorf("%+v", s)
		}
		f.sameAsLog()
	})
}

// TestDataplaneOff: what an earlier daemon attached goes, and mappings are kept all the same.
func TestDataplaneOff(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		end := f.serve()
		if s := f.status(); s.Dataplane.State != "running" {
			f.t.Fatal(s.Dataplane.State)
		}
		end()
		f.configure(f.t, f.name, func(c *lqosconf.Config) {
			*c = f.conf
			c.Bakery.Dataplane = lqosconf.DataplaneOff
		})
		f.serve()
		if shown := command(f.t, "ip", "-d", "link", "show", "dev", f.links[0]); strings.Contains(shown, "prog/xdp") {
			f.t.Errorf("a program is left: %s", shown)
		}
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		s := f.status()
		if s.Dataplane.State != "none: bakery.dataplane is off" || s.Kernel.Steering != nil || s.Tree.Mappings != 23 {
			f.t.Errorf("%+v, %+v, %d mappings", s.Dataplane, s.Kernel.Steering, s.Tree.Mappings)
		}
		if code, _, diag := f.run(f.t, program(f.t, "lqosd"), "traffic", "--socket", f.socket()); code != 1 || !strings.Contains(diag, "there is no dataplane: bakery.dataplane is off") {
			f.t.Errorf("traffic: exit code %d, %q", code, diag)
		}
	})
}

// TestLayoutFollows: a configuration that swaps the links moves the programs with the next MqSetup.
func TestLayoutFollows(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		f.serve()
		internet, network := f.conf.Links()
		f.configure(f.t, f.name, func(c *lqosconf.Config) {
			*c = f.conf
			c.Bridge.ToInternet, c.Bridge.ToNetwork = network, internet
		})
		f.play(f.trace("trace.jsonl")[:1])
		f.until("the programs follow", func(*bakery.KernelStatus) bool {
			for _, l := range f.status().Dataplane.Links {
				if l.Link == internet {
					return l.Role == xdp.Network && l.Egress.Kind != "" && l.Ingress.Kind != ""
				}
			}
			return false
		})
	})
}

// TestSecondShaper: two daemons in a network namespace would undo what the other does, so there is one.
func TestSecondShaper(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		f.serve()
		code, _, diag := f.run(f.t, program(f.t, "lqosd"), "serve", "--config", f.config(),
			"--state-dir", filepath.Join(f.dir, "other"), "--socket", filepath.Join(f.dir, "other-bus"))
		if code != 1 {
			f.t.Errorf("exit code %d, want 1", code)
		}
		says(f.t, diag, "another daemon shapes in this network namespace")
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		f.sameAsLog()
	})
}
