package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"lqosd/replay/listing"
)

// WriteJSON prints the plan as one document.
func (p Plan) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(p)
}

// WriteText prints the plan for people: the steps in their order, by link, then what they come to.
func (p Plan) WriteText(w io.Writer, colour bool) error {
	c := listing.Palette{}
	if colour {
		c = listing.ANSI()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s after record %d, against %s\n", listing.Count(p.Commands, "command"), p.At, p.Against)
	for _, r := range p.Refused {
		fmt.Fprintf(&b, "refused, line %d, %s: %s\n", r.Line, r.Request, r.Why)
	}
	section := ""
	for i, s := range p.Steps {
		if next := s.where(); next != section {
			section = next
			fmt.Fprintf(&b, "%s\n", section)
		}
		fmt.Fprintf(&b, "%4d %s\n", i+1, s.text(c))
	}
	fmt.Fprintf(&b, "%s\n", p.Totals)
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	if !p.Nothing() {
		p.Traffic.write(&b, len(p.Steps))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// where is the heading that a step stands under.
func (s Step) where() string {
	switch s.Object {
	case "mapping":
		return "address mappings"
	case "line":
		return "lines for tc(8)"
	}
	return s.Link
}

func (s Step) text(c listing.Palette) string {
	sign, colour := "~", c.Changed
	switch s.Change {
	case "added", "run":
		sign, colour = "+", c.Added
	case "removed":
		sign, colour = "-", c.Removed
	}
	text := fmt.Sprintf("%s%s %s%s", colour, sign, s.Line, c.Off)
	if s.Name != "" {
		return text + "  # " + s.Name + ": " + s.Text
	}
	return text + "  # " + s.Text
}

// String is "4 ops: 1 added, 2 changed, 0 replaced, 1 removed; 2 mappings, 0 lines".
func (t Totals) String() string {
	if t == (Totals{}) {
		return "nothing would happen"
	}
	return fmt.Sprintf("%s: %d added, %d changed, %d replaced, %d removed; %s, %s", listing.Count(t.Ops, "op"), t.Added, t.Changed, t.Replaced,
		t.Removed, listing.Count(t.Mappings, "mapping"), listing.Count(t.Lines, "line"))
}

// maxHits is how many names a text lists of each kind.
const maxHits = 10

func (t Traffic) write(b *strings.Builder, steps int) {
	fmt.Fprintf(b, "what traffic notices:\n")
	for _, link := range t.Interrupted {
		fmt.Fprintf(b, "  %s is interrupted: all that is queued on it is lost\n", link)
	}
	for _, part := range []struct {
		list []Hit
		one  string // of one
		many string // of several
	}{
		{t.Absent, "is without its class, or its mapping, for a while, and loses what it has queued", "are without their class, or their mapping, for a while, and lose what they have queued"},
		{t.Queue, "loses what it has queued", "lose what they have queued"},
		{t.New, "is new", "are new"},
		{t.Gone, "is gone, with what it has queued", "are gone, with what they have queued"},
		{t.Unharmed, "is changed in place, and loses nothing", "are changed in place, and lose nothing"},
	} {
		if len(part.list) == 0 {
			continue
		}
		verb := part.many
		if len(part.list) == 1 {
			verb = part.one
		}
		fmt.Fprintf(b, "  %s %s\n", countHits(part.list), verb)
		for i, h := range part.list {
			if i == maxHits {
				fmt.Fprintf(b, "    and %d more\n", len(part.list)-i)
				break
			}
			fmt.Fprintf(b, "    %s\n", h.text(steps))
		}
	}
	if t.harmless() {
		b.WriteString("  nobody who stays loses anything\n")
	}
}

// harmless reports that nobody who is there before and after notices anything.
func (t Traffic) harmless() bool { return len(t.Interrupted)+len(t.Absent)+len(t.Queue) == 0 }

func (h Hit) text(steps int) string {
	text := h.Name
	if h.Steps > 0 {
		text += fmt.Sprintf(": for about %d of %s", h.Steps, listing.Count(steps, "step"))
	}
	if h.AtMost != "" {
		return text + " (" + h.AtMost + ")"
	}
	return text
}

// countHits is "2 circuits and 1 other class".
func countHits(list []Hit) string {
	circuits := 0
	for _, h := range list {
		if h.Circuit {
			circuits++
		}
	}
	others := len(list) - circuits
	switch {
	case others == 0:
		return listing.Count(circuits, "circuit")
	case circuits == 0:
		return listing.Count(others, "class")
	}
	return listing.Count(circuits, "circuit") + " and " + listing.Count(others, "other class")
}
