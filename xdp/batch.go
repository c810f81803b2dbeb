package xdp

import (
	"context"
	"errors"
	"iter"

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

// writeAll adds or changes entries, about so many, each made when it is its turn; n is how many it did.
func writeAll[K, V any](ctx context.Context, m *ebpf.Map, about int, entries iter.Seq2[K, V]) (n int, err error) {
	size := min(max(about, 1), batchSize)
	keys, values := make([]K, 0, size), make([]V, 0, size)
	write := func() error {
		err := ctx.Err()
		if err == nil && len(keys) > 0 {
			var did int
			did, err = writeBatch(m, keys, values)
			n += did
		}
		keys, values = keys[:0], values[:0]
		return err
	}
	for k, v := range entries {
		if keys, values = append(keys, k), append(values, v); len(keys) < size {
			continue
		}
		if err := write(); err != nil {
			return n, err
		}
	}
	err = write()
	return n, err
}

// writeBatch writes entries in one call, or one by one where the kernel has no such call.
func writeBatch[K, V any](m *ebpf.Map, keys []K, values []V) (n int, err error) {
	n, err = m.BatchUpdate(keys, values, nil)
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return n, err
	}
	for n = range keys {
		if err := m.Put(&keys[n], &values[n]); err != nil {
			return n, err
		}
	}
	return len(keys), nil
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
			return n, err
		}
	}
	return n, nil
}
