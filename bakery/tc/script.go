package tc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Script is the shortest tc script that builds s from nothing: a line for every
// qdisc and class, parents first, sorted by link, parent and handle. Roots are
// replaced, so that the script also runs over a root of another kind or handle; one of
// the same stays, with all that is in it.
// ParseScript reads it back as an equal State.
func Script(s *State) []string {
	lines := make([]string, 0, s.Len())
	for _, name := range s.Links() {
		for _, o := range s.link(name).ordered() {
			op := Op{Verb: Add, Qdisc: o.Qdisc, Class: o.Class}
			if o.Qdisc != nil && o.Qdisc.Parent == Root {
				op.Verb = Replace
			}
			lines = append(lines, op.Line())
		}
	}
	return lines
}

// LineError is a line of a script that could not be done.
type LineError struct {
	Number int    // counted from 1
	Text   string // the line, without comment
	Err    error  // of ParseLine or State.Apply
	Opaque bool   // Err wraps ErrUnknown: the line may be right, but is not modelled
}

// Error is "line 5: why".
func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Number, e.Err) }

// Unwrap is the error of ParseLine or State.Apply.
func (e LineError) Unwrap() error { return e.Err }

// maxScriptLine bounds a line of a script, in bytes; tc(8) itself has no use for
// more than a few hundred.
const maxScriptLine = 1 << 20

// ParseScript applies the tc lines of r one by one to an empty State: what a
// client or a renderer wrote, or `tc -batch` would read. Empty lines and what
// follows a '#' are skipped. Lines that can't be done are left out and reported,
// in order. The error is one of reading r, then the State holds what came
// before.
func ParseScript(r io.Reader) (*State, []LineError, error) {
	s := new(State)
	var bad []LineError
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxScriptLine)
	for number := 1; lines.Scan(); number++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimRight(text, " \t\r")
		if strings.TrimLeft(text, " \t") == "" {
			continue
		}
		op, err := ParseLine(text)
		if err == nil {
			err = s.Apply(op)
		}
		if err != nil {
			bad = append(bad, LineError{Number: number, Text: text, Err: err, Opaque: errors.Is(err, ErrUnknown)})
		}
	}
	if err := lines.Err(); err != nil {
		return s, bad, fmt.Errorf("reading script: %w", err)
	}
	return s, bad, nil
}
