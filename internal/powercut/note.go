package powercut

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// noteFile takes notes.
type noteFile struct {
	fs.Inode
	journal *journal
}

var _ interface {
	fs.NodeOpener
	fs.NodeWriter
	fs.NodeSetattrer
} = (*noteFile)(nil)

func (n *noteFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *noteFile) Write(_ context.Context, _ fs.FileHandle, b []byte, _ int64) (uint32, syscall.Errno) {
	n.journal.add(Event{Kind: Note, Text: string(b)})
	return uint32(len(b)), 0
}

func (n *noteFile) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Mode = fuse.S_IFREG | 0o600
	return 0
}
