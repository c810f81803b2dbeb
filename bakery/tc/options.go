package tc

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Options are the parameters of one kind of qdisc: MQ, HTB, Cake, FqCodel,
// Codel, Fq, Pfifo, Bfifo, Tbf, Sfq, Netem, Clsact or IngressQdisc. They are
// plain values that compare with ==. A field's zero value means "not given",
// unless its doc says otherwise.
type Options interface {
	// Kind is the word that tc(8) uses for the qdisc.
	Kind() string
	// String is the options in tc(8)'s words without the kind: what
	// ParseOptions reads back as the same Options.
	String() string

	// fields are the given options in the order in which they are printed.
	fields() []field
	// change is what a `change` with the given options of the same kind
	// makes of these; ok is false if the kernel can only do it by building
	// the qdisc anew.
	change(given Options) (changed Options, ok bool)
	// canonical fills in what the kernel uses for options that were not
	// given.
	canonical(h Host, link string) Options
}

// field is one option of a qdisc or class: `name value`, or a lone word such as
// "nat", whose name is then only for people.
type field struct {
	name, value string
	lone        bool
}

func (f field) append(b []byte) []byte {
	b = append(b, ' ')
	if !f.lone {
		b = append(append(b, f.name...), ' ')
	}
	return append(b, f.value...)
}

// optionString is the String of every Options.
func optionString(o Options) string {
	var b []byte
	for _, f := range o.fields() {
		b = f.append(b)
	}
	if len(b) > 0 {
		b = b[1:]
	}
	return string(b)
}

// fieldList collects the fields of an Options.
type fieldList []field

func (l *fieldList) add(name, value string) { *l = append(*l, field{name: name, value: value}) }

func (l *fieldList) lone(name, word string) {
	*l = append(*l, field{name: name, value: word, lone: true})
}

// num adds a number that is not 0.
func (l *fieldList) num(name string, v uint32) {
	if v != 0 {
		l.add(name, strconv.FormatUint(uint64(v), 10))
	}
}

func (l *fieldList) optNum(name string, v Opt[uint32]) {
	if v.Given {
		l.add(name, strconv.FormatUint(uint64(v.Value), 10))
	}
}

func (l *fieldList) size(name string, v uint32) {
	if v != 0 {
		l.add(name, FormatSize(v))
	}
}

func (l *fieldList) rate(name string, v Rate) {
	if v != 0 {
		l.add(name, v.String())
	}
}

func (l *fieldList) optRate(name string, v Opt[Rate]) {
	if v.Given {
		l.add(name, v.Value.String())
	}
}

func (l *fieldList) time(name string, v time.Duration) {
	if v != 0 {
		l.add(name, FormatTime(v))
	}
}

func (l *fieldList) optTime(name string, v Opt[time.Duration]) {
	if v.Given {
		l.add(name, FormatTime(v.Value))
	}
}

// toggle adds the word for the position of a Switch.
func (l *fieldList) toggle(name string, v Switch, on, off string) {
	switch v {
	case On:
		l.lone(name, on)
	case Off:
		l.lone(name, off)
	}
}

// parseKind reads the options of one kind from the rest of the line; nil, false
// for a kind that is not modelled.
func parseKind(kind string, w *words) (o Options, known bool) {
	parse := optionParser(kind)
	if parse == nil {
		return nil, false
	}
	w.kind = kind
	o = parse(w)
	w.kind = ""
	return o, true
}

func optionParser(kind string) func(*words) Options {
	switch kind {
	case "htb":
		return parseHTB
	case "cake":
		return parseCake
	case "mq":
		return parseMQ
	case "fq_codel":
		return parseFqCodel
	case "codel":
		return parseCodel
	case "fq":
		return parseFq
	case "pfifo":
		return parsePfifo
	case "bfifo":
		return parseBfifo
	case "tbf":
		return parseTbf
	case "sfq":
		return parseSfq
	case "netem":
		return parseNetem
	case "clsact":
		return parseClsact
	case "ingress":
		return parseIngress
	}
	return nil
}

// ParseOptions reads the option words of a qdisc kind, `cake` with
// ["diffserv4", "rtt", "300"]. An unknown kind is ErrUnknown; everything else
// that is wrong is a *SyntaxError whose Line is the words joined by spaces.
func ParseOptions(kind string, args []string) (Options, error) {
	w := words{line: strings.Join(args, " ")}
	for _, arg := range args {
		if i := badByte(arg); i >= 0 || arg == "" || strings.ContainsAny(arg, " \t") {
			return nil, &SyntaxError{Line: w.line, Word: arg, Offset: strings.Index(w.line, arg),
				Why: fmt.Sprintf("option %q: want one word without white space or control characters", arg)}
		}
	}
	o, known := parseKind(kind, &w)
	if !known {
		return nil, fmt.Errorf("qdisc kind %q: %w", kind, ErrUnknown)
	}
	if w.err != nil {
		return nil, w.err
	}
	return o, nil
}

// badByte is the index of the first control character of s other than a tab,
// or -1.
func badByte(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7F {
			return i
		}
	}
	return -1
}
