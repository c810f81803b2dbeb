package tidy

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

// topLevel is what may stand at the top of the repository. A new folder here needs a record in docs/adr.
var topLevel = []string{
	".ci", ".editorconfig", ".gitattributes", ".gitignore", ".golangci.yml",
	"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "go.mod", "go.sum",
	"bakery", "bus", "cmd", "docs", "eventlog", "internal", "packaging", "replay", "testdata", "xdp",
}

func checkTopLevel(tree Tree) []Finding {
	found := map[string]Finding{}
	for _, f := range tree.Files {
		top, _, _ := strings.Cut(f.Path, "/")
		if !slices.Contains(topLevel, top) {
			found[top] = Finding{Path: top, Text: "is not in the layout: write a record in docs/adr and add it to topLevel in internal/tidy"}
		}
	}
	return slices.Collect(maps.Values(found))
}

// vagueNames say nothing about what is in a file or a package.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc"}

func checkFileNames(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.Path), ".go"), "_test")
		for _, element := range append(strings.Split(f.dir(), "/"), name) {
			if slices.Contains(vagueNames, element) {
				found = append(found, Finding{Path: f.Path, Text: "the name " + element + " says nothing: name the noun that is in it"})
			}
		}
	}
	return found
}

// checkPackageDocs wants one package comment, in doc.go, or where there is no doc.go in the package's main file:
// main.go, the file with the package's name, or the only one.
func checkPackageDocs(tree Tree) []Finding {
	packages := map[string][]File{}
	for _, f := range tree.goFiles() {
		if !f.isTest() {
			packages[f.dir()] = append(packages[f.dir()], f)
		}
	}
	var found []Finding
	for dir, files := range packages {
		main := mainFile(files)
		if main == nil {
			found = append(found, Finding{Path: dir, Text: "has no doc.go"})
			continue
		}
		want := "Package " + main.Syntax.Name.Name + " "
		if main.Syntax.Name.Name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !strings.HasPrefix(main.Syntax.Doc.Text(), want) {
			found = append(found, Finding{Path: main.Path, Text: `has no package comment that starts with "` + want + `"`})
		}
	}
	return found
}

// mainFile is the file of a package that has to have its comment.
func mainFile(files []File) *File {
	for _, name := range []string{"doc.go", "main.go", files[0].Syntax.Name.Name + ".go"} {
		for i, f := range files {
			if path.Base(f.Path) == name {
				return &files[i]
			}
		}
	}
	if len(files) == 1 {
		return &files[0]
	}
	return nil
}

func checkParse(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.Files {
		if f.Broken != nil {
			found = append(found, Finding{Path: f.Path, Text: "is not Go: " + f.Broken.Error()})
		}
	}
	return found
}

const (
	maxFileLines     = 500
	maxFunctionLines = 70
)

// checkLengths counts the lines of files, tests excepted, and of functions. Generated files are as long as they are.
func checkLengths(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.goFiles() {
		if f.isGenerated() {
			continue
		}
		if lines := f.line(f.Syntax.FileEnd - 1); lines > maxFileLines && !f.isTest() {
			found = append(found, Finding{Path: f.Path, Text: fmt.Sprintf("has %d lines, at most %d are allowed", lines, maxFileLines)})
		}
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := f.line(fn.End()) - f.line(fn.Pos()) + 1; lines > maxFunctionLines {
				found = append(found, f.at(fn.Name, "function %s has %d lines, at most %d are allowed", fn.Name.Name, lines, maxFunctionLines))
			}
		}
	}
	return found
}
