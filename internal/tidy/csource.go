package tidy

import (
	"path"
	"strings"
)

// checkCSource wants C as .editorconfig has it, since no formatter looks at it: tabs indent, comments excepted, and lines end
// without blanks.
func checkCSource(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.Files {
		if ending := path.Ext(f.Path); f.inTestdata() || ending != ".c" && ending != ".h" {
			continue
		}
		n := 0
		for line := range strings.Lines(string(f.Text)) {
			n++
			text := strings.TrimSuffix(line, "\n")
			code := strings.TrimLeft(text, "\t")
			if strings.HasPrefix(code, " ") && !strings.HasPrefix(code, " *") {
				found = append(found, Finding{Path: f.Path, Line: n, Text: "is indented with spaces: C has tabs"})
			}
			if strings.TrimRight(text, " \t\r") != text {
				found = append(found, Finding{Path: f.Path, Line: n, Text: "ends with blanks"})
			}
		}
	}
	return found
}
