package xdp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
)

// moved are the maps whose content goes along to another version, and since which
// layoutVersion it means what it means now. The cache fills itself, and the rest is written at every start.
var moved = map[string]int{bpfMapPrefixes: 1, bpfMapCircuits: 1}

// move copies what an earlier version pinned into new maps, if it has the same shape and meaning
// there; if not, the map stays empty: steers are set anew by who knows them, counters start at 0. The
// programs of the earlier version go on with their own maps meanwhile: what they count until they
// are replaced, some milliseconds, is lost.
func (d *directory) move(ctx context.Context, b blueprint, made map[string]*ebpf.Map) error {
	names, err := folders(d.path, "v")
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == b.maps || strings.HasSuffix(name, unfinished) {
			continue
		}
		var version int
		if _, err := fmt.Sscanf(name, "v%d-", &version); err != nil {
			return fmt.Errorf("pins in %s: %w", name, err)
		}
		for m, since := range b.moved {
			if version < since {
				continue
			}
			if err := moveMap(ctx, m, made, filepath.Join(d.path, name, m)); err != nil {
				return fmt.Errorf("copying map %s of %s: %w", m, name, err)
			}
		}
	}
	return nil
}

// moveMap copies the entries of a pinned map.
func moveMap(ctx context.Context, name string, made map[string]*ebpf.Map, path string) error {
	from, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to := made[name]
	if mapKind(from) != mapKind(to) || from.KeySize() != to.KeySize() || from.ValueSize() != to.ValueSize() {
		return nil
	}
	if name == bpfMapPrefixes {
		return moveSteers(ctx, from, to, made[bpfMapSettings])
	}
	return copyMap(from, to)
}

// mapKind is the type of a map. A hash map takes the place of a trie: until layoutVersion 2 the kernel found the longest prefix.
func mapKind(m *ebpf.Map) ebpf.MapType {
	if m.Type() == ebpf.LPMTrie {
		return ebpf.Hash
	}
	return m.Type()
}

// moveSteers copies the steers, and notes their lengths in the settings that go with them.
func moveSteers(ctx context.Context, from, to, settings *ebpf.Map) error {
	c, err := readSteers(ctx, from, 0)
	if err != nil {
		return err
	}
	all := bundleOf(c.steers)
	if _, err := all.write(ctx, to); err != nil {
		return err
	}
	told, err := readLengths(settings) // of a folder before
	if err != nil {
		return err
	}
	return settings.Put(uint32(0), &bpfControl{Lengths: told.with(all.lengths)})
}

// copyMap copies entries, as bytes.
func copyMap(from, to *ebpf.Map) error {
	var key, value []byte
	entries := from.Iterate()
	for entries.Next(&key, &value) {
		if err := to.Put(key, value); err != nil {
			return err
		}
	}
	return entries.Err()
}
