package xdp

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// batchSize is how many entries go in one system call. It is also more than a bucket of a
// hash map has: one that doesn't fit would end a look-up (__htab_map_lookup_and_delete_batch
// in kernel/bpf/hashtab.c).
const batchSize = 4096

// readAll calls take with all entries of a map. Keys that are added or removed meanwhile may
// be missing or come twice. What take gets is overwritten afterwards.
func readAll[K, V any](ctx context.Context, m *ebpf.Map, take func([]K, []V)) error {
	keys, values := make([]K, batchSize), make([]V, batchSize)
	var at ebpf.MapBatchCursor
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := m.BatchLookup(&at, keys, values, nil)
		if first && errors.Is(err, ebpf.ErrNotSupported) {
			return readEach(m, take)
		}
		last := errors.Is(err, ebpf.ErrKeyNotExist)
		if err != nil && !last {
			return err
		}
		take(keys[:n], values[:n])
		if last {
			return nil
		}
	}
}

// readEach is readAll, one by one.
func readEach[K, V any](m *ebpf.Map, take func([]K, []V)) error {
	var key K
	var value V
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		take([]K{key}, []V{value})
	}
	return entries.Err()
}

// writeAll adds or changes as many entries as total, of which entry makes one when it is its turn; n is how many it did.
func writeAll[K, V any](ctx context.Context, m *ebpf.Map, total int, entry func(int) (K, V)) (n int, err error) {
	keys, values := make([]K, min(total, batchSize)), make([]V, min(total, batchSize))
	for n < total && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		size := min(batchSize, total-n)
		for i := range size {
			keys[i], values[i] = entry(n + i)
		}
		var did int
		did, err = m.BatchUpdate(keys[:size], values[:size], nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			for did, err = 0, nil; did < size && err == nil; did++ {
				err = m.Put(&keys[did], &values[did])
			}
			if err != nil {
				did--
			}
		}
		n += did
	}
	if err != nil {
		err = fmt.Errorf("after %d of %d entries: %w", n, total, err)
	}
	return n, err
}

// deleteAll removes entries, but for those that aren't there; n is how many it did.
func deleteAll[K any](ctx context.Context, m *ebpf.Map, keys []K) (n int, err error) {
	for at := 0; at < len(keys); {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		end := min(at+batchSize, len(keys))
		did, err := m.BatchDelete(keys[at:end], nil)
		if errors.Is(err, ebpf.ErrNotSupported) {
			did, err = 0, m.Delete(&keys[at])
			if err == nil {
				did = 1
			}
		}
		n, at = n+did, at+did
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			at++ // this one
		case err != nil:
			return n, fmt.Errorf("after %d of %d entries: %w", n, len(keys), err)
		}
	}
	return n, nil
}
