package tidy

import (
	"cmp"
	"fmt"
	"slices"
)

// Rule is one rule of the repository. Its name is the name of its test, and of its file in testdata.
type Rule struct {
	Name  string
	Check func(Tree) []Finding
}

// Rules are all rules.
var Rules = []Rule{
	{"toplevel", checkTopLevel},
	{"filename", checkFileNames},
	{"packagedoc", checkPackageDocs},
	{"parse", checkParse},
	{"imports", checkImports},
	{"purity", checkPurity},
	{"length", checkLengths},
	{"sleep", checkSleeps},
	{"skip", checkSkips},
	{"tempfile", checkTempFiles},
	{"word", checkWords},
	{"csource", checkCSource},
	{"marker", checkMarkers},
	{"link", checkLinks},
	{"linenumber", checkLineNumbers},
	{"adr", checkADRs},
}

// Finding is one breach of a rule.
type Finding struct {
	Path string
	Line int // from 1; 0 when it is about the file as a whole
	Text string
}

// String is "path:line: text".
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text)
}

// Findings are those of the rule in tree, sorted by place.
func (r Rule) Findings(tree Tree) []Finding {
	found := r.Check(tree)
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return found
}
