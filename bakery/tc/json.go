package tc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ParseJSON reads what `tc -j -d qdisc show [dev LINK]` and `tc -j -d class
// show dev LINK` print: what a kernel has. Either reader may be nil. link names
// the link where the output does not, which it omits if tc was asked for one
// link only.
//
// tc(8) before 6.10 prints classes as text in spite of -j; that is read too. In
// text rates are rounded to about four digits. Bursts are rounded in both: one
// that looks like what tc(8) computes is taken as not given, others are the
// nearest that could be meant.
//
// Qdiscs without a handle, which the kernel put there itself, are left out, and
// so are classes of other kinds than htb: they come with their qdisc. A qdisc
// of a kind that is not modelled is left out with an error that wraps
// ErrUnknown; the State holds the rest. After any other error it is nil.
func ParseJSON(qdiscs, classes io.Reader, link string) (*State, error) {
	s := new(State)
	var left []Op
	var unknown []error
	if qdiscs != nil {
		var list []jsonQdisc
		if err := decodeJSON(qdiscs, &list); err != nil {
			return nil, fmt.Errorf("reading qdiscs: %w", err)
		}
		for i := range list {
			q, err := list[i].qdisc(link)
			switch {
			case errors.Is(err, ErrUnknown):
				unknown = append(unknown, err)
			case err != nil:
				return nil, fmt.Errorf("reading qdisc %s %s: %w", list[i].Kind, list[i].Handle, err)
			case q != nil:
				left = append(left, Op{Verb: Add, Qdisc: q})
			}
		}
	}
	if classes != nil {
		list, err := readClasses(classes, link)
		if err != nil {
			return nil, fmt.Errorf("reading classes: %w", err)
		}
		for i := range list {
			left = append(left, Op{Verb: Add, Class: &list[i]})
		}
	}
	if classes != nil && qdiscs == nil {
		left = append(impliedHTBs(left), left...)
	}
	err := s.applyAll(left)
	if err != nil && (len(unknown) == 0 || !errors.Is(err, ErrNoParent)) {
		return nil, err // what sits in a qdisc that was left out is left out too
	}
	return s, errors.Join(unknown...)
}

// impliedHTBs are the HTBs that classes need and that nobody listed, each at the
// root or, from the second on a link, below an mq there.
func impliedHTBs(classes []Op) []Op {
	var ops []Op
	majors := map[string][]uint16{}
	for _, op := range classes {
		list := majors[op.Class.Link]
		if m := op.Class.ID.Major(); len(list) == 0 || list[len(list)-1] != m {
			majors[op.Class.Link] = appendNew(list, m)
		}
	}
	for name, list := range majors {
		if len(list) == 1 {
			ops = append(ops, Op{Qdisc: &Qdisc{Link: name, Handle: NewHandle(list[0], 0), Parent: Root, Options: HTB{}}})
			continue
		}
		const mq = 0x7FFF
		ops = append(ops, Op{Qdisc: &Qdisc{Link: name, Handle: NewHandle(mq, 0), Parent: Root, Options: MQ{}}})
		for _, m := range list {
			ops = append(ops, Op{Qdisc: &Qdisc{Link: name, Handle: NewHandle(m, 0), Parent: NewHandle(mq, m), Options: HTB{}}})
		}
	}
	return ops
}

func appendNew(list []uint16, m uint16) []uint16 {
	for _, have := range list {
		if have == m {
			return list
		}
	}
	return append(list, m)
}

// applyAll applies Ops whose order is not known: those that lack a parent wait
// for it. A leaf below a class that has children is the kernel's, and dropped.
func (s *State) applyAll(ops []Op) error {
	for len(ops) > 0 {
		var waiting []Op
		var missing error
		for _, op := range ops {
			switch err := s.Apply(op); {
			case errors.Is(err, ErrNoParent):
				waiting, missing = append(waiting, op), err
			case err != nil:
				return err
			}
		}
		if len(waiting) == len(ops) {
			return missing
		}
		ops = waiting
	}
	return nil
}

// decodeJSON reads one JSON array; no input at all is an empty one.
func decodeJSON(r io.Reader, list any) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return json.Unmarshal(text, list)
}

// jsonPlace is what qdiscs and classes have in common.
type jsonPlace struct {
	Dev    string `json:"dev"`
	Handle string `json:"handle"`
	Root   bool   `json:"root"`
	Parent string `json:"parent"`
}

func (p jsonPlace) link(fallback string) (string, error) {
	name := orZero(p.Dev, fallback)
	if err := CheckLink(name); err != nil {
		return "", err
	}
	return name, nil
}

func (p jsonPlace) parent() (Handle, error) {
	if p.Root {
		return Root, nil
	}
	return ParseHandle(p.Parent)
}

type jsonQdisc struct {
	jsonPlace
	Kind    string          `json:"kind"`
	Options json.RawMessage `json:"options"`
}

// qdisc is nil for one that the kernel made itself.
func (j *jsonQdisc) qdisc(link string) (*Qdisc, error) {
	if j.Handle == "0:" || j.Handle == "" {
		return nil, nil
	}
	var q Qdisc
	var err error
	if q.Link, err = j.link(link); err != nil {
		return nil, err
	}
	if q.Handle, err = ParseHandle(j.Handle); err != nil {
		return nil, err
	}
	if q.Parent, err = j.parent(); err != nil {
		return nil, err
	}
	q.Options, err = jsonOptions(j.Kind, j.Options)
	return &q, err
}
