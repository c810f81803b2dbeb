package bakery

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// LineError is a line of ExecuteTCCommands that was refused.
type LineError struct {
	Line int    `json:"line"` // from 1
	Text string `json:"text"`
	Why  string `json:"why"`
}

// Error gives line, text and reason.
func (e LineError) Error() string { return fmt.Sprintf("line %d, %q: %s", e.Line, e.Text, e.Why) }

// maxLineErrors is how many refused lines an answer names.
const maxLineErrors = 100

func joinLineErrors(bad []LineError) error {
	var errs []error
	for i, e := range bad {
		if i == maxLineErrors {
			errs = append(errs, fmt.Errorf("and %d more", len(bad)-i))
			break
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// admitLines folds the lines that can be folded and gives the command as it is
// logged, with those that can't. Unless Force is set the first bad line refuses them
// all, and t is unchanged. allowed says which lines the sender may send.
func (t *Tree) admitLines(c ExecuteTCCommands, seq eventlog.Seq, allowed func(tcLine) error) (ExecuteTCCommands, []LineError) {
	b := t.Clone()
	resolved := ExecuteTCCommands{Force: c.Force}
	var refused []LineError
	for i, line := range c.Lines {
		l, err := parseLine(line)
		if err == nil {
			err = allowed(l)
		}
		if err == nil {
			err = b.foldLine(&l, seq, len(resolved.Lines))
		}
		if err != nil {
			refused = append(refused, LineError{Line: i + 1, Text: clip(line), Why: err.Error()})
			if !c.Force {
				return ExecuteTCCommands{}, refused
			}
			continue
		}
		if l.opaque {
			resolved.Opaque = append(resolved.Opaque, len(resolved.Lines))
		}
		resolved.Lines = append(resolved.Lines, l.text)
	}
	t.adopt(b)
	return resolved, refused
}

// foldExecute folds the lines of a record: which of them are opaque was decided when
// it was accepted. They are parsed already unless parsed is nil.
func (t *Tree) foldExecute(c ExecuteTCCommands, parsed []*tcLine, seq eventlog.Seq) error {
	b := t.Clone()
	opaque := c.Opaque
	for i, text := range c.Lines {
		var l *tcLine
		var err error
		switch {
		case parsed != nil:
			l = parsed[i]
		case len(opaque) > 0 && opaque[0] == i:
			l, opaque = opaqueLine(text), opaque[1:]
		default:
			l = &tcLine{text: text}
			l.op, err = tc.ParseLine(text)
		}
		if err == nil {
			err = b.foldLine(l, seq, i)
		}
		if err != nil {
			return LineError{Line: i + 1, Text: clip(text), Why: err.Error()}
		}
	}
	t.adopt(b)
	return nil
}

// adopt takes over what a clone became; one record resets once, however many links it
// resets.
func (t *Tree) adopt(b *Tree) {
	b.Generation = min(b.Generation, t.Generation+1)
	*t = *b
}

// FoldScript folds the tc lines of a file into an empty Tree and gives it with the
// lines that can't be folded. An add of what is there changes it, as the commands do
// whose lines tc-rust.txt holds. Empty lines and what follows a '#' are passed over; a
// LineError counts the lines of the file.
func FoldScript(script string) (*Tree, []LineError) {
	t := NewTree()
	var refused []LineError
	number := 0
	for line := range strings.Lines(script) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		l, err := parseLine(line)
		if err == nil {
			if l.op.Verb == tc.Add {
				l.op.Verb = tc.Replace
			}
			err = t.foldLine(&l, 1, number)
		}
		if err != nil {
			refused = append(refused, LineError{Line: number, Text: clip(line), Why: err.Error()})
		}
	}
	return t, refused
}

// clip keeps an error's quotation short.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// hasControl reports a character that would break a line of tc-rust.txt.
func hasControl(texts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && r != '\t' })
	})
}

// renderLine is a line as tc-rust.txt has it: its words joined by one space.
func renderLine(line string) (string, error) {
	if hasControl(line) {
		return "", errors.New("control character")
	}
	words := strings.Fields(line)
	for len(words) > 0 && words[0] == "tc" {
		words = words[1:]
	}
	if len(words) == 0 {
		return "", errors.New("empty line")
	}
	return strings.Join(words, " "), nil
}

// tcLine is a line of ExecuteTCCommands that is understood, or opaque.
type tcLine struct {
	text   string // as it is rendered
	link   string // "" if it names none
	op     tc.Op  // of a line that isn't opaque
	opaque bool

	programmed programmedClass // for op.Class; without a class: not there
	made       *tc.Qdisc       // the fold's: what it made of op.Qdisc last, never written again; nil: nothing yet
}

func parseLine(line string) (tcLine, error) {
	text, err := renderLine(line)
	if err != nil {
		return tcLine{}, err
	}
	op, err := tc.ParseLine(text)
	switch {
	case errors.Is(err, tc.ErrUnknown) && isOpaque(text):
		return tcLine{text: text, link: linkOf(text), opaque: true}, nil
	case err != nil:
		return tcLine{}, err
	}
	return tcLine{text: text, link: op.Link(), op: op}, nil
}

// foldLine folds line number n of a record, and leaves l as it is, but for what is the fold's.
func (t *Tree) foldLine(l *tcLine, seq eventlog.Seq, n int) error {
	switch {
	case l.opaque:
		t.opaque.Set(l.text, OpaqueLine{Seq: seq, Line: n, Link: l.link, Text: l.text})
		return nil
	case l.op.Class != nil:
		return t.applyClass(l.op, l.programmed, seq)
	}
	return t.applyLineQdisc(l.op, &l.made, seq)
}

// programmedClass is what is programmed for the class of a line, never written again, and what was asked for where that was
// less than MinRate.
type programmedClass struct {
	class     *tc.Class
	askedMbps *[2]float64
}

func programmed(asked *tc.Class) programmedClass {
	class := *asked
	class.HTB.Rate = max(class.HTB.Rate, MinRate)
	class.HTB.Ceil = max(cmp.Or(class.HTB.Ceil, class.HTB.Rate), MinRate) // not given, it is the rate
	p := programmedClass{class: &class}
	if asked.HTB.Rate < MinRate || asked.HTB.Ceil != 0 && asked.HTB.Ceil < MinRate {
		p.askedMbps = &[2]float64{asked.HTB.Rate.Mbps(), asked.HTB.Ceil.Mbps()}
	}
	return p
}

// applyClass applies a class op, which programs p, unless that has no class.
func (t *Tree) applyClass(op tc.Op, p programmedClass, seq eventlog.Seq) error {
	if op.Verb == tc.Delete {
		err := t.state.Apply(op)
		if m, ok := t.notes.Get(op.Class.Link); ok && err == nil {
			m.Delete(op.Class.ID)
		}
		return err
	}
	if p.class == nil {
		p = programmed(op.Class)
	}
	class := p.class
	if err := t.state.Keep(tc.Op{Verb: op.Verb, Class: class}); err != nil {
		return err
	}
	n := t.identify(class)
	n.Seq, n.AskedMbps = seq, p.askedMbps
	t.setNote(class.Link, class.ID, n)
	return nil
}

func (t *Tree) applyLineQdisc(op tc.Op, made **tc.Qdisc, seq eventlog.Seq) error {
	link, slot := op.Qdisc.Link, op.Qdisc.Parent
	if slot == tc.Unspec { // the qdisc is named by its handle
		q, _ := t.state.QdiscByHandle(link, op.Qdisc.Handle)
		slot = q.Parent
	}
	before := t.state.HasQdisc(link, slot)
	if err := t.applyQdisc(op, made); err != nil {
		return err
	}
	if slot == tc.Root && before && op.Verb != tc.Change {
		t.Generation++
		t.former.Delete(link)
		t.dropOpaque(link)
	}
	if before {
		t.pruneNotes(link)
	}
	if t.state.HasClass(link, slot) {
		t.noteLeaf(link, slot, seq)
	} else {
		t.place(link, slot, seq)
	}
	return nil
}
