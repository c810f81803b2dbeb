package powercut

import (
	"context"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// file is a regular file of a Disk.
type file struct {
	fs.Inode
	journal *journal
	id      int

	mu      sync.Mutex // held over a change and its event
	mode    uint32
	content *content
}

var _ interface {
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
	fs.NodeAllocater
	fs.NodeGetattrer
	fs.NodeSetattrer
} = (*file)(nil)

func (f *file) number() int { return f.id }

func (f *file) fill(out *fuse.Attr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out.Mode, out.Size = fuse.S_IFREG|f.mode, uint64(f.content.size)
	out.Nlink = 1 // without one Linux makes no link
}

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) { return nil, 0, 0 }

func (f *file) Read(_ context.Context, _ fs.FileHandle, b []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, _ := f.content.ReadAt(b, off)
	return fuse.ReadResultData(b[:n]), 0
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := append([]byte(nil), b...)
	f.content.write(off, kept, nil)
	f.journal.add(Event{Kind: Write, File: f.id, Offset: off, Data: kept})
	return uint32(len(b)), 0
}

func (f *file) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content.grow(int64(off + size))
	f.journal.add(Event{Kind: Allocate, File: f.id, Size: int64(off + size)})
	return 0
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journal.add(Event{Kind: Sync, File: f.id})
	return 0
}

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.fill(&out.Attr)
	return 0
}

func (f *file) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	f.change(in)
	f.fill(&out.Attr)
	return 0
}

func (f *file) change(in *fuse.SetAttrIn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		f.content.truncate(int64(size))
		f.journal.add(Event{Kind: Truncate, File: f.id, Size: int64(size)})
	}
	if mode, ok := in.GetMode(); ok {
		f.mode = mode & 0o777
		f.journal.add(Event{Kind: Chmod, File: f.id, Mode: f.mode})
	}
}
