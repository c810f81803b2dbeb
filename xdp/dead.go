package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// removeDead removes the directories of network namespaces that are no more: those that no
// process has locked, and that have bpf_links, of which none is on a link any more. A
// namespace that lives but has lost its links loses nothing that its next Open wouldn't make anew.
func (d *directory) removeDead(log *slog.Logger) {
	parent, own := filepath.Split(d.path)
	names, err := folders(parent, "netns-")
	if err != nil {
		log.Error("pins of other network namespaces can't be listed", "error", err)
	}
	for _, name := range names {
		if name == own {
			continue
		}
		path := filepath.Join(parent, name)
		removed, err := removeIfDead(path)
		switch {
		case err != nil && !errors.Is(err, ErrInUse):
			log.Warn("pins of another network namespace were left", "directory", name, "reason", err)
		case removed:
			log.Info("pins of a network namespace that is no more are removed", "directory", name)
		}
	}
}

func removeIfDead(path string) (removed bool, err error) {
	locked, err := lock(path)
	if err != nil {
		return false, err
	}
	defer func() { _ = locked.Close() }()
	pins, err := os.ReadDir(filepath.Join(path, linksFolder))
	if err != nil || len(pins) == 0 { // who knows
		return false, err
	}
	for _, pin := range pins {
		dead, err := isDead(filepath.Join(path, linksFolder, pin.Name()))
		if err != nil || !dead {
			return false, err
		}
	}
	return true, remove(path)
}

// isDead reports whether a pinned bpf_link is on no link any more.
func isDead(path string) (bool, error) {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = l.Close() }()
	info, err := l.Info()
	if err != nil {
		return false, err
	}
	if info.XDP() == nil && info.TCX() == nil {
		return false, fmt.Errorf("pin %s is neither XDP nor TCX: %w", filepath.Base(path), unix.EINVAL)
	}
	return indexOf(info) == 0, nil
}
