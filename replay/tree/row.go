package tree

import (
	"bufio"
	"fmt"
	"strings"
	"unicode/utf8"
)

// treeRow is a line of a listing of a Tree.
type treeRow struct {
	branch, label string
	cells         [5]string // rate, ceil, Σ rates, Σ ceils, leaf
	load          *Load     // fills in the third and fourth
	heading       bool
	free          bool // text without cells, as long as it likes
}

type treeRows []treeRow

// widestLabel is how wide the column of names gets: a longer name shifts its own line alone.
const widestLabel = 56

// palette colours a listing of a Tree; the zero value doesn't.
type palette struct{ dim, bold, over, beyond, off string }

func ansi() palette {
	return palette{dim: "\x1b[2m", bold: "\x1b[1m", over: "\x1b[33m", beyond: "\x1b[31m", off: "\x1b[0m"}
}

func (r *treeRows) text(format string, args ...any) {
	*r = append(*r, treeRow{label: fmt.Sprintf(format, args...), free: true})
}

// write prints the rows with their columns below each other.
func (r treeRows) write(w *bufio.Writer, colour bool) {
	var p palette
	if colour {
		p = ansi()
	}
	label := 0
	var cells [4]int
	for i := range r {
		row := &r[i]
		if row.free {
			continue
		}
		if row.load != nil {
			row.cells[2], row.cells[3] = RatioText(row.load.Guaranteed), RatioText(row.load.Oversubscribed)
		}
		if n := row.width(); n <= widestLabel {
			label = max(label, n)
		}
		for c := range cells {
			cells[c] = max(cells[c], utf8.RuneCountInString(row.cells[c]))
		}
	}
	for _, row := range r {
		row.write(w, label, cells, p)
	}
}

func (row treeRow) width() int {
	return utf8.RuneCountInString(row.branch) + utf8.RuneCountInString(row.label)
}

func (row treeRow) write(w *bufio.Writer, label int, widths [4]int, p palette) {
	if row.free {
		_, _ = w.WriteString(p.dim + row.label + p.off + "\n") // the Flush tells
		return
	}
	style := ""
	if row.heading {
		style = p.bold
	}
	line := paint(p.dim, row.branch, p) + paint(style, row.label, p)
	blank := max(0, label-row.width()) // not written at the end of a line
	for c, text := range row.cells {
		width := 0
		if c < len(widths) {
			width = widths[c]
		}
		blank += 2 + max(0, width-utf8.RuneCountInString(text))
		if text == "" {
			continue
		}
		line += strings.Repeat(" ", blank) + paint(row.style(c, p), text, p)
		blank = 0
	}
	_, _ = w.WriteString(line + "\n")
}

// style is the colour of a cell: what is promised beyond what is there is an error of whoever
// sold it, what is allowed beyond it is usual.
func (row treeRow) style(cell int, p palette) string {
	switch {
	case row.heading || cell == 4:
		return p.dim
	case row.load == nil:
	case cell == 2 && row.load.Guaranteed > 1:
		return p.beyond
	case cell == 3 && row.load.Oversubscribed > 1:
		return p.over
	}
	return ""
}

func paint(style, text string, p palette) string {
	if style == "" || text == "" {
		return text
	}
	return style + text + p.off
}
