package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// tempFolders are those of programs that nobody runs as a daemon: they may make files where all do, under names that nobody knows before.
var tempFolders = []string{"cmd/bakery-replay", "internal/bench", "internal/demo", "internal/sim", "internal/testenv"}

// checkTempFiles finds what of the daemon would make files in a directory that is open to all: somebody else may have been there before.
func checkTempFiles(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		if f.isTest() || within(f.dir(), "internal/tidy") {
			continue
		}
		allowed := false
		for _, folder := range tempFolders {
			allowed = allowed || within(f.dir(), folder)
		}
		pkg := f.localName("os")
		ast.Inspect(f.Syntax.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING && strings.Contains(n.Value, "/tmp") && !within(f.dir(), "internal/testenv") {
					found = append(found, f.at(n, "names /tmp: somebody else may have been there before"))
				}
			case *ast.CallExpr:
				if allowed {
					break
				}
				if _, ok := isMember(n.Fun, pkg, "TempDir"); ok {
					found = append(found, f.at(n, "asks for a directory that is open to all"))
				}
				if _, ok := isMember(n.Fun, pkg, "MkdirTemp", "CreateTemp"); ok && isEmptyText(n.Args) {
					found = append(found, f.at(n, "makes a file in a directory that is open to all: name another"))
				}
			}
			return true
		})
	}
	return found
}

func isEmptyText(args []ast.Expr) bool {
	if len(args) == 0 {
		return false
	}
	lit, ok := args[0].(*ast.BasicLit)
	return ok && (lit.Value == `""` || lit.Value == "``")
}
