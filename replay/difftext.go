package replay

import (
	"fmt"
	"io"
	"strings"
)

// palette colours the signs of a text diff; the zero value doesn't.
type palette struct{ added, removed, changed, off string }

// ANSI gives the palette for terminals.
func ansi() palette { return palette{"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"} }

// WriteText prints the report for people: what is to be added (+), removed (-) and
// changed (~, old → new), by link, the totals last.
func (r DiffReport) WriteText(w io.Writer, colour bool) error {
	p := palette{}
	if colour {
		p = ansi()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", r.From, r.To)
	section := ""
	for _, d := range r.Differences {
		if next := d.where(); next != section {
			section = next
			fmt.Fprintf(&b, "%s\n", section)
		}
		b.WriteString("  " + d.text(p) + "\n")
	}
	fmt.Fprintf(&b, "%s\n", r.Totals)
	_, err := io.WriteString(w, b.String())
	return err
}

// String is "1 to add, 0 to change, 2 to remove".
func (t Totals) String() string {
	if t == (Totals{}) {
		return "no difference"
	}
	return fmt.Sprintf("%d to add, %d to change, %d to remove", t.Added, t.Changed, t.Removed)
}

// text is the difference on one line, for a list by links; located is it for any other list.
func (d Difference) text(p palette) string { return d.line(p, "") }

func (d Difference) located(p palette) string {
	if d.Link == "" {
		return d.line(p, "")
	}
	return d.line(p, " on "+d.Link)
}

func (d Difference) line(p palette, where string) string {
	name := ""
	if d.Name != "" {
		name = "  # " + d.Name
	}
	switch {
	case d.From == "":
		return p.added + "+ " + d.To + p.off + name
	case d.To == "":
		return p.removed + "- " + d.From + p.off + name
	}
	fields := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		fields[i] = fmt.Sprintf("%s %s → %s", f.Name, orNone(f.From), orNone(f.To))
	}
	return fmt.Sprintf("%s~ %s %s%s  %s%s%s", p.changed, d.Object, d.ID, where, strings.Join(fields, ", "), p.off, name)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
