package diff

import (
	"strings"

	"lqosd/bakery/tc"
)

// ComparedFile is a file that a log was compared with.
type ComparedFile struct {
	Name  string
	lines map[string]int // where the line is that sets an object, from 1
}

// newComparedFile remembers where tc lines set what. The last line that sets something counts.
func newComparedFile(name string, text []byte) ComparedFile {
	f := ComparedFile{name, map[string]int{}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		f.lines[line] = n
		op, err := tc.ParseLine(line)
		if err != nil || op.Verb == tc.Delete {
			continue
		}
		if op.Class != nil {
			f.lines[placeInFile("class", op.Class.Link, op.Class.ID)] = n
		} else if op.Qdisc != nil {
			f.lines[placeInFile("qdisc", op.Qdisc.Link, op.Qdisc.Parent)] = n
		}
	}
	return f
}

func placeInFile(object, link string, at tc.Handle) string {
	return object + " " + link + " " + at.String()
}

// fileOf is the file to which a difference belongs, and its line; where there is none, that of its parent, or the first. "" without files.
func (r Report) fileOf(d Difference) (name string, line int) {
	if len(r.Files) == 0 {
		return "", 0
	}
	f := r.Files[0]
	for _, key := range []string{d.ID, placeInFile(d.Object, d.Link, d.Class), placeInFile("class", d.Link, d.Class)} {
		if n, ok := f.lines[key]; ok {
			return f.Name, n
		}
	}
	return f.Name, 1
}
