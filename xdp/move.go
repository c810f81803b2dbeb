package xdp

import (
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
func (d *directory) move(b blueprint, made map[string]*ebpf.Map) error {
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
			if err := copyMap(made[m], filepath.Join(d.path, name, m)); err != nil {
				return fmt.Errorf("copying map %s of %s: %w", m, name, err)
			}
		}
	}
	return nil
}

// copyMap copies the entries of a pinned map, as bytes.
func copyMap(to *ebpf.Map, path string) error {
	from, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	if from.Type() != to.Type() || from.KeySize() != to.KeySize() || from.ValueSize() != to.ValueSize() {
		return nil
	}
	var key, value []byte
	entries := from.Iterate()
	for entries.Next(&key, &value) {
		if err := to.Put(key, value); err != nil {
			return err
		}
	}
	return entries.Err()
}
