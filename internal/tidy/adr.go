package tidy

import (
	"path"
	"regexp"
	"strings"
)

var adrName = regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)

// adrHeadings are the parts of a record, in this order.
var adrHeadings = []string{"Context", "Decision", "Consequences"}

// checkADRs wants each record in docs/adr to have a number of its own and the three parts.
func checkADRs(tree Tree) []Finding {
	var found []Finding
	numbers := map[string]string{}
	for _, f := range tree.Files {
		if f.dir() != "docs/adr" {
			continue
		}
		name := adrName.FindStringSubmatch(path.Base(f.Path))
		if name == nil {
			found = append(found, Finding{Path: f.Path, Text: "a record is called NNNN-what-was-decided.md"})
			continue
		}
		if other, taken := numbers[name[1]]; taken {
			found = append(found, Finding{Path: f.Path, Text: "has the number of " + other})
		}
		numbers[name[1]] = f.Path
		if got := partsOf(string(f.Text)); got != strings.Join(adrHeadings, ", ") {
			found = append(found, Finding{Path: f.Path, Text: "has the parts " + got + "; they are " + strings.Join(adrHeadings, ", ")})
		}
	}
	return found
}

// partsOf lists the headings of a record that are names of parts.
func partsOf(text string) string {
	var parts []string
	for line := range strings.Lines(withoutCode(text)) {
		heading := strings.TrimSpace(strings.TrimLeft(line, "#"))
		if !strings.HasPrefix(line, "#") {
			continue
		}
		for _, part := range adrHeadings {
			if heading == part {
				parts = append(parts, part)
			}
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
