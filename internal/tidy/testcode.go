package tidy

import (
	"go/ast"
	"maps"
	"slices"
)

// checkSleeps finds tests that wait for time to pass: testing/synctest and channels wait for what they mean.
func checkSleeps(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		if !f.isTest() {
			continue
		}
		pkg := f.localName("time")
		ast.Inspect(f.Syntax.File, func(n ast.Node) bool {
			if _, ok := isMember(n, pkg, "Sleep"); ok {
				found = append(found, f.at(n, "time.Sleep in a test: wait for what you mean, with a channel or testing/synctest"))
			}
			return true
		})
	}
	return found
}

// checkSkips finds tests that skip themselves. internal/testenv does it for them, so that LQOSD_REQUIRE has its say.
func checkSkips(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		pkg := f.localName("testing")
		if pkg == "" || within(f.dir(), "internal/testenv") {
			continue
		}
		ast.Walk(skipVisitor{testing: pkg, visit: func(call *ast.CallExpr) {
			found = append(found, f.at(call, "skips by itself: name what is missing with testenv.Need"))
		}}, f.Syntax.File)
	}
	return found
}

// skipVisitor calls visit for every call of Skip, Skipf or SkipNow on a parameter of a type of package testing.
type skipVisitor struct {
	testing string          // the local name of package testing
	params  map[string]bool // the names in scope; false for one that is of another type
	visit   func(*ast.CallExpr)
}

// Visit is that of ast.Visitor.
func (v skipVisitor) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.FuncDecl:
		return v.enter(n.Type)
	case *ast.FuncLit:
		return v.enter(n.Type)
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			break
		}
		if x, ok := sel.X.(*ast.Ident); ok && v.params[x.Name] {
			v.visit(n)
		}
	}
	return v
}

// enter is the visitor inside of a function.
func (v skipVisitor) enter(fn *ast.FuncType) skipVisitor {
	params := maps.Clone(v.params)
	if params == nil {
		params = map[string]bool{}
	}
	for _, field := range fn.Params.List {
		typ := field.Type
		if star, ok := typ.(*ast.StarExpr); ok {
			typ = star.X
		}
		_, isTesting := isMember(typ, v.testing, "T", "B", "F", "TB")
		for _, name := range field.Names {
			params[name.Name] = isTesting
		}
	}
	v.params = params
	return v
}
