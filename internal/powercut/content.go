package powercut

import (
	"io"
	"maps"
	"os"
	"slices"
)

// sectorSize is what a disk writes whole or not at all, in bytes.
const sectorSize = 512

// content is what a file holds: sectors, of which missing ones are zero. A sector's bytes are never changed, only replaced.
type content struct {
	size    int64
	sectors map[int64][]byte
}

func newContent() *content { return &content{sectors: map[int64][]byte{}} }

func (c *content) clone() *content { return &content{c.size, maps.Clone(c.sectors)} }

// write puts b at off, and keeps it. Only the sectors are written that has says, unless it is nil.
func (c *content) write(off int64, b []byte, has func() bool) {
	c.grow(off + int64(len(b)))
	for len(b) > 0 {
		i, in := off/sectorSize, off%sectorSize
		n := min(int64(len(b)), sectorSize-in)
		if has == nil || has() {
			piece := b[:n]
			if n < sectorSize {
				piece = make([]byte, sectorSize)
				copy(piece, c.sectors[i])
				copy(piece[in:], b[:n])
			}
			c.sectors[i] = piece
		}
		off, b = off+n, b[n:]
	}
}

// grow makes c no smaller than size.
func (c *content) grow(size int64) { c.size = max(c.size, size) }

// truncate makes c as long as size.
func (c *content) truncate(size int64) {
	if size < c.size {
		maps.DeleteFunc(c.sectors, func(i int64, _ []byte) bool { return i*sectorSize >= size })
		if i := size / sectorSize; c.sectors[i] != nil {
			tail := make([]byte, sectorSize)
			copy(tail, c.sectors[i][:size%sectorSize])
			c.sectors[i] = tail
		}
	}
	c.size = size
}

func (c *content) ReadAt(b []byte, off int64) (n int, err error) {
	if off >= c.size {
		return 0, io.EOF
	}
	if rest := c.size - off; int64(len(b)) > rest {
		b, err = b[:rest], io.EOF
	}
	for n < len(b) {
		at := off + int64(n)
		in := at % sectorSize
		piece := b[n:min(len(b), n+int(sectorSize-in))]
		clear(piece)
		if s := c.sectors[at/sectorSize]; s != nil {
			copy(piece, s[in:])
		}
		n += len(piece)
	}
	return n, err
}

// save writes c into a file, leaving holes.
func (c *content) save(f *os.File) error {
	if err := f.Truncate(c.size); err != nil {
		return err
	}
	var run []byte
	start, next := int64(0), int64(0)
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		b := run[:min(int64(len(run)), c.size-start*sectorSize)]
		_, err := f.WriteAt(b, start*sectorSize)
		run = run[:0]
		return err
	}
	for _, i := range slices.Sorted(maps.Keys(c.sectors)) {
		if i != next || len(run) == 0 {
			if err := flush(); err != nil {
				return err
			}
			start = i
		}
		run, next = append(run, c.sectors[i]...), i+1
	}
	return flush()
}
