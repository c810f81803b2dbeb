package tc

import (
	"errors"
	"fmt"
	"strings"
)

// ParseLine reads one line of tc(8) arguments, with or without "tc" in front:
//
//	qdisc add|replace|change|delete dev LINK root|parent H|ingress|clsact [handle H] KIND OPTIONS
//	class add|replace|change|delete dev LINK root|parent H classid H htb OPTIONS
//
// Words may be abbreviated as tc(8) allows it, and what stands before the kind
// may stand in any order. A class id without a major number takes its parent's,
// a parent without one the class's. The error wraps ErrUnknown for what this
// package does not model and is a *SyntaxError for all else.
func ParseLine(line string) (Op, error) {
	w := words{line: line}
	if i := badByte(line); i >= 0 {
		return Op{}, &SyntaxError{Line: line, Word: line[i : i+1], Offset: i,
			Why: fmt.Sprintf("control character %q", line[i])}
	}
	if w.next(); w.word == "tc" {
		w.next()
	}
	if w.word == "" {
		return Op{}, &SyntaxError{Line: line, Why: "the line is empty"}
	}
	var op Op
	switch complete(w.word, "qdisc", "class", "filter", "chain", "actions", "monitor", "exec") {
	case "qdisc":
		op = parseQdisc(&w)
	case "class":
		op = parseClass(&w)
	case "filter", "chain", "actions", "monitor", "exec":
		w.unmodelled("object")
	default:
		w.fail("unknown object %q: want qdisc or class", w.word)
	}
	if w.err != nil {
		return Op{}, w.err
	}
	return op, nil
}

// parseVerb reads the word after the object.
func parseVerb(w *words) Verb {
	object := w.word
	if !w.next() {
		w.fail("%s: want add, replace, change or delete", object)
		return 0
	}
	switch word := complete(w.word, "add", "change", "replace", "link", "delete", "list", "show", "lst", "get", "help"); word {
	case "add":
		return Add
	case "change":
		return Change
	case "replace":
		return Replace
	case "delete":
		return Delete
	case "link":
		w.unmodelled("verb")
	case "list", "show", "lst", "get", "help":
		w.fail("%q changes nothing: want add, replace, change or delete", word)
	default:
		w.fail("unknown verb %q: want add, replace, change or delete", w.word)
	}
	return 0
}

// place collects what stands before the kind.
type place struct {
	link           string
	parent, handle Handle
	id             string // class id as written: it may need the parent
	idAt           words
	kind           string
}

// parsePlace reads up to the kind, which it leaves as the current word.
func parsePlace(w *words, object string) place {
	var p place
	ingress := ""
	for p.kind == "" && w.next() {
		switch w.word {
		case "dev":
			p.readLink(w)
		case "root":
			p.setParent(w, Root)
		case "parent":
			p.readParent(w)
		case "ingress", "clsact":
			if object == "class" {
				w.unmodelled("class kind")
				break
			}
			p.setParent(w, Ingress)
			ingress = w.word
		case "handle":
			p.readHandle(w, object)
		case "classid":
			p.readClassID(w, object)
		default:
			p.readOther(w)
		}
	}
	switch {
	case ingress != "" && p.kind != "":
		w.fail("%s has no option %q", ingress, w.word)
	case ingress != "":
		p.handle, p.kind = ingressHandle, ingress
	}
	if p.link == "" {
		w.missing("the link is missing: want dev NAME")
	}
	return p
}

// readOther reads the words that tc(8) lets be abbreviated, or the kind.
func (p *place) readOther(w *words) {
	switch complete(w.word, "estimator", "stab", "ingress_block", "egress_block", "help") {
	case "estimator", "stab", "ingress_block", "egress_block":
		w.unmodelled("clause")
	case "help":
		w.fail("help changes nothing")
	default:
		p.kind = w.word
	}
}

func (p *place) readLink(w *words) {
	if p.link != "" {
		w.fail("dev is given twice")
		return
	}
	if name, ok := w.value(); ok {
		if err := CheckLink(name); err != nil {
			w.fail("%v", err)
		}
		p.link = name
	}
}

func (p *place) setParent(w *words, h Handle) {
	if p.parent != 0 {
		w.fail("%s is a second parent, next to %v", w.word, p.parent)
	}
	p.parent = h
}

func (p *place) readParent(w *words) {
	s, ok := w.value()
	if !ok {
		return
	}
	h, err := ParseHandle(s)
	if err != nil && !strings.Contains(s, ":") { // a lone number is a minor
		if minor, isHex := parseHex16(s); isHex {
			h, err = NewHandle(0, minor), nil
		}
	}
	if err != nil {
		w.fail("parent: %v", err)
		return
	}
	if h == Unspec {
		w.fail("parent %q names nothing", s)
		return
	}
	p.setParent(w, h)
}

func (p *place) readHandle(w *words, object string) {
	if object == "class" {
		w.fail("a class has a classid, not a handle")
		return
	}
	if p.handle != 0 {
		w.fail("handle is given twice")
		return
	}
	s, ok := w.value()
	if !ok {
		return
	}
	major, minor, _ := strings.Cut(s, ":")
	n, isHex := parseHex16(major)
	if !isHex || n == 0 || minor != "" && minor != "0" {
		w.fail("handle %q: want MAJOR: in hex, 1 to ffff", s)
		return
	}
	p.handle = NewHandle(n, 0)
}

func (p *place) readClassID(w *words, object string) {
	if object == "qdisc" {
		w.fail("a qdisc has a handle and a parent, not a classid")
		return
	}
	if p.id != "" {
		w.fail("classid is given twice")
		return
	}
	if s, ok := w.value(); ok {
		p.id, p.idAt = s, *w
	}
}

func parseQdisc(w *words) Op {
	verb := parseVerb(w)
	p := parsePlace(w, "qdisc")
	if w.err != nil {
		return Op{}
	}
	q := &Qdisc{Link: p.link, Handle: p.handle, Parent: p.parent}
	switch {
	case p.kind != "":
		o, known := parseKind(p.kind, w)
		if !known {
			w.unmodelled("qdisc kind")
		}
		q.Options = o
	case verb != Delete:
		w.fail("the kind of qdisc is missing")
	}
	switch {
	case p.parent == 0 && p.handle == 0, p.parent == 0 && (verb == Add || verb == Delete):
		w.missing("the place is missing: want root, parent CLASS, clsact or ingress")
	case p.parent != 0 && p.parent.Major() == 0:
		w.missing("parent %v has no major number", p.parent)
	}
	if q.Parent == Ingress && q.Options != nil {
		q.Handle = ingressHandle
	}
	return Op{Verb: verb, Qdisc: q}
}

func parseClass(w *words) Op {
	verb := parseVerb(w)
	p := parsePlace(w, "class")
	if w.err != nil {
		return Op{}
	}
	c := &Class{Link: p.link, Parent: p.parent}
	switch {
	case p.kind == "htb":
		c.HTB = parseHTBClass(w)
	case p.kind != "":
		w.unmodelled("class kind")
	case verb != Delete:
		w.fail("the kind of class is missing: want htb")
	}
	if w.err == nil {
		p.resolve(w, c)
	}
	if verb == Delete {
		c.Parent, c.HTB = 0, HTBClass{}
	}
	return Op{Verb: verb, Class: c}
}

// resolve fills in the id of a class and the major number of its parent, each
// from the other.
func (p *place) resolve(w *words, c *Class) {
	if p.id == "" {
		w.missing("the class id is missing: want classid MAJOR:MINOR")
		return
	}
	parent := p.parent
	if parent.Major() == 0 {
		parent = 0
	}
	id, err := ParseClassID(p.id, parent)
	if err != nil {
		*w = p.idAt
		w.fail("%s", strings.TrimPrefix(err.Error(), "class id: "))
		return
	}
	c.ID = id
	if p.parent != 0 && p.parent.Major() == 0 {
		c.Parent = id.qdisc() | p.parent
	}
}

// maxLinkName is IFNAMSIZ less the terminating zero (linux/if.h).
const maxLinkName = 15

// CheckLink refuses what is no name of a network link: an empty one, "." and
// "..", one over 15 bytes, one with white space, '/', ':' or a control
// character (dev_valid_name in the kernel), and one with a '#', quote or
// backslash, which no tc script could hold.
func CheckLink(name string) error {
	switch {
	case name == "":
		return errors.New("link name is empty")
	case len(name) > maxLinkName:
		return fmt.Errorf("link name %q: %d bytes, at most %d are possible", name, len(name), maxLinkName)
	case name == "." || name == "..":
		return fmt.Errorf("link name %q", name)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7F || strings.IndexByte("/:#'\"\\", c) >= 0 {
			return fmt.Errorf("link name %q: %q can't be part of one", name, c)
		}
	}
	return nil
}
