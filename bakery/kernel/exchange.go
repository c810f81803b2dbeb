package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// answer is what the kernel said to one request.
type answer struct {
	known bool  // it answered, or was never asked
	err   error // why not
	errno unix.Errno
	text  string // the kernel's own words
}

// result is what the answer means for an op.
func (r answer) result(op tc.Op) tc.Result {
	switch {
	case !r.known && r.err == nil:
		return tc.Result{Err: fmt.Errorf("%s: %w", op.Line(), tc.ErrUnknownOutcome)}
	case !r.known:
		return tc.Result{Err: fmt.Errorf("%s: %w: %w", op.Line(), tc.ErrUnknownOutcome, r.err)}
	case r.err != nil:
		return tc.Result{Err: fmt.Errorf("%s: %w: %w", op.Line(), tc.ErrNotTried, r.err)}
	case r.errno != 0:
		return tc.Result{Err: &OpError{Op: op, Errno: r.errno, ExtAck: r.text}}
	}
	return tc.Result{Warning: r.text}
}
