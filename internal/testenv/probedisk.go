package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// probeFUSE mounts a file system that nobody serves, as root, or else looks for the program that may.
func probeFUSE() error {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dev.Close()
	if os.Geteuid() != 0 {
		return probeProgram("fusermount3", "fuse3")
	}
	dir, err := os.MkdirTemp("", "lqosd-probe-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev.Fd())
	if err := unix.Mount("probe", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mounting through /dev/fuse: %w", err)
	}
	return unix.Unmount(dir, unix.MNT_DETACH)
}

// probeExt4 makes a small ext4 file system, mounts it and unmounts it.
func probeExt4() error {
	if err := probeRoot(); err != nil {
		return err
	}
	if err := probeProgram("mkfs.ext4", "e2fsprogs"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lqosd-probe-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := Ext4Disk{file: filepath.Join(dir, "disk"), Dir: filepath.Join(dir, "mounted")}
	return errors.Join(d.make(4), d.Mount(), d.Unmount())
}

// probeE2fsprogs looks for the programs that a [DiskVM] takes.
func probeE2fsprogs() error {
	var missing []error
	for _, name := range []string{"mkfs.ext4", "e2fsck", "debugfs"} {
		_, err := systemProgram(name, "e2fsprogs")
		missing = append(missing, err)
	}
	return errors.Join(missing...)
}

// probeStrace makes a system call of a program fail.
func probeStrace() error {
	if err := probeProgram("strace", "strace"); err != nil {
		return err
	}
	out, err := exec.Command("strace", "-f", "-e", "trace=chdir", "-e", "inject=chdir:error=EIO", "sh", "-c", "cd / || echo it failed").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "it failed") {
		return fmt.Errorf("making a system call fail: %w: %s", errors.Join(err, errors.New("it didn't")), out)
	}
	return nil
}
