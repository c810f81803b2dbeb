package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"lqosd/bus"
)

// maxCopyRead is the most that one LqosdCopyRead answers, in bytes.
const maxCopyRead = 4 << 20

// maxCopies is how many copies all connections may have at a time: each takes files of the disk and open ones.
const maxCopies = 16

// copyPrefix begins the names of copies in the state directory.
const copyPrefix = ".copy-"

// copies is a connection's copy of the log: taken by LqosdCopy, read piece by piece,
// gone when the connection is, or when the next one is taken.
type copies struct {
	count *atomic.Int32 // of all connections; nil: this one has none
	dir   string
	files []copyFile
}

// copyFile is a file of the copy, and an entry of LqosdCopy's answer.
type copyFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	f    *os.File
}

func (c *copies) close() {
	for _, f := range c.files {
		_ = f.f.Close()
	}
	c.files = nil
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
		c.dir = ""
	}
	if c.count != nil {
		c.count.Add(-1)
		c.count = nil
	}
}

// take copies the log beside itself, so that sealed segments can be linked.
func (c *copies) take(d *daemon) error {
	c.close()
	l := d.eventlog.Load()
	if d.bakery == nil || l == nil {
		return fmt.Errorf("the bakery is not running: %w", d.bakeryErr)
	}
	if n := d.copies.Add(1); n > maxCopies {
		d.copies.Add(-1)
		return fmt.Errorf("copying the log: %d copies are there, no more are made at a time", maxCopies)
	}
	c.count = &d.copies
	dir, err := os.MkdirTemp(d.settings.Bakery.StateDirectory, copyPrefix)
	if err != nil {
		return fmt.Errorf("copying the log: %w", err)
	}
	c.dir = dir
	sub := filepath.Join(dir, "eventlog")
	if err := l.CopyTo(sub); err != nil {
		return fmt.Errorf("copying the log: %w", err)
	}
	entries, err := os.ReadDir(sub)
	if err != nil {
		return fmt.Errorf("copying the log: %w", err)
	}
	for _, e := range entries {
		f, err := os.Open(filepath.Join(sub, e.Name()))
		if err != nil {
			return fmt.Errorf("copying the log: %w", err)
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(fmt.Errorf("copying the log: %w", err), f.Close())
		}
		c.files = append(c.files, copyFile{e.Name(), info.Size(), f})
	}
	return nil
}

func openCopy(_ context.Context, c *conn, _ bus.Request) bus.Reply {
	if err := c.copies.take(c.d); err != nil {
		c.copies.close()
		return bus.Fail(err.Error())
	}
	return bus.Reply{Name: "LqosdCopy", Value: struct {
		Files []copyFile `json:"files"`
	}{c.copies.files}}
}

func readCopy(_ context.Context, c *conn, r bus.Request) bus.Reply {
	var q struct {
		Name   string `json:"name"`
		Offset int64  `json:"offset"`
		Length int    `json:"length"`
	}
	if err := r.Decode(&q); err != nil {
		return bus.Fail(err.Error())
	}
	for _, f := range c.copies.files {
		if f.Name != q.Name {
			continue
		}
		if q.Offset < 0 || q.Length < 0 {
			return bus.Failf("%s: offset and length can't be negative", r.Name)
		}
		b := make([]byte, min(q.Length, maxCopyRead))
		n, err := f.f.ReadAt(b, q.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return bus.Failf("reading the copy: %v", err)
		}
		return bus.Reply{Name: "LqosdCopyData", Value: struct {
			Data []byte `json:"data"`
		}{b[:n]}}
	}
	return bus.Failf("%s: no file %q in the copy: ask LqosdCopy first", r.Name, q.Name)
}
