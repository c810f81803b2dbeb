package tree

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay"
)

// Owner is whose a class is.
type Owner struct {
	Link  string    `json:"link"`
	Class tc.Handle `json:"class"`
	Name  string    `json:"name"` // as listings call it; "" if nobody named it
	Role  string    `json:"role"`
	Hash  int64     `json:"hash,omitempty"`
	// Above are the classes that it sits in, from the outermost, each with its name if it has one.
	Above []string `json:"above"`
	Rate  tc.Rate  `json:"rate_bps"`
	Ceil  tc.Rate  `json:"ceil_bps"`
	Leaf  string   `json:"leaf,omitempty"` // handle, kind and options
	// Addresses are those that are mapped to the class.
	Addresses []string     `json:"addresses"`
	Seq       eventlog.Seq `json:"seq"` // the record that last set the class
}

// Whois finds the classes that a word means: a handle, of the class itself or of its leaf; an
// address, by its mapping; a name or hash of a site or circuit, or else a part of a name, in any case.
func Whois(t *bakery.Tree, word string) []Owner {
	var found []Owner
	for _, at := range classesOf(t, word) {
		if c, ok := t.State().Class(at.Link, at.ID); ok {
			found = append(found, newOwner(t, c))
		}
	}
	return found
}

func classesOf(t *bakery.Tree, word string) []bakery.ClassRef {
	if p, err := replay.ParsePrefix(word); err == nil {
		return mappedTo(t, p)
	}
	var list []bakery.ClassRef
	if h, err := tc.ParseHandle(word); err == nil {
		for _, link := range t.State().Links() {
			if q, ok := t.State().QdiscByHandle(link, h); ok {
				list = append(list, bakery.ClassRef{Link: link, ID: q.Parent})
			}
			list = append(list, bakery.ClassRef{Link: link, ID: h})
		}
		return list
	}
	for at, n := range t.Notes {
		if replay.Called(n, word) {
			list = append(list, at)
		}
	}
	if len(list) > 0 {
		return list
	}
	for at, n := range t.Notes {
		if strings.Contains(strings.ToLower(n.Comment), strings.ToLower(word)) {
			list = append(list, at)
		}
	}
	return list
}

// mappedTo are the classes that an address, or a prefix, is mapped to, by the longest prefix in each direction.
func mappedTo(t *bakery.Tree, p netip.Prefix) []bakery.ClassRef {
	best := map[bool]bakery.Mapping{}
	for m := range t.Mappings {
		if old, there := best[m.Upload]; m.Prefix.Contains(p.Addr()) && m.Prefix.Bits() <= p.Bits() && (!there || old.Prefix.Bits() < m.Prefix.Bits()) {
			best[m.Upload] = m
		}
	}
	var list []bakery.ClassRef
	for _, upload := range []bool{false, true} {
		m, there := best[upload]
		if !there {
			continue
		}
		if t.Setup != nil && !t.Setup.Stick() {
			list = append(list, bakery.ClassRef{Link: t.Setup.Roles().Link(upload), ID: m.Handle})
			if _, both := best[!upload]; !both { // one mapping steers both ways
				list = append(list, bakery.ClassRef{Link: t.Setup.Roles().Link(!upload), ID: m.Handle})
			}
			continue
		}
		for _, link := range t.State().Links() {
			list = append(list, bakery.ClassRef{Link: link, ID: m.Handle})
		}
	}
	return list
}

func newOwner(t *bakery.Tree, c tc.Class) Owner {
	n, _ := t.Note(c.Link, c.ID)
	o := Owner{Link: c.Link, Class: c.ID, Name: n.Name(c.ID), Role: n.Role.String(), Hash: n.Hash, Above: []string{},
		Rate: c.HTB.Rate, Ceil: c.HTB.Ceil, Addresses: []string{}, Seq: n.Seq}
	for p := c.Parent; p.Minor() != 0; {
		above, ok := t.State().Class(c.Link, p)
		if !ok {
			break
		}
		n, _ := t.Note(c.Link, p)
		o.Above = append([]string{strings.TrimRight(p.String()+" "+n.Name(p), " ")}, o.Above...)
		p = above.Parent
	}
	if q, ok := t.State().Qdisc(c.Link, c.ID); ok {
		o.Leaf = q.Handle.String() + " " + qdiscText(q)
	}
	for m := range t.Mappings {
		if m.Handle == c.ID && steersOn(t, m, c.Link) {
			o.Addresses = append(o.Addresses, m.Prefix.String())
		}
	}
	return o
}

// steersOn reports whether a mapping can be to a class of a link.
func steersOn(t *bakery.Tree, m bakery.Mapping, link string) bool {
	if t.Setup == nil || t.Setup.Stick() || t.Setup.Roles().Link(m.Upload) == link {
		return true
	}
	_, both := t.Mapping(m.Prefix, !m.Upload)
	return !both
}

// Write prints the Owner for people.
func (o Owner) Write(w io.Writer) error {
	line := func(what, format string, a ...any) string {
		return fmt.Sprintf("  %-10s%s\n", what, fmt.Sprintf(format, a...))
	}
	name := o.Name
	if name == "" {
		name = "nobody's by name: " + o.Role
	}
	text := fmt.Sprintf("%s on %s  %s\n", o.Class, o.Link, name)
	if o.Hash != 0 {
		text += line("hash", "%d", o.Hash)
	}
	if len(o.Above) > 0 {
		text += line("below", "%s", strings.Join(o.Above, " › "))
	}
	text += line("rate", "%s … %s", o.Rate, o.Ceil)
	if o.Leaf != "" {
		text += line("leaf", "%s", o.Leaf)
	}
	if len(o.Addresses) > 0 {
		text += line("addresses", "%s", strings.Join(o.Addresses, " "))
	}
	if o.Seq != 0 {
		text += line("set by", "record %d", o.Seq)
	}
	_, err := io.WriteString(w, text)
	return err
}
