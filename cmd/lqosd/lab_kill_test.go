package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"

	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// TestLabKill kills the daemon while circuits are saturated, and starts another one.
func TestLabKill(t *testing.T) {
	inLab(t, func(s *shaper) {
		down, up := labCircuit{n: 1, ceil: 20}.stream(), labCircuit{n: 2, ceil: 20}.stream()
		up.UDP = 1
		s.survivesKills(program(t, "lqosd"), down, up)
	})
}

// TestLabKillBeforeTCX is TestLabKill on a kernel without TCX, where a filter does its work.
func TestLabKillBeforeTCX(t *testing.T) {
	inCakeLab(t, testenv.LabOptions{Queues: shaperQueues}, func(s *shaper) {
		self, err := os.Executable()
		daemon := filepath.Join(s.dir, "lqosd") // by that name the test binary is the program: testscript.Main
		if err == nil {
			err = os.Symlink(self, daemon)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.survivesKills(daemon, labCircuit{n: 1, ceil: 5}.stream(), labCircuit{n: 2, ceil: 5}.stream())
	})
}

// survivesKills wants a download of the first subscriber and an upload of the second to notice nothing of a kill and a restart.
func (s *shaper) survivesKills(program string, toDown, fromUp testenv.Shaped) {
	t := s.t
	t.Helper()
	start := func() *process {
		return s.startServing(t, program, "--mode", lqosconf.ModeApply)
	}
	d := start()
	down, up := labCircuit{n: 1, ceil: toDown.Ceil}, labCircuit{n: 2, ceil: fromUp.Ceil}
	s.play(s.network(down, up))
	fromUp.Subscriber, fromUp.Upload = testenv.Subscriber6(up.n), true
	toDown.Time, fromUp.Time = 6*time.Second, 6*time.Second

	before, since := s.objects(), s.tally()
	if len(before) < 10 {
		t.Errorf("only these objects are there: %v", before)
	}
	s.watch.count()
	enough := int64(down.ceil * 1e6 / 8 * 0.75) // bytes of three quarters of a second
	s.lab.MeasureWhile(t, func() {
		s.waitSent("with a daemon", enough, down, up)
		d.kill()
		s.waitSent("without a daemon", enough, down, up)
		d = start()
		s.applied()
		s.wrote("the restart", 0)
		st := s.status()
		if k := st.Kernel; st.Dataplane.Writes+k.Steering.Writes+k.Writes > 0 {
			t.Errorf("the restart wrote %d entries of maps, %d mappings, %d qdiscs and classes", st.Dataplane.Writes, k.Steering.Writes, k.Writes)
		}
		if diff := cmp.Diff(before, s.objects()); diff != "" {
			t.Errorf("the restart changed the objects:\n%s", diff)
		}
	}, toDown, fromUp)
	since.wantDefaultsIdle()
	t.Logf("the same %d objects, and %d bytes in the default classes", len(before), since.defaults())
	s.logDataplane()
}

// waitSent waits until the class of the download and that of the upload have sent so many bytes more.
func (s *shaper) waitSent(when string, enough int64, download, upload labCircuit) {
	s.t.Helper()
	since, limit := s.tally(), time.Now().Add(30*time.Second)
	for {
		down, up := since.circuit(download, false), since.circuit(upload, true)
		if down >= enough && up >= enough {
			return
		}
		if time.Now().After(limit) {
			s.t.Errorf("%s the classes sent %d and %d bytes, want %d at least", when, down, up, enough)
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

// objects are what the daemon pinned and what is at the hooks, with their ids.
func (s *shaper) objects() map[string]string {
	s.t.Helper()
	ids := s.pinned()
	for _, l := range s.status().Dataplane.Links {
		ids[l.Link+" ingress"] = fmt.Sprintf("%s program %d", l.Ingress.Kind, l.Ingress.Program)
		ids[l.Link+" egress"] = fmt.Sprintf("%s program %d", l.Egress.Kind, l.Egress.Program)
	}
	return ids
}

// pinned are the programs, maps and links that the daemon pinned, with their ids.
func (s *shaper) pinned() map[string]string {
	s.t.Helper()
	ids := map[string]string{}
	err := filepath.WalkDir(s.conf.Bakery.BPFFS, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) == ".debug" { // notes are symbolic links; the kernel has files for debugging
			return err
		}
		id, err := pinnedID(path)
		if err == nil {
			ids[strings.TrimPrefix(path, s.conf.Bakery.BPFFS)] = id
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return ids
}

// pinnedID says what is pinned at a path.
func pinnedID(path string) (string, error) {
	if m, err := ebpf.LoadPinnedMap(path, nil); err == nil {
		defer func() { _ = m.Close() }()
		info, err := m.Info()
		if err != nil {
			return "", err
		}
		id, _ := info.ID()
		return fmt.Sprintf("map %d", id), nil
	}
	if p, err := ebpf.LoadPinnedProgram(path, nil); err == nil {
		defer func() { _ = p.Close() }()
		info, err := p.Info()
		if err != nil {
			return "", err
		}
		id, _ := info.ID()
		return fmt.Sprintf("program %d", id), nil
	}
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return "", fmt.Errorf("what is pinned at %s: %w", path, err)
	}
	defer func() { _ = l.Close() }()
	info, err := l.Info()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("link %d of program %d", info.ID, info.Program), nil
}
