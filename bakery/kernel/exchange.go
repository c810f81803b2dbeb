package kernel

import (
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
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

// exchange sends requests with one sendto and collects the answer to each, by its sequence
// number. It doesn't heed a context: what was sent has been done when sendto returns, and
// then the answers are there, but for those that didn't fit into the buffer.
// The answers stay until the next exchange.
func (k *Kernel) exchange(requests []netlink.Message) []answer {
	answers := slices.Grow(k.answers[:0], len(requests))[:len(requests)]
	k.answers = answers
	clear(answers)
	first, err := k.mail.send(requests)
	if err != nil { // the kernel took nothing
		for i := range answers {
			answers[i] = answer{known: true, err: err}
		}
		return answers
	}
	waiting := len(requests)
	if err = k.conn.SetReadDeadline(time.Now().Add(k.limits.answer)); err == nil {
		_, err = k.mail.read(true, func(m netlink.Message) bool {
			i := m.Header.Sequence - first // of another exchange: more than there are
			if m.Header.Type == netlink.Error && uint64(i) < uint64(len(answers)) && !answers[i].known {
				answers[i].known = true
				answers[i].errno, answers[i].text = verdict(m)
				waiting--
			}
			return waiting == 0
		})
	}
	for i := range answers {
		if !answers[i].known {
			answers[i].err = err
		}
	}
	return answers
}
