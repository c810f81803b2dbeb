package diff

import (
	"fmt"
	"html"
	"io"
	"strings"

	"lqosd/replay/listing"
)

const (
	// foldedFrom is the number of differences from which on Markdown folds them.
	foldedFrom = 30
	// commentLimit is how long Markdown gets, in bytes: GitHub takes comments of 65,536 characters, and what posts one adds to it.
	commentLimit = 60000
	// leftOutRoom is kept free for the line that says what was left out.
	leftOutRoom = 200
)

// writeMarkdown writes the report for a comment on a pull request: the totals first, then site by
// site what fits, folded if it is long.
func (r Report) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n%s → %s\n", r.summary(), codeSpan(r.From), codeSpan(r.To))
	folded := len(r.Differences) >= foldedFrom
	left, leftIn := 0, 0
	for _, g := range r.groups() {
		text, shown := g.markdown(folded, commentLimit-leftOutRoom-b.Len())
		b.WriteString(text)
		if shown < len(g.list) {
			left += len(g.list) - shown
			leftIn++
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, "\n**%s more, in %s, left out here**: a comment holds no more. `bakery-replay diff` shows all.\n",
			listing.Count(left, "difference"), listing.Count(leftIn, "group"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown is the group in at most limit bytes, and how many of its differences that shows.
func (g group) markdown(folded bool, limit int) (text string, shown int) {
	head := fmt.Sprintf("\n**%s**\n\n", escapeMarkdown(g.title))
	tail := ""
	if folded {
		head = fmt.Sprintf("\n<details><summary><b>%s</b>: %s</summary>\n\n", callNobody(html.EscapeString(g.title)), g.signs())
		tail = "\n</details>\n"
	}
	lines, longest := g.diffLines()
	fence := strings.Repeat("`", max(3, longest+1))
	room := limit - len(head) - len(tail) - 2*len(fence) - len("diff\n\n")
	var b strings.Builder
	for _, l := range lines {
		if b.Len()+len(l.text)+1 > room {
			break
		}
		b.WriteString(l.text + "\n")
		shown += l.differences
	}
	if shown == 0 {
		return "", 0
	}
	return head + fence + "diff\n" + b.String() + fence + "\n" + tail, shown
}

// diffLine is a line of a diff block, and how many differences it is: 0 or 1.
type diffLine struct {
	text        string
	differences int
}

// diffLines are the group's, and the longest run of backquotes in them.
func (g group) diffLines() (lines []diffLine, longest int) {
	section := ""
	for _, d := range g.list {
		if next := d.section(); next != section {
			section = next
			lines = append(lines, diffLine{"@@ " + section + " @@", 0})
		}
		text := d.text(listing.Palette{})
		if rest, ok := strings.CutPrefix(text, "~"); ok {
			text = "!" + rest // the sign that a diff block colours as a change
		}
		lines = append(lines, diffLine{text, 1})
		longest = max(longest, backquotes(text))
	}
	return lines, longest
}

// backquotes is the longest run of them.
func backquotes(s string) (longest int) {
	run := 0
	for _, r := range s {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// codeSpan is text as Markdown shows it word for word.
func codeSpan(s string) string {
	s = printable(s)
	fence := strings.Repeat("`", backquotes(s)+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// callNobody is text whose signs call nobody: GitHub looks for names of its users in HTML, too.
func callNobody(s string) string { return strings.ReplaceAll(s, "@", "@\u200b") }

// markdownEscapes are the characters that mean something in a line of Markdown.
var markdownEscapes = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "#", `\#`,
	"<", "&lt;", ">", "&gt;", "&", "&amp;")

func escapeMarkdown(s string) string { return callNobody(markdownEscapes.Replace(s)) }

// signs counts what happened in a group: "+2 ~1 -3".
func (g group) signs() string {
	n := map[string]int{}
	for _, d := range g.list {
		n[d.sign()]++
	}
	var words []string
	for _, sign := range []string{"+", "~", "-"} {
		if n[sign] > 0 {
			words = append(words, fmt.Sprintf("%s%d", sign, n[sign]))
		}
	}
	return strings.Join(words, " ")
}
