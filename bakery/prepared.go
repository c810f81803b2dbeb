package bakery

import (
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// prepared is a record with what can be worked out without the Tree: folding it then takes less time. What isn't there is
// worked out by the fold.
type prepared struct {
	Record
	lines []*tcLine  // of an ExecuteTCCommands, all of them; nil: not there
	leaf  tc.Options // of an AddCircuitQdisc; nil: not there
	class tc.Class   // of an AddStructuralHTBClass or AddCircuitHTBClass; ID 0: not there
}

// preparer prepares the records of a log. Refreshes say the same again and again; so it remembers texts and what
// they mean. What it gives is shared, and never written again.
type preparer struct {
	texts  interned
	lines  map[string]*tcLine
	leaves map[string]leafWords
}

// leafWords are the words of an AddCircuitQdisc, and the options that they mean.
type leafWords struct {
	words   []string
	options tc.Options
}

// Bounds of what a preparer remembers; what is longer isn't worth it, and what is more makes it begin anew.
const (
	maxTexts      = 1 << 16
	maxTextBytes  = 64
	maxLines      = 1 << 16
	maxLineBytes  = 512
	maxLeaves     = 1 << 10
	maxLeavesText = 512
)

func newPreparer() *preparer {
	return &preparer{texts: interned{}, lines: map[string]*tcLine{}, leaves: map[string]leafWords{}}
}

// prepare decodes a record as DecodeRecord does.
func (p *preparer) prepare(raw eventlog.Record, out *prepared) (err error) {
	if out.Record, err = decodeRecord(raw.Seq, decoder{b: raw.Data, with: p}, out); err != nil {
		return err
	}
	switch c := out.Command.(type) {
	case AddStructuralHTBClass:
		out.prepareClass(askOfSite(c))
	case AddCircuitHTBClass:
		out.prepareClass(askOfCircuit(c))
	}
	return nil
}

func (p *prepared) prepareClass(a classAsk) {
	if class, err := a.class(); err == nil {
		p.class = class
	}
}

// interned are texts by themselves, so that one stands for all that are the same.
type interned map[string]string

func (t interned) text(b []byte) string {
	if len(b) > maxTextBytes {
		return string(b)
	}
	s, ok := t[string(b)]
	if !ok {
		if len(t) >= maxTexts {
			clear(t)
		}
		s = string(b)
		t[s] = s
	}
	return s
}

// line is a line of a record that isn't opaque; nil if it can't be parsed.
func (p *preparer) line(b []byte) *tcLine {
	if l, ok := p.lines[string(b)]; ok {
		return l
	}
	text := string(b)
	op, err := tc.ParseLine(text)
	if err != nil {
		return nil
	}
	l := &tcLine{text: text, op: op}
	if len(b) <= maxLineBytes {
		if len(p.lines) >= maxLines {
			clear(p.lines)
		}
		p.lines[text] = l
	}
	return l
}

// execute decodes an ExecuteTCCommands. Where a line can't be parsed the fold parses them all, and says which.
func (p *preparer) execute(d *decoder, out *prepared) ExecuteTCCommands {
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
func (p *preparer) leaf(d *decoder, out *prepared) []string {
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
	if out.leaf = l.options; len(words) <= maxLeavesText {
		if len(p.leaves) >= maxLeaves {
			clear(p.leaves)
		}
		p.leaves[string(words)] = l
	}
	return l.words
}
