package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Ext4Disk is an ext4 file system of its own, in a file that is mounted through a loop device.
type Ext4Disk struct {
	file string
	Dir  string // where it is mounted
}

// NewExt4 makes and mounts an ext4 file system of that many MiB; it goes with the test. Name Ext4 with Need before.
func NewExt4(t testing.TB, mebibytes int) *Ext4Disk {
	t.Helper()
	dir := t.TempDir()
	d := &Ext4Disk{file: filepath.Join(dir, "disk"), Dir: filepath.Join(dir, "mounted")}
	if err := d.make(mebibytes); err != nil {
		t.Fatal(err)
	}
	if err := d.Mount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(d.Dir, unix.MNT_DETACH) })
	return d
}

func (d *Ext4Disk) make(mebibytes int) error {
	if err := os.WriteFile(d.file, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Truncate(d.file, int64(mebibytes)<<20), os.Mkdir(d.Dir, 0o755)); err != nil {
		return err
	}
	return run("mkfs.ext4", "-q", "-F", d.file)
}

// Mount mounts the file system, which replays its journal if it was not unmounted.
func (d *Ext4Disk) Mount() error { return run("mount", "-t", "ext4", "-o", "loop", d.file, d.Dir) }

// Unmount unmounts the file system; no program may use it any more.
func (d *Ext4Disk) Unmount() error { return run("umount", d.Dir) }

// shutdownNow is EXT4_IOC_SHUTDOWN, and how: EXT4_GOING_FLAGS_NOLOGFLUSH, nothing more reaches the disk. Both as in fs/ext4/ext4.h.
const (
	ext4IocShutdown  = 0x8004587d
	shutdownNoFlush  = 2
	shutdownLogFlush = 1
)

// Cut cuts the file system off from its disk, as a power cut does: what was not written yet never will be. flush lets its
// journal, not the data, reach the disk before.
func (d *Ext4Disk) Cut(flush bool) error {
	f, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	defer f.Close()
	how := shutdownNoFlush
	if flush {
		how = shutdownLogFlush
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4IocShutdown, how); err != nil {
		return fmt.Errorf("shutting down %s: %w", d.Dir, err)
	}
	return nil
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
