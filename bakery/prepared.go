package bakery

import (
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// prepared is a record as it is folded. When it was accepted, and from whom, says nothing about the Tree.
type prepared struct {
	seq  eventlog.Seq
	head Record // without its Command; the fold doesn't look at it
	*meaning
}

// record is the whole record. Its Command is shared, and never written.
func (p prepared) record() Record {
	r := p.head
	r.Seq, r.Command = p.seq, p.command
	return r
}

// meaning is a command with what can be worked out without the Tree: folding it then takes less time. What isn't there is
// worked out by the fold.
type meaning struct {
	command Command
	lines   []*tcLine  // of an ExecuteTCCommands, all of them; nil: not there
	leaf    tc.Options // of an AddCircuitQdisc; nil: not there
	class   *tc.Class  // of an AddStructuralHTBClass or AddCircuitHTBClass, never written again; nil: not there
	note    Note       // of class
	made    *tc.Qdisc  // the fold's: what it made of an AddCircuitQdisc last, never written again; nil: nothing yet
}

// preparer prepares the records of a log. Refreshes say the same again and again; so it remembers commands, lines and texts, and what
// they mean. What it gives is shared, and never written again, but for what is the fold's.
type preparer struct {
	most     remembering
	texts    interned
	commands [KindChangeSiteSpeedLive + 1]memory[meaning]
	lines    memory[tcLine]
	leaves   map[string]leafWords
}

// leafWords are the words of an AddCircuitQdisc, and the options that they mean.
type leafWords struct {
	words   []string
	options tc.Options
}

// remembering bounds what a preparer remembers: texts and leaves in number, what is longer isn't worth it.
type remembering struct {
	texts, commands, lines, leaves   int // of commands so many of each kind
	textBytes, knownBytes, leafBytes int
}

// usualMemory is for a network of 30,000 circuits, which has so many commands of a kind. Tests make it small.
var usualMemory = remembering{
	texts: 1 << 16, commands: 1 << 16, lines: 1 << 16, leaves: 1 << 10,
	textBytes: 64, knownBytes: 512, leafBytes: 512,
}

func newPreparer() *preparer {
	m := usualMemory
	p := &preparer{most: m, texts: interned{known: map[string]string{}, longest: m.textBytes, most: m.texts}, leaves: map[string]leafWords{}}
	for i := range p.commands {
		p.commands[i].longest, p.commands[i].most = m.knownBytes, m.commands
	}
	p.lines.longest, p.lines.most = m.knownBytes, m.lines
	return p
}

// prepare decodes a record as DecodeRecord does.
func (p *preparer) prepare(raw eventlog.Record) (prepared, error) {
	d := decoder{b: raw.Data, with: p}
	head, k, err := d.head(raw.Seq)
	if err != nil {
		return prepared{}, err
	}
	if d.err != nil || int(k) >= len(p.commands) {
		m := &meaning{command: d.command(k, nil)}
		return prepared{raw.Seq, head, m}, d.end(raw.Seq)
	}
	text := d.b
	m := p.commands[k].find(text)
	if m != nil {
		return prepared{raw.Seq, head, m}, nil
	}
	var fresh meaning
	fresh.command = d.command(k, &fresh)
	if err := d.end(raw.Seq); err != nil {
		return prepared{}, err
	}
	switch c := fresh.command.(type) {
	case AddStructuralHTBClass:
		fresh.prepareClass(askOfSite(c))
	case AddCircuitHTBClass:
		fresh.prepareClass(askOfCircuit(c))
	case AddCircuitQdisc:
		c.Link = tc.Interned(c.Link)
		fresh.command = c
	}
	m = p.commands[k].learn(text)
	*m = fresh
	return prepared{raw.Seq, head, m}, nil
}

func (m *meaning) prepareClass(a classAsk) {
	if class, err := a.class(); err == nil {
		class.Link = tc.Interned(class.Link)
		m.class, m.note = &class, a.note
	}
}

// interned are texts by themselves, so that one stands for all that are the same. Those that are longer are not among them.
type interned struct {
	known         map[string]string
	longest, most int
}

func (t interned) text(b []byte) string {
	if len(b) > t.longest {
		return string(b)
	}
	s, ok := t.known[string(b)]
	if !ok {
		if len(t.known) >= t.most {
			clear(t.known)
		}
		s = string(b)
		t.known[s] = s
	}
	return s
}

// line is a line of a record that isn't opaque; nil if it can't be parsed.
func (p *preparer) line(b []byte) *tcLine {
	if l := p.lines.find(b); l != nil {
		return l
	}
	op, err := tc.ParseLine(string(b))
	if err != nil {
		return nil
	}
	l := p.lines.learn(b)
	*l = tcLine{text: string(b), op: op}
	if op.Qdisc != nil {
		op.Qdisc.Link = tc.Interned(op.Qdisc.Link)
	} else {
		op.Class.Link = tc.Interned(op.Class.Link)
	}
	if op.Class != nil && op.Verb != tc.Delete {
		l.programmed = programmed(op.Class)
	}
	return l
}

// execute decodes an ExecuteTCCommands. Where a line can't be parsed the fold parses them all, and says which.
func (p *preparer) execute(d *decoder, out *meaning) ExecuteTCCommands {
	c := ExecuteTCCommands{Force: d.byte()&flagFirst != 0}
	n := d.count()
	lines := make([]*tcLine, n)
	if n > 0 {
		c.Lines = make([]string, n)
	}
	all := true
	for i := range lines {
		b := d.bytes()
		if lines[i] = p.line(b); lines[i] != nil {
			c.Lines[i] = lines[i].text
		} else {
			c.Lines[i], all = string(b), false
		}
	}
	c.Opaque = d.opaque(len(c.Lines))
	for _, i := range c.Opaque {
		lines[i] = opaqueLine(c.Lines[i])
	}
	if all = all || !anyMissing(lines); all && d.err == nil {
		out.lines = lines
	}
	return c
}

func anyMissing(lines []*tcLine) bool {
	for _, l := range lines {
		if l == nil {
			return true
		}
	}
	return false
}

func opaqueLine(text string) *tcLine { return &tcLine{text: text, opaque: true, link: linkOf(text)} }

// leaf decodes the words of a leaf.
func (p *preparer) leaf(d *decoder, out *meaning) []string {
	rest := *d
	words := rest.skipStrings()
	if known, ok := p.leaves[string(words)]; ok && rest.err == nil {
		d.b, out.leaf = rest.b, known.options
		return known.words
	}
	l := leafWords{words: d.strings()}
	if d.err != nil {
		return nil
	}
	var err error
	if l.options, err = parseLeaf(l.words); err != nil {
		return l.words
	}
	if out.leaf = l.options; len(words) <= p.most.leafBytes {
		if len(p.leaves) >= p.most.leaves {
			clear(p.leaves)
		}
		p.leaves[string(words)] = l
	}
	return l.words
}
