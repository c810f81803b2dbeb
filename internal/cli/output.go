package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
)

// output is where a command prints. A write that nobody takes, to a pipe say, ends when the command is interrupted.
type output struct {
	file *os.File
	done <-chan struct{}
}

// Write writes to the file, or gives context.Canceled.
func (o output) Write(p []byte) (int, error) {
	p = bytes.Clone(p) // the write may outlast this call
	return interruptible(o.done, func() (int, error) { return o.file.Write(p) })
}

// Interruptible does what may wait for ever, for the other end of a FIFO say, and outlasts this call if the command is
// interrupted: then it gives context.Canceled.
func Interruptible[T any](ctx context.Context, do func() (T, error)) (T, error) {
	return interruptible(ctx.Done(), do)
}

func interruptible[T any](done <-chan struct{}, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	select {
	case <-done:
		return none, context.Canceled
	default:
	}
	did := make(chan result, 1)
	go func() {
		value, err := do()
		did <- result{value, err}
	}()
	select {
	case r := <-did:
		return r.value, r.err
	case <-done:
		return none, context.Canceled
	}
}

// Create calls write with a file that appears under its name when it is complete, and leaves what was there before as it is
// if it doesn't get so far. What is no file, or a link to one, or somebody else's, is written to as it is: a FIFO may have to
// wait for who opens it, and for who reads it.
func Create(ctx context.Context, path string, write func(io.Writer) error) error {
	was, err := os.Lstat(path)
	if err == nil && !replaceable(was) {
		return writeTo(ctx, path, os.O_TRUNC, write)
	}
	temp := path + ".partial-" + strconv.FormatUint(rand.Uint64(), 36)
	err = writeTo(ctx, temp, os.O_EXCL, write)
	if err == nil && was != nil {
		err = os.Chmod(temp, was.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if errors.Is(err, syscall.EBUSY) { // it is mounted by itself, into a container say
		return errors.Join(writeTo(ctx, path, os.O_TRUNC, contentsOf(temp)), os.Remove(temp))
	}
	var at *fs.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &at) && at.Path == temp && at.Op == "open":
		if was != nil && errors.Is(err, fs.ErrPermission) { // a file may be writable where none can be made
			return writeTo(ctx, path, os.O_TRUNC, write)
		}
		at.Path = path
	default:
		_ = os.Remove(temp)
	}
	return err
}

// contentsOf writes what is in a file.
func contentsOf(path string) func(io.Writer) error {
	return func(w io.Writer) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return errors.Join(err, f.Close())
	}
}

// replaceable reports a file whose place another can take without anybody noticing.
func replaceable(was fs.FileInfo) bool {
	s, ok := was.Sys().(*syscall.Stat_t)
	return ok && was.Mode().IsRegular() && s.Nlink == 1 && int(s.Uid) == os.Geteuid()
}

func writeTo(ctx context.Context, path string, flag int, write func(io.Writer) error) (err error) {
	f, err := Interruptible(ctx, func() (*os.File, error) { return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flag, 0o666) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(output{f, ctx.Done()})
}

// File is the file that a command prints to, if it is one.
func File(w io.Writer) (f *os.File, ok bool) {
	switch w := w.(type) {
	case output:
		return w.file, true
	case *shown:
		return w.file, true
	case besideBar:
		return File(w.Writer)
	}
	f, ok = w.(*os.File)
	return f, ok
}
