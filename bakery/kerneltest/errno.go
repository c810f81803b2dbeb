package kerneltest

import (
	"errors"
	"fmt"
	"syscall"

	"lqosd/bakery/tc"
)

// Errno is a kernel's refusal: the number, the words of its extended answer, and the
// error of package tc that it is. errors.Is finds both Number and Kind.
type Errno struct {
	Number syscall.Errno
	Text   string // what tc(8) prints behind "Error: "; the number's own words if the kernel has none
	Kind   error  // of package tc; nil for none
}

// Refusals that a test may want out of FailNext and FailWhen.
var (
	EPERM   = Errno{syscall.EPERM, "Operation not permitted", tc.ErrPermission}
	ENODEV  = Errno{syscall.ENODEV, "No such device", tc.ErrNoLink}
	EBUSY   = Errno{syscall.EBUSY, "HTB class in use.", tc.ErrBusy}
	ENOMEM  = Errno{syscall.ENOMEM, "Cannot allocate memory", nil}
	ENOBUFS = Errno{syscall.ENOBUFS, "No buffer space available", nil}
	EINTR   = Errno{syscall.EINTR, "Interrupted system call", nil} // of a dump that was interrupted too often
)

// Error is the kernel's words, and the kind.
func (e Errno) Error() string {
	if e.Kind == nil {
		return e.Text
	}
	return fmt.Sprintf("%s (%v)", e.Text, e.Kind)
}

// Unwrap is the number and the kind. What has no parent was not found, too.
func (e Errno) Unwrap() []error {
	list := []error{e.Number}
	if e.Kind != nil {
		list = append(list, e.Kind)
	}
	if errors.Is(e.Kind, tc.ErrNoParent) {
		list = append(list, tc.ErrNotFound)
	}
	return list
}

// refuse makes the errors of do; without text it has the number's own words.
func refuse(number syscall.Errno, kind error, text string) error {
	if text == "" {
		text = map[syscall.Errno]string{
			syscall.EINVAL: "Invalid argument", syscall.ENOENT: "No such file or directory",
			syscall.EEXIST: "File exists", syscall.EOPNOTSUPP: "Operation not supported",
		}[number]
	}
	return Errno{Number: number, Text: text, Kind: kind}
}

func invalid(text string) error      { return refuse(syscall.EINVAL, tc.ErrInvalid, text) }
func exists(text string) error       { return refuse(syscall.EEXIST, tc.ErrExists, text) }
func notSupported(text string) error { return refuse(syscall.EOPNOTSUPP, tc.ErrNotSupported, text) }

// missing is ENOENT: to who adds something, what it is to sit in is missing.
func missing(v tc.Verb, text string) error {
	if v == tc.Add {
		return refuse(syscall.ENOENT, tc.ErrNoParent, text)
	}
	return refuse(syscall.ENOENT, tc.ErrNotFound, text)
}
