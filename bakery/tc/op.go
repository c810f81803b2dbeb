package tc

import "fmt"

// Qdisc is a queueing discipline in its place: each link's root, each class and
// the inside of each tbf and netem holds at most one.
type Qdisc struct {
	Link    string
	Handle  Handle // MAJOR:, or 0 if it was not chosen
	Parent  Handle // Root, Ingress, or the class that it sits in
	Options Options
}

// Class is a class of an HTB.
type Class struct {
	Link   string
	ID     Handle
	Parent Handle // another class, or the HTB itself (MAJOR:)
	HTB    HTBClass
}

// Verb is what an Op does.
type Verb uint8

// The verbs of tc(8).
const (
	Add     Verb = iota // create; it is an error if it exists
	Replace             // create or change
	Change              // change; it is an error if it does not exist
	Delete              // remove, with all that is in it
)

// String is the word that Line prints.
func (v Verb) String() string {
	if int(v) < len(verbWords) {
		return verbWords[v]
	}
	return fmt.Sprintf("verb-%d", uint8(v))
}

var verbWords = [...]string{"add", "replace", "change", "delete"}

// Op is one thing to do to one qdisc or one class: exactly one of the two is
// set. For Delete only the names count: of a qdisc Link and Parent, and Handle
// and Options if they are to be checked; of a class Link and ID. For Change and
// Replace of a qdisc Parent may be 0 if Handle says which one is meant.
type Op struct {
	Verb  Verb
	Qdisc *Qdisc
	Class *Class
}

// Link is the name of the link that the Op works on.
func (op Op) Link() string {
	switch {
	case op.Qdisc != nil:
		return op.Qdisc.Link
	case op.Class != nil:
		return op.Class.Link
	}
	return ""
}

// Line is the Op as arguments of tc(8), without "tc" in front: exact rates,
// handles in lower-case hex without 0x. ParseLine reads it back as the same Op.
func (op Op) Line() string { return string(op.AppendLine(nil)) }

// AppendLine is Line for a caller that has a buffer.
func (op Op) AppendLine(b []byte) []byte {
	switch {
	case op.Qdisc != nil:
		return op.Qdisc.appendLine(b, op.Verb)
	case op.Class != nil:
		return op.Class.appendLine(b, op.Verb)
	}
	return b
}

func (q *Qdisc) appendLine(b []byte, v Verb) []byte {
	b = append(append(b, "qdisc "...), v.String()...)
	b = append(append(b, " dev "...), q.Link...)
	if kind := ingressKind(q); kind != "" {
		return append(append(b, ' '), kind...)
	}
	switch q.Parent {
	case Unspec:
	case Root:
		b = append(b, " root"...)
	default:
		b = q.Parent.append(append(b, " parent "...))
	}
	if q.Handle != 0 {
		b = q.Handle.append(append(b, " handle "...))
	}
	if q.Options == nil {
		return b
	}
	b = append(append(b, ' '), q.Options.Kind()...)
	for _, f := range q.Options.fields() {
		b = f.append(b)
	}
	return b
}

// ingressKind is the one word that stands for place, handle and kind of a
// clsact or ingress qdisc; "" for all others.
func ingressKind(q *Qdisc) string {
	switch q.Options.(type) {
	case Clsact, IngressQdisc:
		return q.Options.Kind()
	}
	return ""
}

func (c *Class) appendLine(b []byte, v Verb) []byte {
	b = append(append(b, "class "...), v.String()...)
	b = append(append(b, " dev "...), c.Link...)
	if c.Parent != Unspec && v != Delete {
		if c.Parent == Root {
			b = append(b, " root"...)
		} else {
			b = c.Parent.append(append(b, " parent "...))
		}
	}
	b = c.ID.append(append(b, " classid "...))
	if v == Delete {
		return b
	}
	b = append(b, " htb"...)
	for _, f := range c.HTB.fields() {
		b = f.append(b)
	}
	return b
}
