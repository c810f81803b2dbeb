package diff

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"lqosd/bakery/tc"
	"lqosd/replay/listing"
)

// WriteText prints the report for people: what is to be added (+), removed (-) and
// changed (~, old → new), by site and link, the totals last.
func (r Report) WriteText(w io.Writer, colour bool) error {
	p := listing.Palette{}
	if colour {
		p = listing.ANSI()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", printable(r.From), printable(r.To))
	for _, g := range r.groups() {
		fmt.Fprintf(&b, "%s%s%s\n", p.Title, g.title, p.Off)
		g.write(&b, p)
	}
	fmt.Fprintf(&b, "%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// write lists a group by links.
func (g group) write(b *strings.Builder, p listing.Palette) {
	section := ""
	for _, d := range g.list {
		if next := d.section(); next != section {
			section = next
			fmt.Fprintf(b, "  %s\n", section)
		}
		indent := "    "
		if section == "" {
			indent = "  "
		}
		b.WriteString(indent + d.text(p) + "\n")
	}
}

// sign is how text shows what happened.
func (d Difference) sign() string {
	switch {
	case d.From == "":
		return "+"
	case d.To == "":
		return "-"
	}
	return "~"
}

func colourOf(p listing.Palette, sign string) string {
	return map[string]string{"+": p.Added, "-": p.Removed, "~": p.Changed}[sign]
}

// text is the difference on one line of its group: who it is, then what.
func (d Difference) text(p listing.Palette) string {
	sign := d.sign()
	return strings.TrimRight(colourOf(p, sign)+sign+" "+d.subject()+p.Off+"  "+d.what(), " ")
}

// subject is whose difference it is, and at what.
func (d Difference) subject() string {
	at := d.Object + " " + d.ID
	switch {
	case d.Object == "line":
		return "line"
	case d.Object == "link":
		return at
	case d.Object == "class" && d.WasID != "":
		at = "class " + d.WasID + " → " + d.ID
	case d.Object == "mapping" && d.Upload && d.sign() == "~":
		at = d.ID + " upload"
	case d.Object == "mapping":
		at = d.ID
	case d.Object == "qdisc" && d.Class == tc.Root:
		at = "root qdisc"
	case d.Object == "qdisc" && d.Role != "":
		at = "leaf of " + d.ID
	case d.Object == "qdisc":
		at = "qdisc at " + d.ID
	}
	owned := slices.ContainsFunc(d.Fields, func(f FieldChange) bool { return f.Name == "owner" })
	if d.Name == "" || owned {
		return at
	}
	if d.Object == "mapping" {
		return at + "  " + d.Name
	}
	return d.Name + "  " + at
}

// what is what it is or was, or what of it changes.
func (d Difference) what() string {
	switch d.sign() {
	case "+":
		return d.details(d.To)
	case "-":
		return d.details(d.From)
	}
	var moves string
	fields := make([]string, 0, len(d.Fields))
	for _, f := range d.Fields {
		switch {
		case f.Name == "site":
			moves = fmt.Sprintf("moves from %s to %s", inSite(f.From), inSite(f.To))
		case f.Name == "owner":
			fields = append(fields, fmt.Sprintf("%s → %s", orNone(f.From), orNone(f.To)))
		case f.Name == "class" && d.WasID != "", f.Name == "parent" && (moves != "" || d.WasID != ""):
		default:
			fields = append(fields, fmt.Sprintf("%s %s → %s", f.Name, orNone(f.From), orNone(f.To)))
		}
	}
	if moves != "" {
		fields = append([]string{moves}, fields...)
	}
	if len(fields) == 0 {
		return "is numbered anew"
	}
	return strings.Join(fields, ", ")
}

func inSite(path string) string {
	if path == "" {
		return "no site"
	}
	return path
}

// details are what a line tells beyond the place, which the subject names.
func (d Difference) details(line string) string {
	switch d.Object {
	case "class":
		if _, params, ok := strings.Cut(line, " htb "); ok {
			return params
		}
	case "qdisc":
		if _, rest, ok := strings.Cut(line, " root "); ok {
			return rest
		}
		if _, rest, ok := strings.Cut(line, " parent "+d.ID+" "); ok {
			return rest
		}
	case "mapping":
		if _, rest, ok := strings.Cut(line, " → "); ok {
			return "→ " + rest
		}
	case "line":
		return printable(line)
	case "link":
		return ""
	}
	return line
}

// Located is the difference as a tc line on one line of any list.
func (d Difference) Located(p listing.Palette) string {
	where := ""
	if d.Link != "" {
		where = " on " + d.Link
	}
	name := ""
	if d.Name != "" {
		name = "  # " + d.Name
	}
	switch {
	case d.From == "":
		return p.Added + "+ " + d.To + p.Off + name
	case d.To == "":
		return p.Removed + "- " + d.From + p.Off + name
	}
	fields := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		fields[i] = fmt.Sprintf("%s %s → %s", f.Name, orNone(f.From), orNone(f.To))
	}
	return fmt.Sprintf("%s~ %s %s%s  %s%s%s", p.Changed, d.Object, d.ID, where, strings.Join(fields, ", "), p.Off, name)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
