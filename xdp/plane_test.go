package xdp

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// TestReopen: who opens a Plane again finds all as it was, and writes nothing.
func TestReopen(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.wantAttached(p, kindTCX)
		l.steer(p, someSteers, nil)
		before := l.state(p)
		l.close(p)
		p = l.open()
		defer l.close(p)
		l.wantSame(before, l.state(p))
		l.wantSteers(p, someSteers)
		l.wantAttached(p, kindTCX)
		if n := l.status(p).Writes; n != 0 {
			l.Errorf("%d entries were written", n)
		}
	})
}

// TestUpgrade: other programs take the places of the old ones, on the same bpf_links and with the same maps.
func TestUpgrade(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers, nil)
		before := l.state(p)
		l.close(p)
		l.seams.spec = otherPrograms
		p = l.open()
		defer l.close(p)
		after := l.state(p)
		for name, id := range before {
			isProgram := strings.HasPrefix(name, "program ")
			if changed := after[name] != id; changed != isProgram {
				l.Errorf("%s was %d and is %d", name, id, after[name])
			}
		}
		l.wantSteers(p, someSteers)
		l.wantAttached(p, kindTCX)
		l.wantFolders("v", 1)
		if programs, err := folders(l.mapsFolder(), programsPrefix); len(programs) != 1 || err != nil {
			l.Error("programs:", programs, err)
		}
	})
}

// otherPrograms are the programs with an instruction more, that does nothing.
func otherPrograms() (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	for _, p := range spec.Programs {
		p.Instructions = slices.Insert(p.Instructions, 1, asm.Mov.Reg(asm.R1, asm.R1))
	}
	return spec, nil
}

// otherMaps are maps that have room for more.
func otherMaps() (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	spec.Maps[bpfMapCircuits].MaxEntries++
	return spec, nil
}

// smallMaps have room for 6000 steers.
func smallMaps() (*ebpf.CollectionSpec, error) {
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	spec.Maps[bpfMapPrefixes].MaxEntries = 6000
	return spec, nil
}

// version1 makes a Plane load what version 1 of the layout did, of which testdata has the object: prefixes was the kernel's trie. Its
// programs don't mind what comes behind the settings that they know.
func version1(s *seams) {
	s.version = 1
	s.spec = func() (*ebpf.CollectionSpec, error) {
		spec, err := ebpf.LoadCollectionSpec(filepath.Join("testdata", "version1.o"))
		if err != nil {
			return nil, err
		}
		m := spec.Maps[bpfMapSettings]
		m.ValueSize, m.Key, m.Value = uint32(binary.Size(bpfControl{})), nil, nil
		return spec, nil
	}
}

// TestFromTheTrie: the steers of version 1, of all lengths, go along, and are found by programs that remember nothing yet.
func TestFromTheTrie(t *testing.T) {
	inLab(t, func(l lab) {
		version1(&l.seams)
		p := l.open()
		if typ := p.objects.maps[bpfMapPrefixes].Type(); typ != ebpf.LPMTrie {
			l.Fatal(typ)
		}
		model := steerModel{}
		for n, text := range prefixAddresses {
			a := netip.MustParseAddr(text)
			for bits := range a.BitLen() + 1 {
				for _, upload := range []bool{false, true} {
					s := tc.Steer{Prefix: netip.PrefixFrom(a, bits).Masked(), Upload: upload, Class: tc.Handle(1000*(n+1) + bits), Circuit: 7}
					model[steerKey{s.Prefix, upload}] = s
				}
			}
		}
		steers := slices.SortedFunc(maps.Values(model), tc.CompareSteers)
		l.steer(p, steers, nil)
		before := l.state(p)
		l.close(p)
		l.seams = defaultSeams()
		p = l.open()
		defer l.close(p)
		for name, id := range l.state(p) {
			if is := before[name] == id; is != strings.HasPrefix(name, "link ") {
				l.Errorf("%s was %d and is %d", name, before[name], id)
			}
		}
		if typ := p.objects.maps[bpfMapPrefixes].Type(); typ != ebpf.Hash {
			l.Error(typ)
		}
		if told := l.told(p); told != model.lengths() {
			l.Errorf("told of %x, want %x", told, model.lengths())
		}
		for _, text := range prefixAddresses {
			a := netip.MustParseAddr(text)
			for bit := range a.BitLen() {
				for _, upload := range []bool{false, true} {
					if got, want := l.class(p, upload, flip(a, bit)), model.class(upload, flip(a, bit)); got != want {
						l.Errorf("%s, upload %v: class %s, want %s", flip(a, bit), upload, got, want)
					}
				}
			}
		}
		writes := l.status(p).Writes
		l.wantSteers(p, steers)
		if n := l.status(p).Writes; n != writes {
			l.Errorf("to read wrote %d entries", n-writes)
		}
		l.wantAttached(p, kindTCX)
		l.wantFolders("v", 1)
	})
}

// TestTooManyInTheTrie: what doesn't fit isn't taken along in part: the programs that are there stay, and go on.
func TestTooManyInTheTrie(t *testing.T) {
	inLab(t, func(l lab) {
		version1(&l.seams)
		p := l.open()
		l.steer(p, append(manySteers(5000), someSteers...), nil)
		l.close(p)
		l.seams = defaultSeams()
		l.seams.spec = smallMaps
		p, err := open(l.Context(), l.options, l.seams)
		if err == nil {
			l.close(p)
		}
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "there is room for 6000") {
			l.Error(err)
		}
		l.wantSteered()
	})
}

// TestOtherMaps: maps of another version, or of another shape, get what the old ones had, and then the
// programs that go with them.
func TestOtherMaps(t *testing.T) {
	for name, change := range map[string]func(*seams){
		"version": func(s *seams) { s.version++ },
		"shape":   func(s *seams) { s.spec = otherMaps },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l lab) {
				p := l.open()
				l.steer(p, someSteers, nil)
				if err := p.objects.maps[bpfMapCircuits].Put(uint64(7), &bpfTraffic{Direction: [2]bpfFlow{{Packets: 9}}}); err != nil {
					l.Fatal(err)
				}
				before := l.state(p)
				l.close(p)
				change(&l.seams)
				p = l.open()
				defer l.close(p)
				after := l.state(p)
				for name, id := range before {
					stays := strings.HasPrefix(name, "link ")
					if same := after[name] == id; same != stays {
						l.Errorf("%s was %d and is %d", name, id, after[name])
					}
				}
				l.wantSteers(p, someSteers)
				l.wantAttached(p, kindTCX)
				l.wantFolders("v", 1)
				if traffic, err := p.Traffic(l.Context()); err != nil || len(traffic) != 1 || traffic[0].Down.Packets != 9 {
					l.Error(traffic, err)
				}
			})
		})
	}
}

// TestOtherMeaning: what means something else now isn't taken along.
func TestOtherMeaning(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers, nil)
		if err := p.objects.maps[bpfMapCircuits].Put(uint64(7), &bpfTraffic{}); err != nil {
			l.Fatal(err)
		}
		l.close(p)
		l.seams.version = layoutVersion + 1
		l.seams.moved = map[string]int{bpfMapPrefixes: layoutVersion + 1, bpfMapCircuits: layoutVersion}
		p = l.open()
		defer l.close(p)
		l.wantSteers(p, nil)
		l.wantAttached(p, kindTCX)
		if traffic, err := p.Traffic(l.Context()); err != nil || len(traffic) != 1 {
			l.Error(traffic, err)
		}
	})
}

// TestBrokenPins: pins that somebody removed are made again, and what is left of the maps isn't lost.
func TestBrokenPins(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers, nil)
		l.close(p)
		if err := os.Remove(filepath.Join(l.mapsFolder(), bpfMapCounts)); err != nil {
			l.Fatal(err)
		}
		p = l.open()
		defer l.close(p)
		l.wantSteers(p, someSteers)
		l.wantAttached(p, kindTCX)
		l.wantFolders("v", 1)
	})
}

// TestPinsRemoved: pins that somebody removes are made again while a process runs, and what they keep outlives it.
func TestPinsRemoved(t *testing.T) {
	for name, what := range map[string][]string{
		"of links": {"netns-*", linksFolder, "*"}, "of a map": {"netns-*", "v*", bpfMapCounts}, "all": {""},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l lab) {
				p := l.open()
				l.steer(p, someSteers, nil)
				before := l.state(p)
				found, err := filepath.Glob(filepath.Join(append([]string{l.options.BPFFS, ourFolder}, what...)...))
				if err != nil || len(found) == 0 {
					l.Fatal(found, err)
				}
				for _, path := range found {
					if err := os.RemoveAll(path); err != nil {
						l.Fatal(err)
					}
				}
				p.look()
				l.close(p)
				p = l.open()
				defer l.close(p)
				l.wantSame(before, l.state(p))
				l.wantAttached(p, kindTCX)
				l.wantSteers(p, someSteers)
			})
		})
	}
}

// TestForeignMaps: programs with pins of the right name that use other maps than ours aren't taken.
func TestForeignMaps(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.close(p)
		folders, err := filepath.Glob(filepath.Join(l.mapsFolder(), programsPrefix+"*"))
		if err != nil || len(folders) != 1 {
			l.Fatal(folders, err)
		}
		spec, err := loadBpf()
		if err != nil {
			l.Fatal(err)
		}
		c, err := ebpf.NewCollection(spec) // with maps of its own
		if err != nil {
			l.Fatal(err)
		}
		defer c.Close()
		pin := filepath.Join(folders[0], bpfProgEnterNetwork)
		if err := errors.Join(os.Remove(pin), c.Programs[bpfProgEnterNetwork].Pin(pin)); err != nil {
			l.Fatal(err)
		}
		p = l.open()
		defer l.close(p)
		l.wantAttached(p, kindTCX)
		ours, err := mapIDs(p.objects.maps)
		if err != nil {
			l.Fatal(err)
		}
		info, err := p.objects.programs[bpfProgEnterNetwork].Info()
		if err != nil {
			l.Fatal(err)
		}
		used, _ := info.MapIDs()
		for _, id := range used {
			if !slices.Contains(ours, id) {
				l.Errorf("map %d isn't ours", id)
			}
		}
	})
}

// TestCrash stops Open after each of its steps, as a crash would: the next one completes it.
func TestCrash(t *testing.T) {
	for name, change := range map[string]func(*seams){
		"first":      nil,
		"programs":   func(s *seams) { s.spec = otherPrograms },
		"both":       func(s *seams) { s.version++; s.spec = otherPrograms },
		"links swap": func(*seams) {},
		"trie":       func(s *seams) { *s = defaultSeams() },
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l lab) {
				if name == "trie" {
					version1(&l.seams)
				}
				for n := 1; l.crash(n, change); n++ {
				}
			})
		})
	}
}

var errCrash = errors.New("crash")

// crash lets a Plane be, changes something, lets Open stop after step n, and then opens it. It reports whether
// there was a step n.
func (l lab) crash(n int, change func(*seams)) bool {
	l.Helper()
	if _, err := Detach(l.options); err != nil {
		l.Fatal(err)
	}
	before := map[string]uint32{}
	crashed := l
	if change != nil {
		p := l.open()
		l.steer(p, someSteers, nil)
		before = l.state(p)
		l.close(p)
		change(&crashed.seams)
		if strings.HasSuffix(l.Name(), "links_swap") {
			crashed.options.Layout = Layout{Internet: "v1", Network: "v0"}
		}
	}
	again := crashed
	where := ""
	crashed.seams.step = func(name string) error {
		if n--; n == 0 {
			where = name
			return errCrash
		}
		return nil
	}
	p, err := open(l.Context(), crashed.options, crashed.seams)
	switch {
	case err == nil:
		l.close(p)
		return false
	case !errors.Is(err, errCrash):
		l.Fatal(err)
	}
	l.Logf("stopped after %q", where)
	if change != nil && crashed.options.Layout == twoLinks {
		l.wantSteered()
	}
	p = again.open()
	defer l.close(p)
	l.wantAttached(p, kindTCX)
	l.wantFolders("v", 1)
	if change != nil {
		if told := l.told(p); told != bundleOf(someSteers).lengths {
			l.Errorf("the programs are told of %x", told)
		}
		l.wantSteers(p, someSteers)
		for name, id := range l.state(p) {
			if strings.HasPrefix(name, "link ") && before[name] != id {
				l.Errorf("%s was %d and is %d", name, before[name], id)
			}
		}
	}
	return true
}

// TestDetach: nothing is left.
func TestDetach(t *testing.T) {
	inLab(t, func(l lab) {
		if removed, err := Detach(l.options); len(removed) > 0 || err != nil {
			l.Fatal("with nothing there:", removed, err)
		}
		p := l.open()
		ids := l.state(p)
		if _, err := Detach(l.options); !errors.Is(err, ErrInUse) {
			l.Error("while it is open:", err)
		}
		l.close(p)
		removed, err := Detach(l.options)
		if err != nil || len(removed) != 5 {
			l.Error(removed, err)
		}
		if _, err := os.Stat(filepath.Join(l.options.BPFFS, ourFolder)); !errors.Is(err, os.ErrNotExist) {
			l.Error("pins are left:", err)
		}
		l.wantGone(ids)
		for _, name := range []string{"v0", "v1"} {
			if d, err := lookUp(name); err != nil || d.native != 0 || d.generic != 0 {
				l.Error(name, d, err)
			}
		}
		if _, err := Look(l.Context(), l.options); !errors.Is(err, ErrNotThere) {
			l.Error("Look:", err)
		}
	})
}

// TestInUse: two processes don't steer in one network namespace.
func TestInUse(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		if _, err := Open(l.Context(), l.options); !errors.Is(err, ErrInUse) {
			l.Error(err)
		}
		l.wantAttached(p, kindTCX)
	})
}

// TestLook sees what is pinned, also while a process has it open.
func TestLook(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers, nil)
		check := func() {
			l.Helper()
			v, err := Look(l.Context(), l.options)
			if err != nil {
				l.Fatal(err)
			}
			slices.SortFunc(v.Steers, tc.CompareSteers)
			if v.Layout != twoLinks || !slices.Equal(v.Steers, someSteers) {
				l.Errorf("%+v", v)
			}
		}
		check()
		l.close(p)
		check()
	})
}

// TestLayouts: a Layout that can't be is refused.
func TestLayouts(t *testing.T) {
	for _, bad := range []Layout{
		{}, {Internet: "a"}, {Network: "a"},
		{Internet: "a", Network: "a"}, {Internet: "a", Network: "a", InternetVLAN: 3, NetworkVLAN: 3},
	} {
		if p, err := Open(t.Context(), Options{Layout: bad}); err == nil {
			t.Errorf("%+v was opened", bad)
			_ = p.Close()
		}
	}
}
