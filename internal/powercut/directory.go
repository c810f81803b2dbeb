package powercut

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// directory is a directory of a Disk. What is in it go-fuse keeps.
type directory struct {
	fs.Inode
	journal *journal
	id      int
}

var _ interface {
	fs.NodeCreater
	fs.NodeMkdirer
	fs.NodeLinker
	fs.NodeRenamer
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeFsyncer
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeStatfser
} = (*directory)(nil)

// numbered is a file or a directory.
type numbered interface{ number() int }

func (d *directory) number() int { return d.id }

func (d *directory) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if d.id == rootID && name == NoteName {
		n := d.NewInode(ctx, &noteFile{journal: d.journal}, fs.StableAttr{Mode: fuse.S_IFREG})
		out.Mode = fuse.S_IFREG | 0o600
		return n, nil, fuse.FOPEN_DIRECT_IO, 0
	}
	f := &file{journal: d.journal, id: d.journal.newID(), mode: mode & 0o777, content: newContent()}
	d.journal.add(Event{Kind: Create, File: d.id, Name: name, Child: f.id, Mode: f.mode})
	f.fill(&out.Attr)
	return d.NewInode(ctx, f, fs.StableAttr{Mode: fuse.S_IFREG}), nil, 0, 0
}

func (d *directory) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child := &directory{journal: d.journal, id: d.journal.newID()}
	d.journal.add(Event{Kind: Mkdir, File: d.id, Name: name, Child: child.id, Mode: mode & 0o777})
	out.Mode = fuse.S_IFDIR | 0o755
	return d.NewInode(ctx, child, fs.StableAttr{Mode: fuse.S_IFDIR}), 0
}

func (d *directory) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	f, ok := target.(*file)
	if !ok {
		return nil, syscall.EPERM
	}
	d.journal.add(Event{Kind: Link, File: d.id, Name: name, Child: f.id})
	f.fill(&out.Attr)
	return f.EmbeddedInode(), 0
}

func (d *directory) Rename(_ context.Context, name string, parent fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	to, ok := parent.(*directory)
	child := d.GetChild(name)
	if !ok || child == nil || flags != 0 {
		return syscall.EINVAL
	}
	if over := to.GetChild(newName); over != nil && len(over.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	n, ok := child.Operations().(numbered)
	if !ok {
		return syscall.EINVAL
	}
	d.journal.add(Event{Kind: Rename, File: d.id, Name: name, Child: n.number(), To: to.id, ToName: newName})
	return 0
}

func (d *directory) Unlink(_ context.Context, name string) syscall.Errno {
	d.journal.add(Event{Kind: Remove, File: d.id, Name: name})
	return 0
}

func (d *directory) Rmdir(_ context.Context, name string) syscall.Errno {
	if child := d.GetChild(name); child != nil && len(child.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	d.journal.add(Event{Kind: Remove, File: d.id, Name: name})
	return 0
}

func (d *directory) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	d.journal.add(Event{Kind: Sync, File: d.id})
	return 0
}

func (d *directory) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o755
	return 0
}

// Setattr leaves a directory as it is: what it may be used for is of no importance here.
func (d *directory) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o755
	return 0
}

// Statfs tells of 8 GiB in blocks of 4 KiB, half of them free.
func (d *directory) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.Blocks, out.Bfree, out.Bavail, out.NameLen = 4096, 4096, 2<<20, 1<<20, 1<<20, 255
	return 0
}
