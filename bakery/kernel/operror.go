package kernel

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// OpError is an Op that the kernel refused.
type OpError struct {
	Op     tc.Op
	Errno  unix.Errno
	ExtAck string // the kernel's own words, "" where it has none
}

// Error is the Op as tc(8) words and the kernel's reason.
func (e *OpError) Error() string {
	if e.ExtAck == "" {
		return fmt.Sprintf("%s: %v", e.Op.Line(), e.Errno)
	}
	return fmt.Sprintf("%s: %s (%v)", e.Op.Line(), strings.TrimRight(e.ExtAck, ". \n"), e.Errno)
}

// Unwrap is the number of the error.
func (e *OpError) Unwrap() error { return e.Errno }

// unknownKind is what the kernel says, with ENOENT, about a qdisc that it has no module for
// (qdisc_create in sch_api.c).
const unknownKind = "kind is unknown"

// Is reports whether target is the error of package tc that the number stands for. What is
// to be added and finds nothing has no parent.
func (e *OpError) Is(target error) bool {
	switch e.Errno {
	case unix.EEXIST:
		return target == tc.ErrExists
	case unix.ENOENT:
		if strings.Contains(e.ExtAck, unknownKind) {
			return target == tc.ErrNotSupported
		}
		return target == tc.ErrNotFound || target == tc.ErrNoParent && e.Op.Verb == tc.Add
	case unix.EBUSY:
		return target == tc.ErrBusy
	case unix.EINVAL:
		return target == tc.ErrInvalid
	case unix.ENODEV:
		return target == tc.ErrNoLink
	case unix.EOPNOTSUPP:
		return target == tc.ErrNotSupported
	case unix.EPERM, unix.EACCES:
		return target == tc.ErrPermission
	}
	return false
}
