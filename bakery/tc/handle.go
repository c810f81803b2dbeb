package tc

import (
	"fmt"
	"strconv"
	"strings"
)

// Handle names a qdisc (minor 0), a class, or a place in the tree: the major
// number in the upper 16 bits, the minor number in the lower 16. It is printed
// in hex, `1:a`, as tc(8) does.
type Handle uint32

// Handles with a meaning of their own, from linux/pkt_sched.h.
const (
	Unspec  Handle = 0          // not chosen
	Root    Handle = 0xFFFFFFFF // parent of a link's root qdisc
	Ingress Handle = 0xFFFFFFF1 // parent of the ingress or clsact qdisc
)

// ingressHandle is the handle that the kernel gives every ingress and clsact
// qdisc.
const ingressHandle Handle = 0xFFFF0000

// NewHandle joins a major and a minor number.
func NewHandle(major, minor uint16) Handle { return Handle(major)<<16 | Handle(minor) }

// Major is the upper half: which qdisc.
func (h Handle) Major() uint16 { return uint16(h >> 16) }

// Minor is the lower half: which class of that qdisc, 0 for the qdisc itself.
func (h Handle) Minor() uint16 { return uint16(h) }

// IsQdisc reports whether h names a qdisc: a major number and no minor.
func (h Handle) IsQdisc() bool { return h != 0 && h.Minor() == 0 }

// qdisc is the handle of the qdisc that h belongs to.
func (h Handle) qdisc() Handle { return h &^ 0xFFFF }

// String prints h as tc(8) does: "root", "none", "1:", ":a", "1:a".
func (h Handle) String() string { return string(h.append(nil)) }

func (h Handle) append(b []byte) []byte {
	switch h {
	case Root:
		return append(b, "root"...)
	case Unspec:
		return append(b, "none"...)
	}
	if h.Major() != 0 {
		b = strconv.AppendUint(b, uint64(h.Major()), 16)
	}
	b = append(b, ':')
	if h.Minor() != 0 {
		b = strconv.AppendUint(b, uint64(h.Minor()), 16)
	}
	return b
}

// MarshalText prints h like String.
func (h Handle) MarshalText() ([]byte, error) { return h.append(nil), nil }

// UnmarshalText reads what ParseHandle reads, and "none".
func (h *Handle) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*h = Unspec
		return nil
	}
	v, err := ParseHandle(string(text))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// ParseHandle reads a handle as tc(8) writes and reads it: hex numbers with or
// without 0x around a colon ("1:", "0x1:", "7FFF:", "1:a", ":a", "0x1:0xa"), or
// "root", "ingress", "clsact" (both ffff:fff1). A number without a colon is
// refused: tc(8) takes it for a major number in one place and for a minor
// number in another.
func ParseHandle(s string) (Handle, error) {
	switch s {
	case "root":
		return Root, nil
	case "ingress", "clsact":
		return Ingress, nil
	}
	major, minor, ok := strings.Cut(s, ":")
	if !ok {
		return 0, fmt.Errorf("handle %q: no colon, want MAJOR: or MAJOR:MINOR in hex", s)
	}
	hi, okHi := parseHex16(major)
	lo, okLo := parseHex16(minor)
	if !okHi || !okLo || s == ":" {
		return 0, fmt.Errorf("handle %q: want MAJOR: or MAJOR:MINOR in hex, each at most ffff (65,535)", s)
	}
	return NewHandle(hi, lo), nil
}

// ParseClassID reads the id of a class below parent. A lone number ("0x4",
// "4") or a missing major (":4") takes the parent's major. It is an error if the
// class would belong to another qdisc than its parent, if the minor is 0, or if
// a number is out of range.
func ParseClassID(s string, parent Handle) (Handle, error) {
	var id Handle
	if strings.Contains(s, ":") {
		h, err := ParseHandle(s)
		if err != nil {
			return 0, fmt.Errorf("class id: %w", err)
		}
		id = h
	} else {
		minor, ok := parseHex16(s)
		if !ok || s == "" {
			return 0, fmt.Errorf("class id %q: want a hex number up to ffff (65,535), or MAJOR:MINOR", s)
		}
		id = NewHandle(0, minor)
	}
	if id.Minor() == 0 {
		return 0, fmt.Errorf("class id %q: the minor number is 0, which names the qdisc itself", s)
	}
	if parent == Root || parent == Unspec {
		if id.Major() == 0 {
			return 0, fmt.Errorf("class id %q: no major number, and parent %v has none to give", s, parent)
		}
		return id, nil
	}
	if id.Major() == 0 {
		id |= parent.qdisc()
	}
	if id.Major() != parent.Major() {
		return 0, fmt.Errorf("class id %q: belongs to another qdisc than its parent %v", s, parent)
	}
	return id, nil
}

// parseHex16 reads a hex number of 16 bits with an optional 0x; nothing is 0.
func parseHex16(s string) (uint16, bool) {
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') {
		s = s[2:]
	}
	var v uint32
	for i := range len(s) {
		d, ok := hexDigit(s[i])
		if v = v<<4 | uint32(d); !ok || v > 0xFFFF {
			return 0, false
		}
	}
	return uint16(v), true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
