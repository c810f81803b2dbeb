package tidy

import (
	"go/ast"
	"regexp"
	"strings"
)

// otherWords are words that the project's vocabulary has another word for. Only those stand here that mean nothing else.
var otherWords = map[string]string{"iface": "link", "ifaces": "links", "netdev": "link", "netdevs": "links"}

// humps are the words of a name in mixed caps: linkName, HTBClass, HTTPServer2.
var humps = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

// checkWords looks at the names that Go code declares, and at those of its packages.
func checkWords(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		if f.isGenerated() {
			continue
		}
		for _, name := range declaredNames(f.Syntax.File) {
			for _, word := range humps.FindAllString(name.Name, -1) {
				if say, ok := otherWords[strings.ToLower(word)]; ok {
					found = append(found, f.at(name, "%s: the project's word is %s", name.Name, say))
				}
			}
		}
	}
	return found
}

// declaredNames are the names that a file gives to things, not those of others that it uses.
func declaredNames(file *ast.File) []*ast.Ident {
	names := []*ast.Ident{file.Name}
	fromExprs := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			if id, ok := e.(*ast.Ident); ok {
				names = append(names, id)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			names = append(names, n.Name)
		case *ast.TypeSpec:
			names = append(names, n.Name)
		case *ast.ValueSpec:
			names = append(names, n.Names...)
		case *ast.Field:
			names = append(names, n.Names...)
		case *ast.AssignStmt:
			if n.Tok.String() == ":=" {
				fromExprs(n.Lhs...)
			}
		case *ast.RangeStmt:
			fromExprs(n.Key, n.Value)
		}
		return true
	})
	return names
}
