package xdp

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
)

// layoutVersion is that of what the maps mean. Whoever changes what a key or value means raises
// it, also where the shape stays the same, and says in moved that the old content doesn't go along.
const layoutVersion = 2

// objects are what the kernel has loaded: maps and the programs that use them, by name.
type objects struct {
	maps     map[string]*ebpf.Map
	programs map[string]*ebpf.Program
}

// Close closes the descriptors; what is pinned stays.
func (o *objects) Close() error {
	var errs []error
	for _, m := range o.maps {
		errs = append(errs, m.Close())
	}
	for _, p := range o.programs {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// blueprint is what is to be loaded, and the names that tell it from others.
type blueprint struct {
	spec     *ebpf.CollectionSpec
	maps     string // the folder of the maps
	programs string // that of the programs, in it
	moved    map[string]int
}

// newBlueprint fits the compiled programs to this machine.
func newBlueprint(s seams) (blueprint, error) {
	spec, err := s.spec()
	if err != nil {
		return blueprint{}, err
	}
	possible, err := ebpf.PossibleCPU()
	if err != nil {
		return blueprint{}, err
	}
	spec.Maps[bpfMapCpus].MaxEntries = uint32(possible)
	switch err := features.HaveMapType(ebpf.CPUMap); {
	case errors.Is(err, ebpf.ErrNotSupported):
		spec.Maps[bpfMapCpus].Type = ebpf.DevMap // which redirects nowhere while it is empty
	case err != nil:
		return blueprint{}, fmt.Errorf("asking whether there are cpumaps: %w", permission(err))
	}
	return blueprint{
		spec:     spec,
		maps:     fmt.Sprintf("v%d-%s", s.version, mapsFingerprint(spec)),
		programs: programsPrefix + programsFingerprint(spec),
		moved:    s.moved,
	}, nil
}

const programsPrefix = "programs-"

// mapsFingerprint is of the shapes of all maps. What ebpf.MapSpec.Compatible compares is in it.
func mapsFingerprint(spec *ebpf.CollectionSpec) string {
	h := fnv.New32a()
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		m := spec.Maps[name]
		fmt.Fprintln(h, name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// programsFingerprint is of the code of all programs. The kernel's tag of a program, which
// ebpf.ProgramSpec.Compatible compares, is not enough: it knows neither the flags nor the
// maps that a program was loaded with, and it is of the instructions after relocation, so that one of a spec may differ from
// that of the same program.
func programsFingerprint(spec *ebpf.CollectionSpec) string {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		fmt.Fprintln(h, name, p.Type, p.AttachType, p.Flags, p.License)
		for _, ins := range p.Instructions {
			fmt.Fprintln(h, ins.OpCode, ins.Dst, ins.Src, ins.Offset, ins.Constant, ins.Reference(), ins.Symbol())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// openMaps takes the pinned maps of b, or makes them. A folder with its final name is whole:
// it is filled under another.
func (d *directory) openMaps(ctx context.Context, b blueprint, step func(string) error) (map[string]*ebpf.Map, error) {
	path := d.in(b.maps)
	found, err := loadMaps(path, b.spec)
	if err == nil {
		return found, nil
	}
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ebpf.ErrMapIncompatible) {
		return nil, permission(err)
	}
	if err := setAside(path); err != nil {
		return nil, err
	}
	if err := remove(path + unfinished); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path+unfinished, 0o700); err != nil {
		return nil, err
	}
	made := map[string]*ebpf.Map{}
	err = makeMaps(made, path+unfinished, b.spec)
	err = then(err, func() error { return step("maps made") })
	err = then(err, func() error { return d.move(ctx, b, made) })
	err = then(err, func() error { return step("maps moved") })
	err = then(err, func() error { return os.Rename(path+unfinished, path) })
	if err != nil {
		return nil, errors.Join(err, (&objects{maps: made}).Close())
	}
	return made, nil
}

// then is err, or else what next returns.
func then(err error, next func() error) error {
	if err != nil {
		return err
	}
	return next()
}

// setAside gives pins that somebody has been at another name, under which move finds them.
func setAside(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := remove(path + "-broken"); err != nil {
		return err
	}
	return os.Rename(path, path+"-broken")
}

// loadMaps opens the pinned maps in a folder.
func loadMaps(path string, spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	found := map[string]*ebpf.Map{}
	for name, s := range spec.Maps {
		m, err := ebpf.LoadPinnedMap(filepath.Join(path, name), nil)
		if err == nil {
			found[name] = m
			err = s.Compatible(m)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening map %s: %w", name, err), (&objects{maps: found}).Close())
		}
	}
	return found, nil
}

// makeMaps makes and pins maps.
func makeMaps(made map[string]*ebpf.Map, path string, spec *ebpf.CollectionSpec) error {
	for name, s := range spec.Maps {
		m, err := ebpf.NewMap(s)
		if err != nil {
			return fmt.Errorf("making map %s: %w", name, err)
		}
		made[name] = m
		if err := m.Pin(filepath.Join(path, name)); err != nil {
			return fmt.Errorf("pinning map %s: %w", name, err)
		}
	}
	return nil
}

// openPrograms takes the pinned programs of b, or loads and pins them. They are kept below the
// maps that they use.
func (d *directory) openPrograms(b blueprint, used map[string]*ebpf.Map, step func(string) error) (map[string]*ebpf.Program, error) {
	path := d.in(b.maps, b.programs)
	found, err := loadPrograms(path, b.spec, used)
	if err == nil {
		return found, nil
	}
	for _, left := range []string{path, path + unfinished} {
		if err := remove(left); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(path+unfinished, 0o700); err != nil {
		return nil, err
	}
	made, err := makePrograms(b.spec, used)
	if err != nil {
		return nil, err
	}
	for name, p := range made {
		err = then(err, func() error { return p.Pin(filepath.Join(path+unfinished, name)) })
	}
	err = then(err, func() error { return step("programs loaded") })
	err = then(err, func() error { return os.Rename(path+unfinished, path) })
	if err != nil {
		return nil, errors.Join(err, (&objects{programs: made}).Close())
	}
	return made, nil
}

// loadPrograms opens the pinned programs in a folder, if they use these maps and no others.
func loadPrograms(path string, spec *ebpf.CollectionSpec, used map[string]*ebpf.Map) (map[string]*ebpf.Program, error) {
	ours, err := mapIDs(used)
	if err != nil {
		return nil, err
	}
	found := map[string]*ebpf.Program{}
	for name := range spec.Programs {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(path, name), nil)
		if err == nil {
			found[name] = p
			err = usesOnly(p, ours)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening program %s: %w", name, err), (&objects{programs: found}).Close())
		}
	}
	return found, nil
}

func mapIDs(used map[string]*ebpf.Map) ([]ebpf.MapID, error) {
	var ids []ebpf.MapID
	for name, m := range used {
		info, err := m.Info()
		if err != nil {
			return nil, fmt.Errorf("asking for map %s: %w", name, err)
		}
		if id, ok := info.ID(); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func usesOnly(p *ebpf.Program, ours []ebpf.MapID) error {
	info, err := p.Info()
	if err != nil {
		return err
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		if !slices.Contains(ours, id) {
			return fmt.Errorf("it uses map %d, which isn't ours", id)
		}
	}
	return nil
}

// xdpHasFrags is BPF_F_XDP_HAS_FRAGS of linux/bpf.h, since 5.18.
const xdpHasFrags = 1 << 5

// makePrograms loads the programs; where the kernel doesn't know of frags, without.
func makePrograms(spec *ebpf.CollectionSpec, used map[string]*ebpf.Map) (map[string]*ebpf.Program, error) {
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: used})
	if err != nil {
		plain := spec.Copy()
		for _, p := range plain.Programs {
			p.Flags &^= xdpHasFrags
		}
		var without error
		if c, without = ebpf.NewCollectionWithOptions(plain, ebpf.CollectionOptions{MapReplacements: used}); without != nil {
			return nil, fmt.Errorf("loading programs: %w", permission(err))
		}
	}
	made := c.Programs
	c.Programs = nil
	c.Close() // the maps are copies
	return made, nil
}

// remove removes pins below path, and path.
func remove(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("removing pins: %w", err)
	}
	return nil
}

// removeOthers removes what other versions left, programs and maps.
func (d *directory) removeOthers(b blueprint) error {
	var errs []error
	for _, f := range []struct{ path, prefix, keep string }{{d.path, "v", b.maps}, {d.in(b.maps), programsPrefix, b.programs}} {
		names, err := folders(f.path, f.prefix)
		errs = append(errs, err)
		for _, name := range names {
			if name != f.keep {
				errs = append(errs, remove(filepath.Join(f.path, name)))
			}
		}
	}
	return errors.Join(errs...)
}
