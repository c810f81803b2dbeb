package powercut

import (
	"fmt"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// NoteName is the file at the root of a Disk whose writes are notes.
const NoteName = "note"

// Disk is a mounted file system that remembers what was done to it.
type Disk struct {
	server  *fuse.Server
	journal *journal
}

// Mount mounts an empty Disk on the directory dir. The calling process must not touch what is below dir.
func Mount(dir string) (*Disk, error) {
	j := &journal{}
	root := &directory{journal: j, id: j.newID()}
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
		FsName: "powercut", Name: "powercut", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true,
	}})
	if err != nil {
		return nil, fmt.Errorf("mounting a file system on %s: %w", dir, err)
	}
	return &Disk{server, j}, nil
}

// Events are all that was done so far.
func (d *Disk) Events() []Event { return d.journal.all() }

// Unmount ends the file system; no program may use it any more.
func (d *Disk) Unmount() error {
	if err := d.server.Unmount(); err != nil {
		return fmt.Errorf("unmounting: %w", err)
	}
	d.server.Wait()
	return nil
}
