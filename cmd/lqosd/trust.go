package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"syscall"
)

// trusted tells whether a file belongs to root or to this process's user: nobody else put it there.
func trusted(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int64(st.Uid) == int64(os.Geteuid()))
}

func ownerOf(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("uid %d", st.Uid)
	}
	return "somebody"
}

// openToAll tells whether anybody may make files in a directory; sticky, whether nobody may replace others' there.
func openToAll(info fs.FileInfo) (open, sticky bool) {
	return info.Mode().Perm()&0o002 != 0, info.Mode()&fs.ModeSticky != 0
}

// openToGroup tells whether a group may replace files in a directory (a mask of an access control list counts as one): not root's, and
// not that of this process, unless others are in it, to send commands.
func (a access) openToGroup(info fs.FileInfo) (gid uint32, open bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o020 == 0 || info.Mode()&fs.ModeSticky != 0 {
		return 0, false
	}
	own := int64(st.Gid) == int64(os.Getegid()) && !(a.hasCmd && st.Gid == a.command)
	return st.Gid, st.Gid != 0 && !own
}

func groupWarning(dir string, gid uint32) string {
	name := fmt.Sprint(gid)
	if g, err := user.LookupGroupId(name); err == nil {
		name = g.Name
	}
	return fmt.Sprintf("group %s may replace what is in %s: chmod g-w", name, dir)
}

var errNoDirectory = errors.New("is not a directory")

// checkDirectory refuses a directory in which anybody can put files in the place of ours, and one that somebody else
// has put where we look for ours. What is odd further up, where it may be meant, comes back as warnings.
func (a access) checkDirectory(path string) (warnings []string, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	above, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	open, sticky := openToAll(dir)
	planted, _ := openToAll(above)
	switch {
	case !dir.IsDir():
		return nil, fmt.Errorf("%s %w", path, errNoDirectory)
	case !trusted(named) && named.Mode()&fs.ModeSymlink != 0:
		return nil, fmt.Errorf("%s is a symbolic link of %s, and not followed", path, ownerOf(named))
	case open && !sticky:
		return nil, fmt.Errorf("anybody may replace what is in %s (%v): chmod o-w", path, dir.Mode())
	case !trusted(dir) && planted:
		return nil, fmt.Errorf("%s was put there by %s: %s is open to all", path, ownerOf(dir), filepath.Dir(path))
	case !trusted(dir):
		warnings = append(warnings, fmt.Sprintf("%s belongs to %s, who may replace what is in it", path, ownerOf(dir)))
	}
	if gid, open := a.openToGroup(dir); open {
		warnings = append(warnings, groupWarning(path, gid))
	}
	return append(warnings, a.checkAbove(path)...), nil
}

// checkAbove finds the directories above a path in which others may rename what leads to it.
func (a access) checkAbove(path string) (warnings []string) {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return append(warnings, err.Error())
		}
		switch open, sticky := openToAll(info); {
		case open && !sticky:
			warnings = append(warnings, fmt.Sprintf("anybody may replace what is in %s (%v)", dir, info.Mode()))
		case !trusted(info):
			warnings = append(warnings, fmt.Sprintf("%s belongs to %s, who may replace what is in it", dir, ownerOf(info)))
		}
		if gid, open := a.openToGroup(info); open {
			warnings = append(warnings, groupWarning(dir, gid))
		}
		if dir == filepath.Dir(dir) {
			return warnings
		}
	}
}

// checkDirectories looks at those in which the daemon makes files, as far as they are there. In that of the tc file a
// warning does: the file itself is looked at.
func (d *daemon) checkDirectories() error {
	s := d.settings
	var refused []error
	var odd []string
	dirs := []string{s.Bakery.StateDirectory, d.logDir()}
	if dir := filepath.Dir(s.Bakery.Socket); dir != filepath.Clean(s.Bakery.StateDirectory) {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		warnings, err := d.access.checkDirectory(dir)
		odd = append(odd, warnings...)
		if dir == d.logDir() && errors.Is(err, errNoDirectory) {
			continue // the bakery doesn't start, which doesn't stop the daemon
		}
		if !errors.Is(err, fs.ErrNotExist) {
			refused = append(refused, err)
		}
	}
	if s.tcPath != "" {
		warnings, err := d.access.checkDirectory(filepath.Dir(s.tcPath))
		odd = append(odd, warnings...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			odd = append(odd, err.Error())
		}
	}
	slices.Sort(odd)
	for _, why := range slices.Compact(odd) {
		d.log.Warn("others may reach files of the daemon", "why", why)
	}
	return errors.Join(refused...)
}
