package kernel

import (
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// answer is what the kernel said to one request.
type answer struct {
	known   bool // an answer came, or nothing was sent
	err     error
	errno   unix.Errno
	extAck  string // with errno
	warning string // without
}

// of is the error of the op that the answer is for, nil if the kernel did it.
func (r answer) of(op tc.Op) error {
	switch {
	case r.err != nil && r.known:
		return fmt.Errorf("%s: %w: %w", op.Line(), tc.ErrNotTried, r.err)
	case r.err != nil:
		return fmt.Errorf("%s: %w: %w", op.Line(), tc.ErrUnknownOutcome, r.err)
	case !r.known:
		return fmt.Errorf("%s: %w", op.Line(), tc.ErrUnknownOutcome)
	case r.errno != 0:
		return &OpError{Op: op, Errno: r.errno, ExtAck: r.extAck}
	}
	return nil
}

// exchange sends requests with one sendmsg and collects the answer to each, by its sequence
// number. It doesn't heed a context: what was sent has been done by then, and the answers are
// there.
func (k *Kernel) exchange(requests []netlink.Message) []answer {
	answers := make([]answer, len(requests))
	sent, err := k.conn.SendMessages(requests)
	if err != nil { // the kernel took nothing
		for i := range answers {
			answers[i] = answer{known: true, err: err}
		}
		return answers
	}
	waiting := make(map[uint32]int, len(sent))
	for i, m := range sent {
		waiting[m.Header.Sequence] = i
	}
	err = k.conn.SetReadDeadline(time.Now().Add(k.limits.answer))
	for err == nil && len(waiting) > 0 {
		err = k.receive(waiting, answers)
	}
	for _, i := range waiting {
		answers[i].err = err
	}
	return answers
}

// receive takes what one recvmsg brings. When acks were lost it goes on, with less patience:
// those that weren't are still in the buffer.
func (k *Kernel) receive(waiting map[uint32]int, answers []answer) error {
	messages, err := k.conn.Receive()
	var refusal *netlink.OpError
	var errno unix.Errno
	switch {
	case err == nil:
		for _, m := range messages {
			if i, ok := waiting[m.Header.Sequence]; ok && m.Header.Type == netlink.Error {
				answers[i] = answer{known: true, warning: warning(m)}
				delete(waiting, m.Header.Sequence)
			}
		}
		return nil
	case errors.As(err, &refusal) && refusal.Sequence != 0 && errors.As(refusal.Err, &errno):
		if i, ok := waiting[refusal.Sequence]; ok {
			answers[i] = answer{known: true, errno: errno, extAck: refusal.Message}
			delete(waiting, refusal.Sequence)
		}
		return nil
	case errors.Is(err, unix.ENOBUFS):
		return k.conn.SetReadDeadline(time.Now().Add(k.limits.loss))
	}
	return err
}

// warning is the text of an ack that says yes (NLMSGERR_ATTR_MSG).
func warning(m netlink.Message) string {
	const errorLen, headerLen = 4, 16 // struct nlmsgerr: the error, the request's header
	if m.Header.Flags&netlink.AcknowledgeTLVs == 0 || len(m.Data) < errorLen+headerLen {
		return ""
	}
	at := errorLen + headerLen
	if m.Header.Flags&netlink.Capped == 0 { // the whole request is in between
		at = errorLen + int(native.Uint32(m.Data[errorLen:]))
	}
	if at < errorLen+headerLen || at > len(m.Data) {
		return ""
	}
	text := ""
	_ = eachAttribute(m.Data[at:], func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NLMSGERR_ATTR_MSG {
			text = a.String()
		}
	})
	return text
}
