package cli

import (
	"bytes"
	"context"
	"io"
	"os"
)

// output is where a command prints. A write that nobody takes, to a pipe say, ends when the command is interrupted.
type output struct {
	file *os.File
	done <-chan struct{}
}

// Write writes to the file, or gives context.Canceled.
func (o output) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	wrote := make(chan result, 1)
	select {
	case <-o.done:
		return 0, context.Canceled
	default:
	}
	p = bytes.Clone(p) // the write may outlast this call
	go func() {
		n, err := o.file.Write(p)
		wrote <- result{n, err}
	}()
	select {
	case r := <-wrote:
		return r.n, r.err
	case <-o.done:
		return 0, context.Canceled
	}
}

// File is the file that a command prints to, if it is one.
func File(w io.Writer) (f *os.File, ok bool) {
	if o, is := w.(output); is {
		return o.file, true
	}
	f, ok = w.(*os.File)
	return f, ok
}
