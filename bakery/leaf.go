package bakery

import (
	"errors"
	"fmt"
	"math"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// notLeaves are the kinds that can't hang at a class.
var notLeaves = map[string]bool{"mq": true, "htb": true, "clsact": true, "ingress": true}

// foldLeaf gives a class the leaf that c.SQM means: options, unless that is nil. made is as in applyQdisc.
func (t *Tree) foldLeaf(c AddCircuitQdisc, options tc.Options, made **tc.Qdisc, seq eventlog.Seq) error {
	if c.ParentMajor == 0 || c.ParentMajor > math.MaxUint16 || c.ParentMinor == 0 || c.ParentMinor > math.MaxUint16 {
		return fmt.Errorf("parent %x:%x: major and minor must be 1 to ffff", c.ParentMajor, c.ParentMinor)
	}
	class := tc.NewHandle(uint16(c.ParentMajor), uint16(c.ParentMinor))
	if !t.state.HasClass(c.Link, class) {
		return fmt.Errorf("link %s has no class %s", c.Link, class)
	}
	if options == nil {
		var err error
		if options, err = parseLeaf(c.SQM); err != nil {
			return err
		}
	}
	return t.setLeaf(c.Link, class, options, made, seq)
}

// setLeaf gives a class a leaf qdisc. A leaf keeps its handle when its options or
// kind change.
func (t *Tree) setLeaf(link string, class tc.Handle, options tc.Options, made **tc.Qdisc, seq eventlog.Seq) error {
	q := tc.Qdisc{Link: link, Parent: class, Options: options}
	if err := t.applyQdisc(tc.Op{Verb: tc.Replace, Qdisc: &q}, made); err != nil {
		return err
	}
	t.noteLeaf(link, class, seq)
	return nil
}

// CheckLeaf tells whether words describe a qdisc that a class can have.
func CheckLeaf(words []string) error {
	_, err := parseLeaf(words)
	return err
}

func parseLeaf(words []string) (tc.Options, error) {
	if hasControl(words...) {
		return nil, errors.New("the qdisc's words hold a control character")
	}
	words = splitWords(words)
	if len(words) == 0 {
		return nil, errors.New("no qdisc named: want its kind and options, such as cake diffserv4")
	}
	if notLeaves[words[0]] {
		return nil, fmt.Errorf("%s can't be the leaf of a class", words[0])
	}
	o, err := tc.ParseOptions(words[0], words[1:])
	if errors.Is(err, tc.ErrUnknown) {
		err = fmt.Errorf("%w: a leaf is one of %s", err, leafKinds)
	}
	return o, err
}

// leafKinds are the kinds of qdiscs that a leaf can have.
const leafKinds = "bfifo, cake, codel, fq, fq_codel, netem, pfifo, sfq, tbf"

// applyQdisc applies a qdisc op, with a handle chosen for a new qdisc that has none. made is the qdisc that was made of the
// same op before, nil for none, and becomes the one that is made now: mostly the same, which isn't allocated again.
func (t *Tree) applyQdisc(op tc.Op, made **tc.Qdisc) error {
	if op.Verb == tc.Delete || op.Qdisc.Handle != 0 || op.Qdisc.Parent == tc.Ingress {
		return t.state.Apply(op)
	}
	link, slot := op.Qdisc.Link, op.Qdisc.Parent
	handle, known := t.state.HandleAt(link, slot)
	if !known {
		var err error
		if handle, known, err = t.leafHandle(link, slot); err != nil {
			return err
		}
	}
	if *made == nil || (*made).Handle != handle {
		q := *op.Qdisc
		q.Handle = handle
		*made = &q
	}
	kept := tc.Op{Verb: op.Verb, Qdisc: *made}
	if err := t.state.Keep(kept); err != nil {
		return err
	}
	if !known {
		t.rememberHandle(link, slot, handle)
	}
	return nil
}
