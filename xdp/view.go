package xdp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"

	"lqosd/bakery/tc"
)

// View is what is pinned for this network namespace.
type View struct {
	Layout Layout
	Steers []tc.Steer
}

// Look reads what is pinned and changes nothing. It is ErrNotThere if nothing is.
func Look(ctx context.Context, o Options) (*View, error) {
	d, err := lookForDirectory(search{explicit: o.BPFFS})
	if err != nil {
		return nil, fmt.Errorf("looking at the dataplane: %w", err)
	}
	defer func() { _ = d.Close() }()
	v, err := d.view(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at the dataplane in %s: %w", d.shown(), permission(err))
	}
	return v, nil
}

func (d *directory) view(ctx context.Context) (*View, error) {
	text, err := readNote(d.in(layoutNote))
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, ErrNotThere
	}
	v := &View{}
	if err := json.Unmarshal([]byte(text), &v.Layout); err != nil {
		return nil, fmt.Errorf("reading the layout: %w", err)
	}
	names, err := folders(d.path, fmt.Sprintf("v%d-", layoutVersion))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, unfinished) {
			continue
		}
		m, err := ebpf.LoadPinnedMap(filepath.Join(d.path, name, bpfMapPrefixes), &ebpf.LoadPinOptions{ReadOnly: true})
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := readSteers(ctx, m, 0)
		v.Steers = c.steers
		return v, errors.Join(err, m.Close())
	}
	return nil, fmt.Errorf("the maps there are of another version: %w", ErrNotThere)
}
