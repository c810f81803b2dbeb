package replay

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// Condition is what may hold for a Tree, as `bakery-replay bisect --when` reads it:
//
//	class 1:4a2 rate < 10mbit
//	circuit "Smith & Sons" on eth1 ceil >= 100mbit and address 192.0.2.1 exists
//
// A condition is one or more clauses with "and" between them; "not" in front of one turns it round. A clause names something,
// perhaps a link, and says that it exists, is missing, or compares one of its fields. Of several that have the name
// (a circuit has a class in each direction) one that fits is enough, and what isn't there has no field.
//
//	class HANDLE, circuit NAME|HASH, site NAME|HASH   rate, ceil (a rate of tc(8)), prio, quantum (numbers), parent (a handle), leaf (a kind)
//	qdisc PARENT                                      kind, handle; PARENT is a handle or root
//	address ADDRESS|PREFIX                            class (a handle), cpu, circuit (numbers)
//	classes, qdiscs, circuits, addresses, generation  compared themselves (numbers)
type Condition struct {
	text    string
	clauses []clause
}

// clause is one of a Condition's.
type clause struct {
	not     bool
	subject subject
	name    string
	link    string // "" for any
	field   string // "" for exists
	op      string
	value   value
}

// subject is the word that a clause begins with.
type subject struct {
	named  bool              // a name follows
	fields map[string]parser // how the value of a field is read
	// find gives what c names.
	find func(t *bakery.Tree, c clause) iter.Seq[map[string]value]
}

// value is a number or a text; both are comparable.
type value struct {
	number  uint64
	text    string
	numeric bool
}

type parser func(string) (value, error)

var conditionWord = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[<>=!]=?|[^\s<>=!"]+|\S`)

// ParseCondition reads a Condition.
func ParseCondition(text string) (Condition, error) {
	c := Condition{text: text}
	p := conditionParser{words: conditionWord.FindAllString(text, -1)}
	for {
		one, err := p.clause()
		if err != nil {
			return Condition{}, fmt.Errorf("condition %q: %w", text, err)
		}
		c.clauses = append(c.clauses, one)
		switch next := p.next(); next {
		case "":
			return c, nil
		case "and":
		default:
			return Condition{}, fmt.Errorf("condition %q: %s where it should end, or go on with and", text, next)
		}
	}
}

// String is the condition as it was written.
func (c Condition) String() string { return c.text }

// Holds reports whether the condition holds for t.
func (c Condition) Holds(t *bakery.Tree) bool {
	return !slices.ContainsFunc(c.clauses, func(one clause) bool { return one.holds(t) == one.not })
}

func (c clause) holds(t *bakery.Tree) bool {
	for found := range c.subject.find(t, c) {
		if v, has := found[c.field]; c.field == "" || has && c.value.compared(v, c.op) {
			return true
		}
	}
	return false
}

// compared reports whether "v op w" holds for the value w of the clause.
func (w value) compared(v value, op string) bool {
	order := strings.Compare(v.text, w.text)
	if w.numeric {
		order = cmp.Compare(v.number, w.number)
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "!=":
		return order != 0
	}
	return order == 0
}

type conditionParser struct{ words []string }

func (p *conditionParser) peek() string {
	if len(p.words) == 0 {
		return ""
	}
	return p.words[0]
}

func (p *conditionParser) next() string {
	word := p.peek()
	if word != "" {
		p.words = p.words[1:]
	}
	return word
}

func (p *conditionParser) clause() (clause, error) {
	var c clause
	if p.peek() == "not" {
		c.not = true
		p.next()
	}
	word := p.next()
	s, known := subjects[word]
	if !known {
		return c, fmt.Errorf("%q: a clause begins with %s", word, strings.Join(slices.Sorted(maps.Keys(subjects)), ", "))
	}
	c.subject = s
	if !s.named {
		c.field = word
		return c, p.comparison(&c)
	}
	if c.name = unquoted(p.next()); c.name == "" {
		return c, fmt.Errorf("%s what?", word)
	}
	if err := checkName(word, c.name); err != nil {
		return c, err
	}
	if p.peek() == "on" {
		p.next()
		if c.link = p.next(); c.link == "" {
			return c, errors.New("on which link?")
		}
	}
	switch field := p.next(); field {
	case "exists":
		return c, nil
	case "missing":
		c.not = !c.not
		return c, nil
	default:
		c.field = field
	}
	return c, p.comparison(&c)
}

// comparison reads an operator and a value.
func (p *conditionParser) comparison(c *clause) error {
	parse, known := c.subject.fields[c.field]
	if !known {
		return fmt.Errorf("%q: it has exists, missing, %s", c.field, strings.Join(slices.Sorted(maps.Keys(c.subject.fields)), ", "))
	}
	switch c.op = p.next(); c.op {
	case "<", "<=", ">", ">=", "=", "==", "!=":
	default:
		return fmt.Errorf("%q after %s: write <, <=, =, !=, >= or >", c.op, c.field)
	}
	word := unquoted(p.next())
	if word == "" {
		return fmt.Errorf("%s %s what?", c.field, c.op)
	}
	v, err := parse(word)
	if err != nil {
		return fmt.Errorf("%s: %w", c.field, err)
	}
	if c.value = v; !v.numeric && c.op != "=" && c.op != "==" && c.op != "!=" {
		return fmt.Errorf("%s %s: only = and != go with a word", c.field, c.op)
	}
	return nil
}

// unquoted is a word without the quotes around it.
func unquoted(word string) string {
	if s, err := strconv.Unquote(word); err == nil {
		return s
	}
	return word
}

// checkName finds a name that can't be one.
func checkName(subject, name string) error {
	var err error
	switch {
	case subject == "class", subject == "qdisc" && name != "root":
		_, err = tc.ParseHandle(name)
	case subject == "address":
		_, err = ParsePrefix(name)
	}
	return err
}

// ParsePrefix reads an address or a prefix.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an IP address nor a prefix", s)
	}
	return p.Masked(), nil
}
