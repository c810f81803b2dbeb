package bakery

import (
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

func joinLineErrors(bad []LineError) error {
	errs := make([]error, len(bad))
	for i, e := range bad {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// foldLines folds tc lines and gives back those that were accepted, as they are
// rendered, and those that weren't. Unless force is set the first bad line refuses
// them all, and t is unchanged. allowed says which links a line may name; nil
// allows all.
func (t *Tree) foldLines(c ExecuteTCCommands, seq eventlog.Seq, allowed func(link string) error) ([]string, []LineError) {
	b := t.Clone()
	accepted := make([]string, 0, len(c.Lines))
	var refused []LineError
	for i, line := range c.Lines {
		text, err := b.foldLine(line, seq, allowed)
		if err == nil {
			accepted = append(accepted, text)
			continue
		}
		refused = append(refused, LineError{Line: i + 1, Text: clip(line), Why: err.Error()})
		if !c.Force {
			return nil, refused
		}
	}
	if b.Generation > t.Generation {
		b.Generation = t.Generation + 1 // one record resets once, however many links it resets
	}
	*t = *b
	return accepted, refused
}

// FoldScript folds tc lines as ExecuteTCCommands with force would, into an empty Tree,
// and gives it with the lines that were refused. Empty lines and what follows a '#'
// are passed over; a LineError counts the lines of the script.
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
		if _, err := t.foldLine(line, 1, nil); err != nil {
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
	if len(words) > 0 && words[0] == "tc" {
		words = words[1:]
	}
	if len(words) == 0 {
		return "", errors.New("empty line")
	}
	return strings.Join(words, " "), nil
}

func (t *Tree) foldLine(line string, seq eventlog.Seq, allowed func(link string) error) (string, error) {
	text, err := renderLine(line)
	if err != nil {
		return "", err
	}
	op, err := tc.ParseLine(text)
	opaque := errors.Is(err, tc.ErrUnknown)
	if err != nil && !opaque {
		return "", err
	}
	link := linkOf(text)
	if !opaque {
		link = op.Link()
	}
	if allowed != nil && link != "" {
		if err := allowed(link); err != nil {
			return "", err
		}
	}
	if opaque {
		t.addOpaque(OpaqueLine{Seq: seq, Link: link, Text: text})
		return text, nil
	}
	if op.Class != nil {
		return text, t.applyClass(op, seq)
	}
	return text, t.applyLineQdisc(op, seq)
}

func (t *Tree) applyClass(op tc.Op, seq eventlog.Seq) error {
	if op.Verb == tc.Delete {
		err := t.state.Apply(op)
		t.pruneNotes(op.Class.Link)
		return err
	}
	class := *op.Class
	class.HTB.Rate = max(class.HTB.Rate, MinRate)
	if class.HTB.Ceil != 0 { // 0: not given, it is the rate
		class.HTB.Ceil = max(class.HTB.Ceil, MinRate)
	}
	if err := t.state.Apply(tc.Op{Verb: op.Verb, Class: &class}); err != nil {
		return err
	}
	n := t.identify(class)
	n.Seq, n.AskedMbps = seq, nil
	if class.HTB.Rate != op.Class.HTB.Rate || class.HTB.Ceil != op.Class.HTB.Ceil {
		n.AskedMbps = &[2]float64{op.Class.HTB.Rate.Mbps(), op.Class.HTB.Ceil.Mbps()}
	}
	t.setNote(class.Link, class.ID, n)
	return nil
}

func (t *Tree) applyLineQdisc(op tc.Op, seq eventlog.Seq) error {
	link, slot := op.Qdisc.Link, op.Qdisc.Parent
	_, before := t.state.Qdisc(link, slot)
	if err := t.applyQdisc(op); err != nil {
		return err
	}
	if slot == tc.Root && before && op.Verb != tc.Change {
		t.Generation++
		delete(t.former, link)
		t.opaque = slices.DeleteFunc(slices.Clone(t.opaque), func(o OpaqueLine) bool { return o.Link == link })
	}
	if _, ok := t.state.Class(link, slot); ok {
		n, _ := t.Note(link, slot)
		n.LeafSeq = seq
		t.setNote(link, slot, n)
	} else if before {
		t.pruneNotes(link)
	}
	return nil
}

// addOpaque keeps the line; said twice, it is kept where it was said last.
func (t *Tree) addOpaque(o OpaqueLine) {
	kept := slices.DeleteFunc(slices.Clone(t.opaque), func(p OpaqueLine) bool { return p.Text == o.Text })
	t.opaque = append(kept, o)
}

// linkOf finds the link of a line that isn't parsed: the word after "dev".
func linkOf(text string) string {
	words := strings.Fields(text)
	if i := slices.Index(words, "dev"); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}
